# The database, its rules, backups, indexes and field settings, and who may use it.

locals {
  # Where a database may lie that sends events. A trigger lies where its database does, also in a multi-region: asked for
  # another place, Eventarc says "Database does not exist in region 'us-central1'. Did you mean region 'nam5'?"
  # (hashicorp/terraform-provider-google#17057; Firebase's own deployment sets it so, firestore.ts of firebase-tools).
  trigger_locations = [
    "eur3", "nam5", "nam7",
    "africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3",
    "asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2", "australia-southeast1",
    "australia-southeast2", "europe-central2", "europe-north1", "europe-southwest1", "europe-west1",
    "europe-west2", "europe-west3", "europe-west4", "europe-west6", "europe-west8", "europe-west9",
    "europe-west12", "me-central1", "me-west1", "northamerica-northeast1", "northamerica-northeast2",
    "southamerica-east1", "southamerica-west1", "us-central1", "us-east1", "us-east4", "us-east5",
    "us-south1", "us-west1", "us-west2", "us-west3", "us-west4",
  ]

  database = var.firestore.create ? google_firestore_database.here[0].name : var.firestore.database
  rules    = coalesce(var.firestore.rules, var.firestore.create)
}

resource "google_firestore_database" "here" {
  count = var.firestore.create ? 1 : 0

  project                           = local.project_id
  name                              = var.firestore.database
  location_id                       = var.firestore.location
  type                              = "FIRESTORE_NATIVE"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = var.firestore.deletion_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  # While it is protected it is let go of, by `destroy` and where another database takes its place (a restored one);
  # deleted it is only by who has said before that it may be.
  deletion_policy = var.firestore.deletion_protection ? "ABANDON" : "DELETE"
}

resource "google_firestore_backup_schedule" "daily" {
  count = var.firestore.create ? 1 : 0

  project   = local.project_id
  database  = local.database
  retention = "${var.firestore.daily_backups_days * 86400}s"

  daily_recurrence {}
}

resource "google_firestore_backup_schedule" "weekly" {
  count = var.firestore.create ? 1 : 0

  project   = local.project_id
  database  = local.database
  retention = "${var.firestore.weekly_backups_days * 86400}s"

  weekly_recurrence {
    day = "SUNDAY"
  }
}

resource "google_firebaserules_ruleset" "firestore" {
  count = local.rules ? 1 : 0

  project = local.project_id

  source {
    files {
      name    = "firestore.rules"
      content = file("${path.module}/firestore.rules")
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_firebaserules_release" "firestore" {
  count = local.rules ? 1 : 0

  project      = local.project_id
  name         = local.database == "(default)" ? "cloud.firestore" : "cloud.firestore/${local.database}"
  ruleset_name = google_firebaserules_ruleset.firestore[0].name
}

# A function's account reaches this database and no other one of the project.
resource "google_project_iam_member" "database" {
  for_each = local.functions

  project = local.project_id
  role    = "roles/datastore.${each.value.database}"
  member  = google_service_account.function[each.key].member

  condition {
    title       = "plumbline-database"
    description = "Plumbline's database alone"
    expression  = "resource.name == \"projects/${var.project_id}/databases/${var.firestore.database}\""
  }
}
