variable "name" {
  description = "Name of the cluster, which the other resources bear too."
  type        = string
  default     = "berth"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", var.name))
    error_message = "The name must be a DNS label of at most 40 characters: small letters, digits and dashes, beginning with a letter."
  }
}

variable "region" {
  description = "Region of the cluster and its network, as fra1. It cannot be changed afterwards."
  type        = string
  default     = "fra1"

  validation {
    condition     = can(regex("^[a-z]{3}[0-9]$", var.region))
    error_message = "The region must be one of DigitalOcean's, as fra1 or nyc3."
  }
}

variable "vpc_ip_range" {
  description = "Private range of the VPC, as 10.20.0.0/20; null lets DigitalOcean choose a free one. It cannot be changed afterwards."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_ip_range == null || can(cidrhost(var.vpc_ip_range, 0)) && can(regex("/(1[6-9]|2[0-4])$", var.vpc_ip_range))
    error_message = "The range must be an IPv4 range of /16 to /24, as 10.20.0.0/20."
  }
}

variable "kubernetes_version" {
  description = "Minor release of Kubernetes that a new cluster gets the newest patch of, as 1.36; null takes the newest there is."
  type        = string
  default     = null

  validation {
    condition     = var.kubernetes_version == null || can(regex("^1\\.[0-9]+$", var.kubernetes_version))
    error_message = "The version must be a minor release, as 1.36."
  }
}

variable "ha" {
  description = "Whether the control plane is highly available, which costs extra and cannot be turned off afterwards."
  type        = bool
  default     = false
  nullable    = false
}

variable "auto_upgrade" {
  description = "Whether DigitalOcean installs new patches of Kubernetes in the maintenance window."
  type        = bool
  default     = true
  nullable    = false
}

variable "maintenance_day" {
  description = "Day of the maintenance window: any, or monday to sunday; a managed PostgreSQL needs a day. Without auto_upgrade the cluster has none."
  type        = string
  default     = "any"
  nullable    = false

  validation {
    condition     = contains(["any", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"], var.maintenance_day)
    error_message = "The day must be any, or monday to sunday in small letters."
  }
}

variable "maintenance_start" {
  description = "UTC time at which the maintenance window of four hours begins, as 04:00."
  type        = string
  default     = "04:00"
  nullable    = false

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.maintenance_start))
    error_message = "The time must be hours and minutes, as 04:00."
  }
}

variable "node_size" {
  description = "Droplet size of the nodes of a new cluster, as s-2vcpu-4gb. Later `berth scale --size` changes it: Terraform could only replace the whole cluster."
  type        = string
  default     = "s-2vcpu-4gb"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_.]*(-[a-z0-9_.]+)+$", var.node_size))
    error_message = "The size must be one of DigitalOcean's, as s-2vcpu-4gb."
  }
}

variable "node_count" {
  description = "Number of nodes; the least number where max_nodes lets it grow."
  type        = number
  default     = 2

  validation {
    condition     = var.node_count >= 1 && var.node_count <= 512 && floor(var.node_count) == var.node_count
    error_message = "There must be 1 to 512 nodes."
  }
}

variable "max_nodes" {
  description = "Number of nodes up to which the cluster grows by itself, at least node_count; null keeps it at node_count."
  type        = number
  default     = null

  validation {
    condition     = var.max_nodes == null ? true : var.max_nodes >= 1 && var.max_nodes <= 512 && floor(var.max_nodes) == var.max_nodes
    error_message = "There can be 1 to 512 nodes."
  }
}

variable "tags" {
  description = "Tags for the cluster and its nodes."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for tag in var.tags : can(regex("^[A-Za-z0-9:_-]{1,255}$", tag)) && !startswith(tag, "k8s") && !startswith(tag, "terraform:")])
    error_message = "Tags have letters, digits, colons, dashes and underscores; those that begin with k8s or terraform: belong to others."
  }
}

variable "destroy_associated_resources" {
  description = "Whether destroying the cluster takes along the load balancers, volumes and snapshots that Kubernetes made. DigitalOcean reads it from the state, so it must have been applied before. Berth leaves it false and removes them itself."
  type        = bool
  default     = false
  nullable    = false
}

variable "bucket" {
  description = "Name of the Space for backups and logs. It must be free in all of Spaces, not in your account alone."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "The name must have 3 to 63 small letters, digits and dashes, with no dash at its ends."
  }
}

variable "bucket_region" {
  description = "Region of the Space; null takes the cluster's, or the nearest one that has Spaces. It cannot be changed afterwards."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_region == null || can(regex("^[a-z]{3}[0-9]$", var.bucket_region))
    error_message = "The region must be one of DigitalOcean's, as fra1 or nyc3."
  }
}

