# What the clock calls. When, the code says (shared/domain/schedules.py, by way of the manifest).

locals {
  scheduled = { for name, function in local.served : name => function if function.trigger == "schedule" }
}

resource "google_cloud_scheduler_job" "all" {
  for_each = local.scheduled

  project     = local.project_id
  region      = var.region
  name        = local.resource_names[each.key]
  description = each.value.does
  schedule    = try(coalesce(var.schedules[each.key].cron), local.bundle.schedules[each.key].cron)
  time_zone   = try(var.schedules[each.key].time_zone, "Etc/UTC")
  paused      = try(var.schedules[each.key].paused, false)

  attempt_deadline = "${each.value.timeout_s + 30}s" # past the function's own time-out

  retry_config {
    # The next run is minutes away and does all that this one would have done; a run that found another one at
    # work (503) need not be pressed.
    retry_count          = 2
    min_backoff_duration = "10s"
    max_backoff_duration = "60s"
    max_doublings        = 3
  }

  http_target {
    http_method = "POST"
    uri         = google_cloudfunctions2_function.served[each.key].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.caller["scheduler"].email
      audience              = google_cloudfunctions2_function.served[each.key].service_config[0].uri
    }
  }

  # The first run finds its indexes: without them Firestore refuses what it asks, and the run is an alert.
  depends_on = [
    google_cloud_run_v2_service_iam_member.invoker,
    google_firestore_field.all,
    google_firestore_index.all,
  ]
}
