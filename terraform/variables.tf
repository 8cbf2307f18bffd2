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
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region must be a region such as \"europe-west1\", not a zone (europe-west1-b) or a multi-region (eur3): see `gcloud run regions list`."
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
    error_message = "firestore.database must be \"(default)\", or 4 to 63 lower-case letters, digits and hyphens."
  }
  validation {
    condition = alltrue([
      for days in [var.firestore.daily_backups_days, var.firestore.weekly_backups_days] :
      days == floor(days) && days >= 1 && days <= 98
    ])
    error_message = "firestore.daily_backups_days and weekly_backups_days must be whole numbers from 1 to 98 (14 weeks, Firestore's longest)."
  }
  validation {
    condition     = length(setintersection(var.firestore.unindexed_event_fields, ["rolloverId", "eventType", "metadata", "audit"])) == 0
    error_message = "firestore.unindexed_event_fields: Plumbline itself asks for rolloverId, eventType, metadata.originalEventId and audit.storedAt; they must stay indexed."
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
    rpc = object({ secret = string, version = number })
    ws  = optional(object({ secret = string, version = number }))
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
        try(url.version == floor(url.version) && url.version >= 1, false) if url != null
      ]
    ]))
    error_message = "chains: version must be the number of an enabled version of the secret, at least 1: see `gcloud secrets versions list SECRET`."
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

variable "settings" {
  description = "Further settings of docs/configuration.md for every function, such as PLUMBLINE_LAG_S."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name in keys(var.settings) : contains(local.bundle.settings, name) || can(regex("^PLUMBLINE_FEES_[1-9][0-9]*$", name))
    ])
    error_message = "settings: a name is no setting of this version. Known are PLUMBLINE_FEES_<CHAINID>, ${join(", ", local.bundle.settings)}. URLs of nodes belong in chains."
  }
  validation {
    condition = alltrue([
      for name in keys(var.settings) :
      !contains(["PLUMBLINE_STORE", "PLUMBLINE_BUS", "PLUMBLINE_CONTRACTS", "PLUMBLINE_HEALTH_PORT", "PLUMBLINE_METRICS"], name) &&
      !can(regex("^PLUMBLINE_ALERT_(SLACK|EMAIL)_", name))
    ])
    error_message = "settings: PLUMBLINE_STORE, _BUS, _CONTRACTS, _HEALTH_PORT, _METRICS and _ALERT_SLACK_ and _EMAIL_ follow from firestore, project_id, alerts and the bundle; leave them out."
  }
}

variable "schedules" {
  description = "Other times than the code's own for what the clock calls, by function: cron in unix-cron, or paused."
  type = map(object({
    cron      = optional(string)
    time_zone = optional(string, "Etc/UTC")
    paused    = optional(bool, false)
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.schedules) : contains(keys(local.bundle.schedules), name)])
    error_message = "schedules: only these functions are called by the clock: ${join(", ", keys(local.bundle.schedules))}."
  }
  validation {
    condition = alltrue([
      for schedule in var.schedules :
      schedule.cron == null || can(regex("^((\\*|[0-9]{1,2}(-[0-9]{1,2})?)(/[0-9]{1,2})?(,(\\*|[0-9]{1,2}(-[0-9]{1,2})?)(/[0-9]{1,2})?)*)( ((\\*|[0-9]{1,2}(-[0-9]{1,2})?)(/[0-9]{1,2})?(,(\\*|[0-9]{1,2}(-[0-9]{1,2})?)(/[0-9]{1,2})?)*)){4}$", schedule.cron))
    ])
    error_message = "schedules: cron must have five fields of numbers (minute, hour, day of the month, month, day of the week), such as \"*/5 * * * *\"."
  }
  validation {
    condition     = alltrue([for schedule in var.schedules : can(regex("^(UTC|[A-Z][A-Za-z]+(/[A-Z][A-Za-z_+-]+[0-9]*)+)$", schedule.time_zone))])
    error_message = "schedules: time_zone must be a name of the tz database, such as \"Etc/UTC\" or \"America/New_York\"."
  }
}

variable "sizes" {
  description = "Other sizes than the table's (functions_table.tf), by function: memory such as \"1Gi\", most and least instances."
  type = map(object({
    memory        = optional(string)
    max_instances = optional(number)
    min_instances = optional(number)
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.sizes) : contains(keys(local.functions), name)])
    error_message = "sizes: a name is no function. There are ${join(", ", keys(local.functions))}."
  }
  validation {
    condition     = alltrue([for size in var.sizes : size.memory == null || can(regex("^[0-9]+(Mi|Gi)$", size.memory))])
    error_message = "sizes: memory must be a number with Mi or Gi, such as \"512Mi\"."
  }
  validation {
    condition = alltrue([
      for name, size in var.sizes :
      coalesce(size.min_instances, 0) >= 0 &&
      try(coalesce(size.max_instances, local.functions[name].max_instances), 1) >= max(1, coalesce(size.min_instances, 0))
    ])
    error_message = "sizes: max_instances must be at least 1 and at least min_instances."
  }
}

