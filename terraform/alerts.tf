# Who is told, and of what: one entry an alert. What each means and what is to be done stands in docs/operate.md
# under the entry's name.
#
#   metric      a figure of ours, or with its full type one of Google's
#   filter      what else its series must fulfil
#   aligner     how points of one series become one; reducer, by: how series do
#   above       the limit; for_s: how long it is passed before anybody is told
#   silent_s    instead of above: alert once there is no point at all for so long, of any of the series that by makes
#   severity    CRITICAL: money may hang or lie; WARNING: it will, if nobody looks

locals {
  alert_conditions = {
    reconciliation-errors = [
      { metric = "plumbline_reconcile_last_errors", aligner = "ALIGN_MAX", above = 0 },
    ]
    reconciliation-mismatches = [
      { metric = "plumbline_reconcile_last_mismatches", aligner = "ALIGN_MAX", above = var.alerts.mismatches },
    ]
    reconciliation-late = [
      { metric = "plumbline_reconcile_last_good_age_seconds", aligner = "ALIGN_MAX", above = local.late_s },
      { metric = "plumbline_reconcile_runs_total", aligner = "ALIGN_RATE", silent_s = local.late_s },
    ]
    listener-lag = [
      { metric = "plumbline_lag_seconds", aligner = "ALIGN_MIN", above = var.alerts.lag_s, for_s = 60, by = ["metric.label.chain"] },
    ]
    listener-down = [
      { metric = "plumbline_blocks_behind", aligner = "ALIGN_MEAN", silent_s = var.alerts.listener_silent_minutes * 60, by = ["metric.label.chain"] },
      { metric = "plumbline_listener_stopped", aligner = "ALIGN_MAX", above = 0, by = ["metric.label.chain"] },
    ]
    certificate-age = [
      { metric = "plumbline_certificate_age_seconds", aligner = "ALIGN_MIN", above = var.alerts.certificate_age_s, by = ["metric.label.chain"] },
    ]
    dead-letters = concat(
      [{ metric = "plumbline_dead_letters_total", aligner = "ALIGN_DELTA", period_s = 300, above = 0, by = ["metric.label.cause"] }],
      [for name in sort(keys(local.pulled)) : {
        metric  = "pubsub.googleapis.com/subscription/num_undelivered_messages"
        filter  = "resource.type = \"pubsub_subscription\" AND resource.label.subscription_id = \"${name}\""
        aligner = "ALIGN_MAX", above = 0, for_s = 300
      }],
    )
    messages-waiting = [for name in concat(sort([for name in keys(local.pushed) : "\"${name}\""]), local.brought) : {
      metric  = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"
      filter  = "resource.type = \"pubsub_subscription\" AND resource.label.subscription_id = ${name}"
      aligner = "ALIGN_MAX", above = 600, for_s = 300
    }]
    projection-latency = [
      { metric = "plumbline_log_to_state_seconds", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", period_s = 300, above = var.alerts.log_to_state_p95_s, for_s = 300, by = ["metric.label.chain"], filter = "metric.label.source = \"handle_chain_event\"" },
    ]
    error-rate = [for name in sort(keys(local.served)) : {
      metric      = "run.googleapis.com/request_count"
      filter      = "resource.type = \"cloud_run_revision\" AND resource.label.service_name = \"${local.resource_names[name]}\" AND metric.label.response_code_class = \"5xx\""
      denominator = "metric.type = \"run.googleapis.com/request_count\" AND resource.type = \"cloud_run_revision\" AND resource.label.service_name = \"${local.resource_names[name]}\""
      aligner     = "ALIGN_RATE", period_s = 300, above = var.alerts.error_rate, reducer = "REDUCE_SUM"
    }]
    quote-errors = [
      { metric = "plumbline_quotes_refused_total", aligner = "ALIGN_DELTA", period_s = 300, above = 10, by = ["metric.label.code"], filter = "metric.label.code != \"invalid_input\"" },
    ]
  }

  alerts = {
    reconciliation-errors     = { severity = "CRITICAL", says = "The last reconciliation met errors: what it could not compare is not known to be right." }
    reconciliation-mismatches = { severity = "CRITICAL", says = "The last reconciliation found more crooked transfers than are ever normal." }
    reconciliation-late       = { severity = "CRITICAL", says = "No whole reconciliation has ended well for too long." }
    listener-lag              = { severity = "WARNING", says = "The oldest unread block of a chain is too old: states lag behind the chain." }
    listener-down             = { severity = "CRITICAL", says = "The listener says nothing, or has stopped for good." }
    certificate-age           = { severity = "WARNING", says = "For too long no block was certified: nothing new is proved to be complete." }
    dead-letters              = { severity = "WARNING", says = "A log or an event could not be understood, and waits for somebody to look." }
    messages-waiting          = { severity = "CRITICAL", says = "Messages are not handled: the oldest one waits for more than ten minutes." }
    projection-latency        = { severity = "WARNING", says = "From a log to the state that shows it takes too long." }
    error-rate                = { severity = "WARNING", says = "A function answers too many requests with an error." }
    quote-errors              = { severity = "WARNING", says = "Gas quotes are refused: their nodes do not answer." }
  }

  # Eventarc makes a trigger's subscription by itself, eventarc-REGION-TRIGGER-sub-NUMBER, of a trigger that is called after
  # its function (https://cloud.google.com/eventarc/docs/retry-events). After a day it drops what is not taken.
  brought = [
    for name, function in local.served : "monitoring.regex.full_match(\"eventarc-.+-${local.resource_names[name]}-.+\")"
    if function.trigger == "document"
  ]

  channels = concat(var.alerts.channels, [for channel in google_monitoring_notification_channel.email : channel.id])
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alerts.emails)

  project      = local.project_id
  type         = "email"
  display_name = "Plumbline ${var.environment}: ${each.value}"
  labels       = { email_address = each.value }
}

