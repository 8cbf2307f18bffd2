# An account for each function, and one for each hand that calls them. Rights stand beside what they are rights on.

resource "google_service_account" "function" {
  for_each = local.functions

  project      = local.project_id
  account_id   = "plumbline-${each.value.account}"
  display_name = "Plumbline ${each.key}"
  description  = each.value.does
}

resource "google_service_account" "caller" {
  for_each = {
    push      = "Pub/Sub, when it pushes messages to functions"
    trigger   = "Eventarc, when it brings Firestore's events to functions"
    scheduler = "Cloud Scheduler, when it calls functions"
  }

  project      = local.project_id
  account_id   = "plumbline-${each.key}"
  display_name = "Plumbline ${each.key}"
  description  = each.value
}

resource "google_project_iam_member" "metric_writer" {
  for_each = local.functions

  project = local.project_id
  role    = "roles/monitoring.metricWriter"
  member  = google_service_account.function[each.key].member
}

resource "google_project_iam_member" "event_receiver" {
  project = local.project_id
  role    = "roles/eventarc.eventReceiver"
  member  = google_service_account.caller["trigger"].member
}

# Who calls which function: its trigger's account, and the callers that its entry names.
locals {
  trigger_accounts = { push = "push", document = "trigger", schedule = "scheduler" }

  invokers = merge([
    for name, function in local.served : {
      for caller in concat(
        try(["trigger:${local.trigger_accounts[function.trigger]}"], []),
        function.callers,
      ) : "${name} ${caller}" => { function = name, caller = caller }
    }
  ]...)
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = local.invokers

  project  = local.project_id
  location = var.region
  name     = google_cloudfunctions2_function.served[each.value.function].name # its service has its name
  role     = "roles/run.invoker"
  member = (
    startswith(each.value.caller, "trigger:")
    ? google_service_account.caller[trimprefix(each.value.caller, "trigger:")].member
    : each.value.caller
  )
}