variable "bucket_undelete_days" {
  description = "Days for which the Space keeps objects that were deleted or overwritten."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.bucket_undelete_days >= 1 && floor(var.bucket_undelete_days) == var.bucket_undelete_days
    error_message = "Objects must be kept for at least one whole day."
  }
}

variable "logs_prefix" {
  description = "What the names of archived logs begin with in the Space."
  type        = string
  default     = "logs/"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*/$", var.logs_prefix))
    error_message = "The prefix must end with a slash and begin with none, as logs/."
  }
}

variable "logs_days" {
  description = "Days after which archived logs are deleted; null keeps them for ever."
  type        = number
  default     = 90

  validation {
    condition     = var.logs_days == null ? true : var.logs_days >= 1 && floor(var.logs_days) == var.logs_days
    error_message = "Logs must be kept for at least one whole day."
  }
}

variable "destroy_bucket_content" {
  description = "Whether destroying the Space deletes the backups in it. While it is false, a Space that holds anything cannot be destroyed. It must have been applied before."
  type        = bool
  default     = false
  nullable    = false
}

variable "project_environment" {
  description = "What DigitalOcean's control panel says the project is for: Development, Staging or Production."
  type        = string
  default     = "Production"
  nullable    = false

  validation {
    condition     = contains(["Development", "Staging", "Production"], var.project_environment)
    error_message = "The environment must be Development, Staging or Production."
  }
}

variable "domain" {
  description = "Domain whose DNS records DigitalOcean serves, as example.com; null leaves DNS alone."
  type        = string
  default     = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$", var.domain))
    error_message = "The domain must be written in small letters, as example.com."
  }
}

variable "create_domain" {
  description = "Whether the domain is added to DigitalOcean, and removed with all its records in the end. Leave it false for a domain that is there already."
  type        = bool
  default     = false
  nullable    = false
}

variable "hosts" {
  description = "Hosts of the environments, each the domain or below it, that get a record with ingress_ip."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for host in var.hosts : can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$", host))])
    error_message = "Hosts must be written in small letters, as staging.example.com."
  }
}

variable "ingress_ip" {
  description = "IPv4 address of the load balancer that Kubernetes made; null while there is none, and then there are no records."
  type        = string
  default     = null

  validation {
    condition     = var.ingress_ip == null || can(regex("^([0-9]{1,3}\\.){3}[0-9]{1,3}$", var.ingress_ip)) && can(cidrhost("${var.ingress_ip}/32", 0))
    error_message = "The address must be an IPv4 address."
  }
}

variable "registry" {
  description = "Name of a container registry to make, free in all of DigitalOcean; null makes none."
  type        = string
  default     = null

  validation {
    condition     = var.registry == null || can(regex("^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$", var.registry))
    error_message = "The name must have small letters, digits and dashes, with no dash at its ends."
  }
}

variable "registry_tier" {
  description = "Subscription of the account to container registries, as starter, basic or professional."
  type        = string
  default     = "basic"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9_-]*$", var.registry_tier))
    error_message = "The tier must be one of DigitalOcean's, as starter, basic or professional."
  }
}

variable "postgres_size" {
  description = "Size of a managed PostgreSQL, as db-s-1vcpu-1gb; null makes none, and PostgreSQL runs in the cluster."
  type        = string
  default     = null

  validation {
    condition     = var.postgres_size == null || can(regex("^(db|gd|so|m|c)[a-z0-9_.]*(-[a-z0-9_.]+)+$", var.postgres_size))
    error_message = "The size must be one of DigitalOcean's for databases, as db-s-1vcpu-1gb."
  }
}

variable "postgres_version" {
  description = "Major release of the managed PostgreSQL. It can be raised, not lowered."
  type        = string
  default     = "17"
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]$", var.postgres_version))
    error_message = "The version must be a major release, as 17."
  }
}

variable "postgres_nodes" {
  description = "Nodes of the managed PostgreSQL: 1, or with standbys 2 or 3."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = contains([1, 2, 3], var.postgres_nodes)
    error_message = "There must be 1, 2 or 3 nodes."
  }
}

variable "postgres_databases" {
  description = "Databases to make in the managed PostgreSQL, one for each environment that uses it."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for database in var.postgres_databases : can(regex("^[a-z][a-z0-9_-]{0,62}$", database))])
    error_message = "Databases have small letters, digits, dashes and underscores, beginning with a letter."
  }
}
