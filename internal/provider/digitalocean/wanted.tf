# What the nodes were told to be the last time. Unlike the cluster's own
# attributes these follow no change made by hand, so that berth knows it for one.

output "wanted_nodes" {
  value = var.node_count
}

output "wanted_size" {
  value = var.node_size
}
