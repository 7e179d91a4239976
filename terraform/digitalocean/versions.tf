# Everything that Berth needs of a DigitalOcean account. `berth init` runs it;
# alone it works by `terraform init && terraform plan`, or the same with `tofu`.
# README.md says what the environment must hold.

terraform {
  # OpenTofu 1.8 answers to this as well.
  required_version = ">= 1.6.0"

  required_providers {
    digitalocean = {
      source  = "digitalocean/digitalocean"
      version = "~> 2.99.1"
    }
  }
}

# The token and the keys of Spaces are taken from the environment, so that they
# stand in no file here and in no plan.
provider "digitalocean" {}
