# What an environment is: where it runs, its database, chains and contracts.

variable "project_id" {
  description = "The Google Cloud project. One project is one environment: topics and functions have fixed names in it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be a project's id (6 to 30 lower-case letters, digits and hyphens), not its name or number: see `gcloud projects list`."
  }
}

variable "environment" {
  description = "What this environment is called, in labels and alerts: production, staging, ..."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.environment))
    error_message = "environment must be a label's value: lower-case letters, digits and hyphens, beginning with a letter, such as \"staging\"."
  }
}

variable "region" {
  description = "Where functions, listener and scheduler run. Near the database: each event is a few round trips to it."
  type        = string

  validation {
    condition     = contains(local.run_regions, var.region)
    error_message = "region must be a region of Cloud Run such as \"europe-west1\", not a zone (europe-west1-b) or a multi-region (eur3): ${join(", ", local.run_regions)}. One that is newer than this list goes into run_regions (limits.tf)."
  }
}

variable "bundle" {
  description = "The folder that `plumbline bundle` wrote: archives, and manifest.json with what is in them."
  type        = string
  default     = "../build/bundle"

  validation {
    condition     = fileexists("${var.bundle}/manifest.json")
    error_message = "There is no manifest.json in the folder that bundle names: run `plumbline bundle CONTRACTS` first, or set bundle to where it wrote."
  }
  validation {
    condition     = !fileexists("${var.bundle}/manifest.json") || can([for key in keys(local.empty_bundle) : jsondecode(file("${var.bundle}/manifest.json"))[key]])
    error_message = "The manifest in the folder that bundle names is not one of this version of Plumbline: run `plumbline bundle CONTRACTS` again."
  }
}

variable "firestore" {
  description = <<-EOT
    The database. With create = false it is the application's, which exists already: its settings, backups and
    security rules are left alone, and only indexes and field settings of Plumbline's collections are added.
    rules: the security rules that refuse every client; by default only for a database that is created here.
    unindexed_event_fields: fields of events without an index. Leave out what the application asks for.
  EOT
  type = object({
    location            = string
    database            = optional(string, "(default)")
    create              = optional(bool, true)
    rules               = optional(bool)
    deletion_protection = optional(bool, true)
    daily_backups_days  = optional(number, 7)
    weekly_backups_days = optional(number, 98)

    unindexed_event_fields = optional(list(string), ["data"])
  })

  validation {
    condition     = contains(local.trigger_locations, var.firestore.location)
    error_message = "firestore.location must be one from which Firestore sends events to functions: ${join(", ", local.trigger_locations)}. A database cannot be moved: see `gcloud firestore databases describe`."
  }
  validation {
    condition     = var.firestore.database == "(default)" || can(regex("^[a-z][a-z0-9-]{2,61}[a-z0-9]$", var.firestore.database))
    error_message = "firestore.database must be \"(default)\", or 4 to 63 lower-case letters, digits and hyphens, beginning with a letter."
  }
  validation {
    condition = alltrue([
      for days in [var.firestore.daily_backups_days, var.firestore.weekly_backups_days] :
      days == floor(days) && days >= 1 && days <= 98
    ])
    error_message = "firestore.daily_backups_days and weekly_backups_days must be whole numbers from 1 to 98 (14 weeks, Firestore's longest)."
  }
  validation {
    condition     = length(setintersection(var.firestore.unindexed_event_fields, ["rolloverId", "eventType", "timestamp", "metadata", "audit"])) == 0
    error_message = "firestore.unindexed_event_fields: Plumbline itself asks for rolloverId, eventType, timestamp, metadata.originalEventId and audit.storedAt; they must stay indexed."
  }
}

