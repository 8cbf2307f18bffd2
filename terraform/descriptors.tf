# The figures' descriptors, from the code's own table (shared/domain/metrics.py, by way of the manifest): policies and
# dashboards are refused for types that nobody has described.

locals {
  metric_prefix = "custom.googleapis.com/"

}

resource "google_monitoring_metric_descriptor" "all" {
  for_each = local.bundle.metrics

  project      = local.project_id
  type         = "${local.metric_prefix}${each.key}"
  display_name = each.key
  description  = each.value.meaning
  metric_kind  = each.value.kind == "gauge" ? "GAUGE" : "CUMULATIVE"
  value_type   = each.value.kind == "histogram" ? "DISTRIBUTION" : "DOUBLE"
  unit         = each.value.unit

  dynamic "labels" {
    for_each = each.value.labels

    content {
      key         = labels.value
      value_type  = "STRING"
      description = local.bundle.labels[labels.value]
    }
  }
}
