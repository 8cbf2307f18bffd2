# A look from outside at what is reached from outside. The rest has no address for it: the listener's health is told by
# its probes and by its figures, whose silence is an alert.

locals {
  looked_at = {
    for name, function in local.served : name => function
    if var.uptime_checks && function.internet && function.uptime_path != null
  }
  monitoring_agent = "serviceAccount:service-${data.google_project.here.number}@gcp-sa-monitoring-notification.iam.gserviceaccount.com"
}

resource "google_monitoring_uptime_check_config" "all" {
  for_each = local.looked_at

  project      = local.project_id
  display_name = "Plumbline ${var.environment}: ${each.key}"
  timeout      = "10s"
  period       = "300s"

  http_check {
    path         = each.value.uptime_path
    port         = 443
    use_ssl      = true
    validate_ssl = true

    service_agent_authentication {
      type = "OIDC_TOKEN"
    }
  }

  monitored_resource {
    type = "uptime_url"
    labels = {
      project_id = var.project_id
      host       = trimprefix(google_cloudfunctions2_function.served[each.key].service_config[0].uri, "https://")
    }
  }
}

resource "google_cloud_run_v2_service_iam_member" "uptime" {
  for_each = local.looked_at

  project  = local.project_id
  location = var.region
  name     = google_cloudfunctions2_function.served[each.key].name
  role     = "roles/run.invoker"
  member   = local.monitoring_agent

  # Google makes its agent with a project's first check that signs in; before, there is nobody to give a right to.
  depends_on = [google_monitoring_uptime_check_config.all]
}

resource "google_monitoring_alert_policy" "uptime" {
  for_each = local.looked_at

  project               = local.project_id
  display_name          = "Plumbline ${var.environment}: unreachable (${each.key})"
  severity              = "CRITICAL"
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = local.labels

  conditions {
    display_name = "unreachable: ${each.key}"

    condition_threshold {
      filter          = "metric.type = \"monitoring.googleapis.com/uptime_check/check_passed\" AND resource.type = \"uptime_url\" AND metric.label.check_id = \"${google_monitoring_uptime_check_config.all[each.key].uptime_check_id}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1 # of six places that look, more than one cannot
      duration        = "300s"

      aggregations {
        alignment_period     = "1200s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "${each.key} cannot be reached from outside.\n\nWhat to do: docs/operate.md, section *unreachable*."

    dynamic "links" {
      for_each = var.alerts.runbook_url[*]

      content {
        display_name = "Runbook: unreachable"
        url          = "${links.value}#unreachable"
      }
    }
  }

  alert_strategy {
    auto_close           = "86400s"
    notification_prompts = ["OPENED", "CLOSED"]
  }
}
