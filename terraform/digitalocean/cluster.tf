resource "digitalocean_vpc" "main" {
  name        = var.name
  region      = var.region
  ip_range    = var.vpc_ip_range
  description = "Network of the cluster ${var.name}"

  timeouts {
    # A cluster's deletion is not waited for, and until it is done its network
    # cannot be deleted.
    delete = "20m"
  }
}

data "digitalocean_kubernetes_versions" "offered" {
  version_prefix = var.kubernetes_version == null ? null : "${var.kubernetes_version}."
}

resource "digitalocean_kubernetes_cluster" "main" {
  name     = var.name
  region   = var.region
  version  = data.digitalocean_kubernetes_versions.offered.latest_version
  vpc_uuid = digitalocean_vpc.main.id
  tags     = var.tags

  # Said even when false: from Kubernetes 1.36 on, DigitalOcean's own default
  # is true, which is billed and cannot be undone.
  ha = var.ha

  # New nodes come before old ones go.
  surge_upgrade = true
  auto_upgrade  = var.auto_upgrade

  registry_integration             = var.registry != null
  destroy_all_associated_resources = var.destroy_associated_resources

  # The state holds credentials whether wanted or not. Berth fetches its own;
  # these last for five minutes.
  kubeconfig_expire_seconds = 300

  # DigitalOcean takes a maintenance window with automatic upgrades alone.
  dynamic "maintenance_policy" {
    for_each = var.auto_upgrade ? [1] : []

    content {
      day        = var.maintenance_day
      start_time = var.maintenance_start
    }
  }

  node_pool {
    name       = "${var.name}-${var.node_size}"
    size       = var.node_size
    node_count = var.max_nodes == null ? var.node_count : null
    auto_scale = var.max_nodes != null
    min_nodes  = var.max_nodes == null ? null : var.node_count
    max_nodes  = var.max_nodes
    tags       = var.tags
  }

  timeouts {
    create = "60m"
  }

  lifecycle {
    # Terraform would replace the cluster for a node size that was changed, or
    # for a version that an automatic upgrade has left behind. Berth changes the
    # size by a new node pool, and DigitalOcean upgrades in the maintenance
    # window; the checks below tell where the configuration differs.
    ignore_changes = [version, node_pool[0].name, node_pool[0].size]

    precondition {
      condition     = length(data.digitalocean_kubernetes_versions.offered.valid_versions) > 0
      error_message = "DigitalOcean offers no Kubernetes ${coalesce(var.kubernetes_version, "at all")}; `doctl kubernetes options versions` lists what it does."
    }

    precondition {
      condition     = var.max_nodes == null ? true : var.max_nodes >= var.node_count
      error_message = "max_nodes must not be less than node_count."
    }
  }

  # Integrating needs a registry to integrate with.
  depends_on = [digitalocean_container_registry.main]
}

check "node_size" {
  assert {
    condition     = digitalocean_kubernetes_cluster.main.node_pool[0].size == var.node_size
    error_message = "The nodes are ${digitalocean_kubernetes_cluster.main.node_pool[0].size}, not ${var.node_size}. `berth scale --size ${var.node_size}` changes that; Terraform does not."
  }
}

check "kubernetes_version" {
  assert {
    condition     = var.kubernetes_version == null || startswith(digitalocean_kubernetes_cluster.main.version, "${coalesce(var.kubernetes_version, "any")}.")
    error_message = "The cluster runs Kubernetes ${digitalocean_kubernetes_cluster.main.version}, not ${coalesce(var.kubernetes_version, "any")}. `doctl kubernetes cluster upgrade ${var.name}` upgrades it; Terraform does not."
  }
}