variable "chains" {
  description = <<-EOT
    The chains that contracts are on, each with the secrets that hold its nodes' URLs: rpc (comma-separated http or
    https URLs) and ws (one ws or wss URL, optional). Secrets and versions exist before; a version is named by its number,
    so that a new URL is a change that a plan shows.
  EOT
  type = list(object({
    id  = number
    rpc = object({ secret = string, version = string })
    ws  = optional(object({ secret = string, version = string }))
  }))

  validation {
    condition     = length(var.chains) > 0
    error_message = "chains is empty: give at least one chain, such as { id = 11155111, rpc = { secret = \"plumbline-rpc-11155111\", version = 1 } }."
  }
  validation {
    condition     = length(distinct(var.chains[*].id)) == length(var.chains)
    error_message = "Two entries of chains have one id: give a chain once, with all of its URLs in one secret, comma-separated."
  }
  validation {
    condition     = alltrue([for chain in var.chains : chain.id == floor(chain.id) && chain.id >= 1])
    error_message = "A chain's id must be a whole number of at least 1 (EIP-155): 1 is Ethereum, 11155111 Sepolia, 42161 Arbitrum One."
  }
  validation {
    condition = alltrue(flatten([
      for chain in var.chains : [
        for url in [chain.rpc, chain.ws] :
        can(regex("^[A-Za-z0-9_-]{1,255}$", url.secret)) if url != null
      ]
    ]))
    error_message = "chains: secret must be a secret's id, such as \"plumbline-rpc-1\": not its full name, and never the URL itself, which holds a key."
  }
  validation {
    condition = alltrue(flatten([
      for chain in var.chains : [
        for url in [chain.rpc, chain.ws] :
        can(regex("^[1-9][0-9]*$", url.version)) if url != null
      ]
    ]))
    error_message = "chains: version must be the number of an enabled version of the secret, such as 1, and not \"latest\", which would change without a plan: see `gcloud secrets versions list SECRET`."
  }
}

variable "contracts" {
  description = "The contracts that this environment follows. The bundle must hold exactly these: what was bundled for another environment is not deployed here."
  type = list(object({
    chain_id = number
    address  = string
  }))

  validation {
    condition     = length(var.contracts) > 0
    error_message = "contracts is empty: Plumbline would follow nothing. Give at least one { chain_id, address }."
  }
  validation {
    condition     = alltrue([for contract in var.contracts : can(regex("^0x[0-9a-fA-F]{40}$", contract.address))])
    error_message = "contracts: an address must be 0x and 40 hex digits."
  }
  validation {
    condition = length(var.contracts) == length(distinct([
      for contract in var.contracts : "${contract.chain_id}:${lower(contract.address)}"
    ]))
    error_message = "contracts: an address on a chain stands there twice: give each contract once."
  }
  validation {
    # EIP-55 is keccak-256, which Terraform cannot compute: the bundle has computed it.
    condition = alltrue([
      for contract in var.contracts :
      contract.address == lower(contract.address) ||
      !contains([for known in local.bundle.contracts : lower(known.address)], lower(contract.address)) ||
      contains(local.bundle.contracts[*].address, contract.address)
    ])
    error_message = "contracts: an address in mixed case has a wrong checksum (EIP-55). In the bundle are ${join(", ", local.bundle.contracts[*].address)}: copy it from there, once you have made sure that it is the one you mean."
  }
  validation {
    condition = toset([
      for contract in var.contracts : "${contract.chain_id}:${lower(contract.address)}"
      ]) == toset([
      for contract in local.bundle.contracts : "${contract.chainId}:${lower(contract.address)}"
    ])
    error_message = "contracts is not what is in the bundle (${join(", ", [for contract in local.bundle.contracts : "${contract.address} on chain ${contract.chainId}"])}): run `plumbline bundle` with this environment's registry, or correct contracts."
  }
  validation {
    condition     = toset(var.contracts[*].chain_id) == toset(var.chains[*].id)
    error_message = "contracts and chains do not name the same chains: each contract's chain needs its entry in chains, and a chain without a contract must go."
  }
}

variable "labels" {
  description = "Further labels of every resource that takes some."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels: keys begin with a lower-case letter; keys and values have lower-case letters, digits, hyphens and underscores, at most 63."
  }
  validation {
    condition     = alltrue([for key in keys(var.labels) : !contains(["app", "environment"], key) && !startswith(key, "goog")])
    error_message = "labels: app and environment are set already (environment by its own variable), and keys that begin with goog are Google's: leave them out."
  }
}
