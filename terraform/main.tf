# What everything rests on: the project's services, and what the bundle says of itself.

locals {
  empty_bundle = {
    contracts = [], fee_keys = [], functions = {}, labels = {}, metrics = {}, numbers = {}, schedules = {}, settings = [], subscriptions = {}
  }
  # Without a manifest, or with an old one, the validations of var.bundle say what to do; the rest must not fail before.
  bundle = try(merge(local.empty_bundle, jsondecode(file("${var.bundle}/manifest.json"))), local.empty_bundle)

  labels = merge(var.labels, { app = "plumbline", environment = var.environment })

  # Every resource takes the project from here, and so waits for the services that it needs.
  project_id = one(distinct(values(google_project_service.used)[*].project))
}

resource "google_project_service" "used" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudscheduler.googleapis.com",
    "eventarc.googleapis.com",
    "eventarcpublishing.googleapis.com",
    "firebaserules.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
  ])

  project            = var.project_id
  service            = each.value
  disable_on_destroy = false # the application may use it, too
}

# Not by way of the services: a plan that switches a further one on would not know the number, and so would give every
# right of Google's agents anew, with a moment without it.
data "google_project" "here" {
  project_id = var.project_id
}
