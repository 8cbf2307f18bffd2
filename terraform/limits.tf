# What Google takes, as far as a plan can know it: variables are held against it (variables.tf, variables_running.tf).

locals {
  # https://cloud.google.com/run/docs/locations
  run_regions = [
    "africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3",
    "asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2", "asia-southeast3", "australia-southeast1",
    "australia-southeast2", "europe-central2", "europe-north1", "europe-north2", "europe-southwest1", "europe-west1",
    "europe-west2", "europe-west3", "europe-west4", "europe-west6", "europe-west8", "europe-west9", "europe-west10",
    "europe-west12", "me-central1", "me-central2", "me-west1", "northamerica-northeast1", "northamerica-northeast2",
    "northamerica-south1", "southamerica-east1", "southamerica-west1", "us-central1", "us-east1", "us-east4", "us-east5",
    "us-south1", "us-west1", "us-west2", "us-west3", "us-west4",
  ]

  # https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules: of each field the numbers that it may have.
  cron_numbers = ["[0-5]?[0-9]", "(?:[01]?[0-9]|2[0-3])", "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "[0-6]"]
  cron_parts   = [for number in local.cron_numbers : "(?:\\*|${number}(?:-${number})?)(?:/[1-9][0-9]?)?"]
  cron         = "^${join(" ", [for part in local.cron_parts : "${part}(?:,${part})*"])}$"

  # The first words of names in the tz database. Whether the rest of a name is right, Cloud Scheduler says.
  tz_areas = [
    "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Etc", "Europe", "Indian", "Pacific",
  ]

  # https://cloud.google.com/run/docs/configuring/services/memory-limits: with one processor.
  least_memory_mi = 256
  most_memory_mi  = 4096

  # A run stops by itself after its budget, and ends what it has begun.
  longest_run_s = floor(local.functions.reconcile.timeout_s / 2)

  # Three runs that did not end well, or whatever is said.
  late_s = coalesce(var.alerts.reconciliation_late_s, 3 * try(local.bundle.schedules.reconcile.every_s, 300))
}
