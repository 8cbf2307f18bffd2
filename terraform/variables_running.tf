# How an environment runs: settings, times, sizes, who is told and who may ask. None has to be given.

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
  validation {
    condition = alltrue([
      for name, number in local.bundle.numbers : (
        can(tonumber(var.settings[name])) &&
        try(tonumber(var.settings[name]) >= number.least, false) &&
        (!number.whole || try(tonumber(var.settings[name]) == floor(tonumber(var.settings[name])), false))
      ) if contains(keys(var.settings), name)
    ])
    error_message = "settings: ${join(", ", [for name, number in local.bundle.numbers : "${name} must be a ${number.whole ? "whole number" : "number"} of at least ${number.least}" if contains(keys(var.settings), name)])}. A function that finds another value does not start."
  }
  validation {
    condition = alltrue([
      for name, value in var.settings : can(regex("^ *(0x[0-9a-fA-F]{40} *(, *|$))*$", value)) if name == "PLUMBLINE_PLATFORM_WALLETS"
    ])
    error_message = "settings: PLUMBLINE_PLATFORM_WALLETS must be addresses (0x and 40 hex digits), comma-separated."
  }
  validation {
    condition = alltrue(flatten([
      for name, value in var.settings : [
        for pair in split(",", value) : contains(local.bundle.fee_keys, trimspace(split("=", pair)[0])) && can(regex("^[^=]+=[^=]+$", pair))
      ] if startswith(name, "PLUMBLINE_FEES_")
    ]))
    error_message = "settings: PLUMBLINE_FEES_<CHAINID> must be key=value, comma-separated; keys are ${join(", ", local.bundle.fee_keys)} (docs/configuration.md)."
  }
  validation {
    # Else a run would be ended in the midst of it, again and again.
    condition     = try(tonumber(var.settings["PLUMBLINE_RECONCILE_BUDGET_S"]), 0) <= local.longest_run_s
    error_message = "settings: PLUMBLINE_RECONCILE_BUDGET_S must be at most ${local.longest_run_s}, half of the function's time-out: a run ends what it has begun after its budget is over."
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
      can(regex(local.cron, schedule.cron)) && alltrue([
        for range in regexall("([0-9]+)-([0-9]+)", schedule.cron) : tonumber(range[0]) <= tonumber(range[1])
      ])
      if schedule.cron != null
    ])
    error_message = "schedules: cron must have five fields of numbers, such as \"*/5 * * * *\": minute (0 to 59), hour (0 to 23), day of the month (1 to 31), month (1 to 12), day of the week (0 to 6, 0 is Sunday), each *, a number, a range from low to high, one of these with a step of at least 1, or a list of such."
  }
  validation {
    condition     = alltrue([for schedule in var.schedules : schedule.cron == null || var.alerts.reconciliation_late_s != null])
    error_message = "schedules: with other times than the code's say, too, in alerts.reconciliation_late_s, after how many seconds without a good run somebody is told: three times the longest pause between two runs is a good choice."
  }
  validation {
    condition     = alltrue([for schedule in var.schedules : can(regex("^(UTC|(${join("|", local.tz_areas)})(/[A-Z][A-Za-z_+-]+[0-9]*)+)$", schedule.time_zone))])
    error_message = "schedules: time_zone must be a name of the tz database, such as \"Etc/UTC\" or \"America/New_York\", and begin with one of ${join(", ", local.tz_areas)}."
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
    condition = alltrue([
      for size in var.sizes : can(regex("^[0-9]+(Mi|Gi)$", size.memory)) && try(
        tonumber(regex("^[0-9]+", size.memory)) * (endswith(size.memory, "Gi") ? 1024 : 1) >= local.least_memory_mi &&
        tonumber(regex("^[0-9]+", size.memory)) * (endswith(size.memory, "Gi") ? 1024 : 1) <= local.most_memory_mi, false
      ) if size.memory != null
    ])
    error_message = "sizes: memory must be a number with Mi or Gi, from ${local.least_memory_mi}Mi to ${local.most_memory_mi / 1024}Gi, which is the most that one processor may have."
  }
  validation {
    condition = alltrue([
      for size in var.sizes : alltrue([
        for number in [size.max_instances, size.min_instances] : number == floor(number) && number >= 0 && number <= 1000 if number != null
      ])
    ])
    error_message = "sizes: max_instances and min_instances must be whole numbers from 0 to 1000."
  }
  validation {
    condition = alltrue([
      for name, size in var.sizes :
      try(coalesce(size.max_instances, local.functions[name].max_instances), 1) >= max(1, coalesce(size.min_instances, 0))
    ])
    error_message = "sizes: max_instances must be at least 1 and at least min_instances."
  }
  validation {
    condition     = alltrue([for name, size in var.sizes : size.min_instances == null if try(local.functions[name].trigger == "always", false)])
    error_message = "sizes: what runs always has as many instances as max_instances says: leave min_instances out."
  }
}

