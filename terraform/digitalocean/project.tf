resource "digitalocean_project" "main" {
  name        = var.name
  description = "The cluster ${var.name} and what belongs to it"
  purpose     = "Web Application"
  environment = var.project_environment

  # When it is destroyed, the provider moves what was in it to the default
  # project, which fails for what is gone by then. So it goes first.
  depends_on = [
    digitalocean_kubernetes_cluster.main,
    digitalocean_spaces_bucket.main,
    digitalocean_domain.main,
    digitalocean_database_cluster.main,
  ]
}

# Apart from the project itself: DigitalOcean adds the load balancers and volumes
# that Kubernetes makes, and a project that lists its resources would throw them
# out at every run.
resource "digitalocean_project_resources" "main" {
  project = digitalocean_project.main.id
  resources = concat(
    [digitalocean_kubernetes_cluster.main.urn, digitalocean_spaces_bucket.main.urn],
    digitalocean_domain.main[*].urn,
    digitalocean_database_cluster.main[*].urn,
  )
}