variable "alerts" {
  description = <<-EOT
    Who is told, and from when on. slack: the secret that holds the webhook to which Plumbline's own alerts are posted;
    email: their sending by Amazon SES, with the secrets that hold an access key of an account that may do that alone.
    Of Cloud Monitoring's alerts are emails: addresses; channels: notification channels that exist already
    (projects/PROJECT/notificationChannels/ID: Slack, PagerDuty, ...). The limits are the product's own. runbook_url: where
    your copy of docs/operate.md is read, for a link in each notice.
  EOT
  type = object({
    slack = optional(object({ secret = string, version = number }))
    email = optional(object({
      from   = string
      to     = list(string)
      region = string
      key_id = object({ secret = string, version = number })
      key    = object({ secret = string, version = number })
    }))
    emails                  = optional(list(string), [])
    channels                = optional(list(string), [])
    mismatches              = optional(number, 5)
    reconciliation_late_s   = optional(number, 900)
    lag_s                   = optional(number, 60)
    certificate_age_s       = optional(number, 3600)
    error_rate              = optional(number, 0.05)
    log_to_state_p95_s      = optional(number, 60)
    listener_silent_minutes = optional(number, 5)
    runbook_url             = optional(string)
  })
  default = {}

  validation {
    condition = alltrue([
      for secret in [var.alerts.slack, try(var.alerts.email.key_id, null), try(var.alerts.email.key, null)] :
      can(regex("^[A-Za-z0-9_-]{1,255}$", secret.secret)) && try(secret.version == floor(secret.version) && secret.version >= 1, false) if secret != null
    ])
    error_message = "alerts: slack, email.key_id and email.key name a secret's id, such as \"plumbline-slack\", and the number of an enabled version: see `gcloud secrets versions list SECRET`. Never the URL or key itself."
  }
  validation {
    condition = var.alerts.email == null ? true : (
      length(var.alerts.email.to) >= 1 && length(var.alerts.email.to) <= 50 &&
      alltrue([for email in concat([var.alerts.email.from], var.alerts.email.to) : can(regex("^[^@\\s,;]+@[^@\\s,;]+$", email))]) &&
      can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.alerts.email.region))
    )
    error_message = "alerts.email: from and to are addresses (1 to 50 of the latter), region is an AWS region such as \"eu-west-1\"."
  }
  validation {
    condition     = alltrue([for email in var.alerts.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "alerts.emails: an entry is no address."
  }
  validation {
    condition     = alltrue([for channel in var.alerts.channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", channel))])
    error_message = "alerts.channels: an entry is no full name of a channel: see `gcloud alpha monitoring channels list --format='value(name)'`."
  }
  validation {
    condition     = var.alerts.error_rate > 0 && var.alerts.error_rate < 1
    error_message = "alerts.error_rate is a share between 0 and 1: 0.05 is five percent."
  }
  validation {
    condition = alltrue([
      for limit in [var.alerts.reconciliation_late_s, var.alerts.lag_s, var.alerts.certificate_age_s, var.alerts.log_to_state_p95_s, var.alerts.listener_silent_minutes] : limit > 0
    ]) && var.alerts.mismatches >= 0
    error_message = "alerts: limits of time must be above 0, and mismatches at least 0."
  }
}

variable "uptime_checks" {
  description = "Look at functions from outside, where their ingress lets anybody in (see quote_gas). Costs per check."
  type        = bool
  default     = false
}

variable "quote_gas" {
  description = <<-EOT
    Who may ask for gas quotes: invokers, such as "serviceAccount:app@project.iam.gserviceaccount.com". internet: accept
    requests from outside of the project's networks (callers still need to be invokers). public: anybody at all may call it.
  EOT
  type = object({
    invokers = optional(list(string), [])
    internet = optional(bool, false)
    public   = optional(bool, false)
  })
  default = {}

  validation {
    condition     = alltrue([for member in var.quote_gas.invokers : can(regex("^(serviceAccount|user|group|principal|principalSet):.+$", member))])
    error_message = "quote_gas.invokers: an entry must be a member such as \"serviceAccount:NAME@PROJECT.iam.gserviceaccount.com\". To let anybody in set public = true, which says so."
  }
  validation {
    condition     = var.quote_gas.internet || !var.quote_gas.public
    error_message = "quote_gas: public = true without internet = true lets nobody new in. Set both, or neither."
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
}