variable "alerts" {
  description = <<-EOT
    Who is told, and from when on. slack: the secret that holds the webhook to which Plumbline's own alerts are posted;
    email: their sending by Amazon SES, with the secrets that hold an access key of an account that may do that alone.
    Of Cloud Monitoring's alerts are emails: addresses; channels: notification channels that exist already
    (projects/PROJECT/notificationChannels/ID: Slack, PagerDuty, ...). The limits are the product's own (reconciliation_late_s: three
    times the code's pause between two runs), and those of Plumbline's own alerts follow: mismatches, reconciliation_late_s
    and lag_s are told to every function, unless settings says otherwise. runbook_url: where
    your copy of docs/operate.md is read, for a link in each notice.
  EOT
  type = object({
    slack = optional(object({ secret = string, version = string }))
    email = optional(object({
      from   = string
      to     = list(string)
      region = string
      key_id = object({ secret = string, version = string })
      key    = object({ secret = string, version = string })
    }))
    emails                  = optional(list(string), [])
    channels                = optional(list(string), [])
    mismatches              = optional(number, 5)
    reconciliation_late_s   = optional(number)
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
      can(regex("^[A-Za-z0-9_-]{1,255}$", secret.secret)) && can(regex("^[1-9][0-9]*$", secret.version)) if secret != null
    ])
    error_message = "alerts: slack, email.key_id and email.key name a secret's id, such as \"plumbline-slack\", and the number of an enabled version (not \"latest\"): see `gcloud secrets versions list SECRET`. Never the URL or key itself."
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
    error_message = "alerts.emails: an entry must be an address such as \"operations@example.com\"; a list of people is a channel (alerts.channels)."
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
      for limit in [var.alerts.lag_s, var.alerts.certificate_age_s, var.alerts.log_to_state_p95_s] : limit >= 1
    ]) && var.alerts.mismatches >= 0 && var.alerts.mismatches == floor(var.alerts.mismatches)
    error_message = "alerts: limits of time must be at least 1 second, and mismatches a whole number of at least 0."
  }
  validation {
    # https://cloud.google.com/monitoring/alerts/metric-absence: of silence, minutes from 2 to 23.5 hours.
    condition = alltrue([
      for silent_s in [coalesce(var.alerts.reconciliation_late_s, 900), var.alerts.listener_silent_minutes * 60] :
      silent_s % 60 == 0 && silent_s >= 120 && silent_s <= 84600
    ])
    error_message = "alerts: silence is told of by the minute, after 2 minutes at least and 23.5 hours at most: reconciliation_late_s must be a multiple of 60 from 120 to 84600, listener_silent_minutes a whole number from 2 to 1410."
  }
  validation {
    condition     = var.alerts.runbook_url == null || can(regex("^https?://[^\\s/]+", var.alerts.runbook_url))
    error_message = "alerts.runbook_url must be a URL that begins with https:// or http://."
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
