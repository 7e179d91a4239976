resource "digitalocean_container_registry" "main" {
  count = var.registry == null ? 0 : 1

  name                   = var.registry
  subscription_tier_slug = var.registry_tier
}
