# Every function once: its trigger, size and rights. Resources, IAM, triggers and tests come from here, so a new
# function is one entry (and its folder in functions/).
#
#   trigger    push: a Pub/Sub subscription (subscription); document: a Firestore trigger (document);
#              schedule: Cloud Scheduler; request: whoever may call it; always: runs by itself
#   timeout_s  of one request; 0 where there are none
#   threads    requests at once in an instance, and gunicorn's threads
#   database   role on the database: user or viewer
#   publishes  topics that it may publish to
#   secrets    kinds of secrets that it reads (secrets.tf)
#   callers    members that may call it besides its trigger; internet: whether it is reached from outside

locals {
  functions = {
    handle_chain_event = {
      does          = "A message of raw logs becomes events, each once, and states."
      account       = "handler"
      trigger       = "push"
      subscription  = "handle-chain-event"
      document      = null
      memory        = "512Mi"
      timeout_s     = 300 # 500 logs of as many transfers, on a store that makes it wait
      threads       = 4
      min_instances = 0
      max_instances = 10 # more would only contend for the same states; a backlog waits in Pub/Sub for a week
      database      = "user"
      publishes     = ["chain-logs-dead"]
      secrets       = ["alerts"]
      callers       = []
      internet      = false
      uptime_path   = null
    }
    project_events = {
      does          = "An event that was created becomes part of its transfer's state."
      account       = "projector"
      trigger       = "document"
      subscription  = null
      document      = "events/{eventId}"
      memory        = "512Mi"
      timeout_s     = 60
      threads       = 8
      min_instances = 0
      max_instances = 20 # one event is one short transaction; triggers that find no instance come again
      database      = "user"
      publishes     = ["chain-logs-dead"]
      secrets       = ["alerts"]
      callers       = []
      internet      = false
      uptime_path   = null
    }
    reconcile = {
      does          = "Compares the contract at one pinned block with the states, and repairs by appending events."
      account       = "reconciler"
      trigger       = "schedule"
      subscription  = null
      document      = null
      memory        = "512Mi"
      timeout_s     = 540 # a run stops by itself after PLUMBLINE_RECONCILE_BUDGET_S (240) and ends what it has begun
      threads       = 1   # a run is minutes of work: two of them in one instance would share its processor
      min_instances = 0
      max_instances = 2 # a run by the clock (a lease keeps a second out), and one transfer by hand beside it
      database      = "user"
      publishes     = []
      secrets       = ["rpc", "alerts"]
      callers       = []
      internet      = false
      uptime_path   = null
    }
    quote_gas = {
      does          = "Says what to pay, how much gas to allow, and how sure that is."
      account       = "quoter"
      trigger       = "request"
      subscription  = null
      document      = null
      memory        = "512Mi"
      timeout_s     = 30
      threads       = 16 # a quote waits for its node, once a block
      min_instances = 0
      max_instances = 5 # each asks the node once a block: more would only ask it more often
      database      = "viewer"
      publishes     = []
      secrets       = ["rpc"]
      callers       = concat(var.quote_gas.invokers, var.quote_gas.public ? ["allUsers"] : [])
      internet      = var.quote_gas.internet
      uptime_path   = "/openapi.json"
    }
    listen_chain = {
      does          = "Follows every chain, proves each block's logs and publishes them."
      account       = "listener"
      trigger       = "always"
      subscription  = null
      document      = null
      memory        = "512Mi"
      timeout_s     = 0
      threads       = 1
      min_instances = 1
      max_instances = 1 # a second one only stands by (docs/operate.md); a crash is made good in seconds without
      database      = "user"
      publishes     = ["chain-logs"]
      secrets       = ["rpc", "ws"]
      callers       = []
      internet      = false
      uptime_path   = null
    }
  }

  sized = {
    for name, function in local.functions : name => merge(function, {
      for key, value in try(var.sizes[name], {}) : key => value if value != null
    })
  }
  served = { for name, function in local.sized : name => function if function.trigger != "always" }
  always = { for name, function in local.sized : name => function if function.trigger == "always" }

  resource_names = { for name in keys(local.functions) : name => "plumbline-${replace(name, "_", "-")}" }

  # What is told of is one thing, in Cloud Monitoring's alerts, Plumbline's own and `status`.
  limits_told = {
    PLUMBLINE_ALERT_MISMATCHES    = tostring(var.alerts.mismatches)
    PLUMBLINE_LAG_S               = tostring(var.alerts.lag_s)
    PLUMBLINE_RECONCILED_WITHIN_S = tostring(local.late_s)
  }

  environment = merge(local.limits_told, var.settings, {
    PLUMBLINE_STORE     = "firestore://${var.project_id}/${var.firestore.database}"
    PLUMBLINE_BUS       = "pubsub://${var.project_id}"
    PLUMBLINE_CONTRACTS = "contracts"
    PLUMBLINE_METRICS   = "monitoring://${var.project_id}/${var.region}"
  })

  # People's addresses are with those who tell alerts, as the keys to send them by are.
  addresses = var.alerts.email == null ? {} : {
    PLUMBLINE_ALERT_EMAIL_FROM   = var.alerts.email.from
    PLUMBLINE_ALERT_EMAIL_TO     = join(",", var.alerts.email.to)
    PLUMBLINE_ALERT_EMAIL_REGION = var.alerts.email.region
  }
  environment_of = {
    for name, function in local.functions : name => merge(local.environment, {
      for key, value in local.addresses : key => value if contains(function.secrets, "alerts")
    })
  }
}
