# No output follows what DigitalOcean changes by itself, a version or a number
# of nodes: each such change would look like one of Terraform's.

output "cluster_id" {
  description = "Id of the cluster. Its kubeconfig is fetched with it, and is no output."
  value       = digitalocean_kubernetes_cluster.main.id
}

output "cluster_name" {
  description = "Name of the cluster."
  value       = digitalocean_kubernetes_cluster.main.name
}

output "vpc_id" {
  description = "Id of the cluster's network."
  value       = digitalocean_vpc.main.id
}

output "project_id" {
  description = "Id of the project that groups the resources."
  value       = digitalocean_project.main.id
}

output "bucket_name" {
  description = "Name of the Space for backups and logs."
  value       = digitalocean_spaces_bucket.main.name
}

output "bucket_region" {
  description = "Region of the Space."
  value       = digitalocean_spaces_bucket.main.region
}

output "bucket_endpoint" {
  description = "Host that serves the Space by S3's protocol, the bucket's name left out."
  value       = digitalocean_spaces_bucket.main.endpoint
}

output "bucket_access_key" {
  description = "Access key for the Space alone."
  value       = digitalocean_spaces_key.main.access_key
  sensitive   = true
}

output "bucket_secret_key" {
  description = "Secret key for the Space alone."
  value       = digitalocean_spaces_key.main.secret_key
  sensitive   = true
}

output "registry" {
  description = "Where images are pushed, as registry.digitalocean.com/name; null without a registry."
  value       = one(digitalocean_container_registry.main[*].endpoint)
}

output "postgres_id" {
  description = "Id of the managed PostgreSQL; null without one."
  value       = one(digitalocean_database_cluster.main[*].id)
}

output "postgres_host" {
  description = "Host of the managed PostgreSQL in the cluster's network; null without one."
  value       = one(digitalocean_database_cluster.main[*].private_host)
}

output "postgres_port" {
  description = "Port of the managed PostgreSQL; null without one."
  value       = one(digitalocean_database_cluster.main[*].port)
}

output "postgres_user" {
  description = "Administrator of the managed PostgreSQL; null without one."
  value       = one(digitalocean_database_cluster.main[*].user)
}

output "postgres_password" {
  description = "The administrator's password; null without a managed PostgreSQL."
  value       = one(digitalocean_database_cluster.main[*].password)
  sensitive   = true
}

output "postgres_databases" {
  description = "Databases in the managed PostgreSQL."
  value       = toset([for database in digitalocean_database_db.environment : database.name])
}
