resource "digitalocean_domain" "main" {
  count = var.domain != null && var.create_domain ? 1 : 0

  name = var.domain
}

locals {
  # The load balancer has an address only after the platform is installed.
  recorded_hosts = var.domain != null && var.ingress_ip != null ? var.hosts : []
}

resource "digitalocean_record" "host" {
  for_each = local.recorded_hosts

  domain = var.create_domain ? digitalocean_domain.main[0].name : var.domain
  type   = "A"
  name   = each.value == var.domain ? "@" : trimsuffix(each.value, ".${var.domain}")
  value  = var.ingress_ip
  ttl    = 300

  lifecycle {
    precondition {
      condition     = each.value == var.domain || endswith(each.value, ".${var.domain}")
      error_message = "The host ${each.value} is not in the domain ${var.domain}."
    }
  }
}
