resource "digitalocean_database_cluster" "main" {
  count = var.postgres_size == null ? 0 : 1

  name                 = "${var.name}-postgres"
  engine               = "pg"
  version              = var.postgres_version
  size                 = var.postgres_size
  node_count           = var.postgres_nodes
  region               = var.region
  private_network_uuid = digitalocean_vpc.main.id

  # Without a window here the plugin crashes over the one that the API has.
  maintenance_window {
    day  = var.maintenance_day
    hour = var.maintenance_start
  }

  lifecycle {
    # Another name would replace the database by an empty one.
    ignore_changes = [name]

    precondition {
      condition     = var.maintenance_day != "any"
      error_message = "A managed PostgreSQL is maintained on a certain day: maintenance_day must name one."
    }
  }
}

# The cluster's nodes, and nobody else, can reach it.
resource "digitalocean_database_firewall" "main" {
  count = var.postgres_size == null ? 0 : 1

  cluster_id = digitalocean_database_cluster.main[0].id

  rule {
    type  = "k8s"
    value = digitalocean_kubernetes_cluster.main.id
  }
}

resource "digitalocean_database_db" "environment" {
  for_each = var.postgres_size == null ? [] : var.postgres_databases

  cluster_id = digitalocean_database_cluster.main[0].id
  name       = each.value
}