resource "google_monitoring_alert_policy" "all" {
  for_each = local.alerts

  project               = local.project_id
  display_name          = "Plumbline ${var.environment}: ${each.key}"
  severity              = each.value.severity
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = local.labels

  dynamic "conditions" {
    for_each = [for condition in local.alert_conditions[each.key] : merge({
      by = [], filter = null, denominator = null, for_s = 0, period_s = 60, reducer = null, silent_s = null, above = null
    }, condition)]

    content {
      display_name = "${each.key}: ${basename(conditions.value.metric)}"

      dynamic "condition_threshold" {
        for_each = conditions.value.silent_s == null ? [conditions.value] : []

        content {
          filter = join(" AND ", compact([
            "metric.type = \"${strcontains(condition_threshold.value.metric, "/") ? "" : local.metric_prefix}${condition_threshold.value.metric}\"",
            strcontains(condition_threshold.value.metric, "/") ? null : "resource.type = \"generic_task\"",
            condition_threshold.value.filter,
          ]))
          comparison      = "COMPARISON_GT"
          threshold_value = condition_threshold.value.above
          duration        = "${condition_threshold.value.for_s}s"

          aggregations {
            alignment_period     = "${condition_threshold.value.period_s}s"
            per_series_aligner   = condition_threshold.value.aligner
            cross_series_reducer = coalesce(condition_threshold.value.reducer, condition_threshold.value.aligner == "ALIGN_DELTA" ? "REDUCE_SUM" : condition_threshold.value.aligner == "ALIGN_MIN" ? "REDUCE_MIN" : "REDUCE_MAX")
            group_by_fields      = condition_threshold.value.by
          }

          denominator_filter = condition_threshold.value.denominator

          dynamic "denominator_aggregations" {
            for_each = condition_threshold.value.denominator[*]

            content {
              alignment_period     = "${condition_threshold.value.period_s}s"
              per_series_aligner   = condition_threshold.value.aligner
              cross_series_reducer = "REDUCE_SUM"
            }
          }
        }
      }

      dynamic "condition_absent" {
        for_each = conditions.value.silent_s == null ? [] : [conditions.value]

        content {
          filter   = "metric.type = \"${local.metric_prefix}${condition_absent.value.metric}\" AND resource.type = \"generic_task\""
          duration = "${condition_absent.value.silent_s}s"

          aggregations {
            alignment_period     = "60s"
            per_series_aligner   = condition_absent.value.aligner
            cross_series_reducer = "REDUCE_SUM"
            group_by_fields      = condition_absent.value.by
          }
        }
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "${each.value.says}\n\nWhat to do: docs/operate.md, section *${each.key}*."

    dynamic "links" {
      for_each = var.alerts.runbook_url[*]

      content {
        display_name = "Runbook: ${each.key}"
        url          = "${links.value}#${each.key}"
      }
    }
  }

  alert_strategy {
    auto_close           = "86400s"
    notification_prompts = ["OPENED", "CLOSED"]
  }

  depends_on = [google_monitoring_metric_descriptor.all]
}
