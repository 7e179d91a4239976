locals {
  # Where a region has no Spaces, the nearest one that has.
  nearest_spaces = {
    ams2 = "ams3"
    nyc1 = "nyc3"
    nyc2 = "nyc3"
    sfo1 = "sfo3"
  }
  bucket_region = coalesce(var.bucket_region, lookup(local.nearest_spaces, var.region, var.region))
}

# Backups and logs. The provider reaches it with the keys of the environment,
# SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY.
resource "digitalocean_spaces_bucket" "main" {
  name          = var.bucket
  region        = local.bucket_region
  acl           = "private"
  force_destroy = var.destroy_bucket_content

  # What a program deletes by mistake can be got back.
  versioning {
    enabled = true
  }

  lifecycle_rule {
    id                                     = "undelete"
    enabled                                = true
    abort_incomplete_multipart_upload_days = 2

    noncurrent_version_expiration {
      days = var.bucket_undelete_days
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.logs_days == null ? [] : [var.logs_days]

    content {
      id      = "logs"
      enabled = true
      prefix  = var.logs_prefix

      expiration {
        days = lifecycle_rule.value
      }
    }
  }

  lifecycle {
    # The provider would note another name and leave the Space as it is.
    postcondition {
      condition     = self.id == var.bucket
      error_message = "A Space cannot be renamed: ${self.id} would not become ${var.bucket}."
    }
  }
}

# What the cluster gets: this Space and no other.
resource "digitalocean_spaces_key" "main" {
  name = "${var.name}-cluster"

  grant {
    bucket     = digitalocean_spaces_bucket.main.name
    permission = "readwrite"
  }
}
