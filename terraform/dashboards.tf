# Dashboards from a table: how a figure is drawn follows from its kind. Every figure of the code's table is on one.

locals {
  dashboards = {
    listener = [
      "plumbline_lag_seconds", "plumbline_blocks_behind", "plumbline_certificate_age_seconds",
      "plumbline_block_to_publish_seconds", "plumbline_logs_published_total", "plumbline_logs_removed_total",
      "plumbline_reorgs_total", "plumbline_reorg_depth_blocks", "plumbline_doubts_total",
      "plumbline_certificate_differences_total", "plumbline_endpoint_rotations_total", "plumbline_listener_errors_total",
      "plumbline_listener_stopped", "plumbline_head_block", "plumbline_read_through_block",
      "plumbline_proved_through_block", "plumbline_range_blocks",
    ]
    events = [
      "plumbline_log_to_state_seconds", "plumbline_handle_seconds", "plumbline_events_stored_total",
      "plumbline_events_already_there_total", "plumbline_events_conflicting_total", "plumbline_events_refuted_total",
      "plumbline_logs_ignored_total",
      "plumbline_events_left_to_triggers_total", "plumbline_dead_letters_total",
    ]
    reconciliation = [
      "plumbline_reconcile_last_mismatches", "plumbline_reconcile_last_errors",
      "plumbline_reconcile_last_good_age_seconds", "plumbline_reconcile_runs_total", "plumbline_reconcile_checked_total",
      "plumbline_reconcile_mismatches_total", "plumbline_reconcile_created_total",
      "plumbline_reconcile_superseded_total", "plumbline_reconcile_errors_total", "plumbline_reconcile_seconds",
    ]
    quotes = [
      "plumbline_quotes_total", "plumbline_quotes_refused_total", "plumbline_quote_seconds",
      "plumbline_quote_cache_hits_total", "plumbline_fee_record_failures_total", "plumbline_quote_upstream_batches_total",
    ]
    operation = [
      "plumbline_alerts_sent_total", "plumbline_alerts_failed_total", "plumbline_metrics_failed_total",
    ]
  }

  # By a figure's kind: how its points are aligned, and the lines of its chart, as reducer and legend. Of cumulative
  # distributions percentiles are taken only once they are deltas.
  aligners = { gauge = "ALIGN_MAX", counter = "ALIGN_RATE", histogram = "ALIGN_DELTA" }
  lines = {
    gauge     = { REDUCE_MAX = "" }
    counter   = { REDUCE_SUM = "a second" }
    histogram = { REDUCE_PERCENTILE_50 = "median", REDUCE_PERCENTILE_95 = "95 %", REDUCE_PERCENTILE_99 = "99 %" }
  }

  charts = { for name, metric in local.bundle.metrics : name => {
    title = metric.meaning
    xyChart = {
      dataSets = [for reducer, legend in local.lines[metric.kind] : {
        plotType       = "LINE"
        legendTemplate = trimspace(join(" ", concat([for label in metric.labels : "$${metric.labels.${label}}"], [legend])))
        timeSeriesQuery = {
          unitOverride = metric.unit
          timeSeriesFilter = {
            filter = "metric.type=\"${local.metric_prefix}${name}\" resource.type=\"generic_task\""
            aggregation = {
              alignmentPeriod    = "60s"
              perSeriesAligner   = local.aligners[metric.kind]
              crossSeriesReducer = reducer
              groupByFields      = [for label in metric.labels : "metric.label.${label}"]
            }
          }
        }
      }]
      yAxis = { scale = "LINEAR", label = metric.unit }
    }
  } }
}

resource "google_monitoring_dashboard" "all" {
  for_each = local.dashboards

  project = local.project_id
  dashboard_json = jsonencode({
    displayName = "Plumbline ${var.environment}: ${each.key}"
    labels      = { plumbline = "" }
    gridLayout  = { columns = 3, widgets = [for name in each.value : local.charts[name] if contains(keys(local.charts), name)] }
  })

  depends_on = [google_monitoring_metric_descriptor.all]
}
