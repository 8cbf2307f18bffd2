# Where images are built, by whom, and where they lie.

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:Images hold open code and no secret; Google's own encryption is enough, and a key of one's own can be lost
  project       = local.project_id
  location      = var.region
  repository_id = "plumbline"
  format        = "DOCKER"
  description   = "Images of Plumbline's functions and listener"

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 5
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "2592000s" # 30 days
    }
  }
}

resource "google_service_account" "builder" {
  project      = local.project_id
  account_id   = "plumbline-builder"
  display_name = "Plumbline builder"
  description  = "Cloud Build, when it builds functions and the listener"
}

resource "google_project_iam_member" "builder_logs" {
  project = local.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.builder.member
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  project    = local.project_id
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder.member
}

# Reads sources, and writes the logs of the listener's build. Of a bucket for logs Cloud Build asks first what it is, which
# no role on objects lets it. (https://cloud.google.com/build/docs/securing-builds/store-manage-build-logs names
# roles/storage.admin on the bucket; this is the part of it that is used.)
resource "google_storage_bucket_iam_member" "builder" {
  for_each = toset(["roles/storage.objectUser", "roles/storage.legacyBucketReader"])

  bucket = google_storage_bucket.sources.name
  role   = each.value
  member = google_service_account.builder.member
}

# Cloud Functions copies an archive into a bucket of its own before it builds, and lets the builder fetch it there. It makes
# that bucket with a region's first function: by then the right must stand, so it is given on the project, for that name.
resource "google_project_iam_member" "builder_sources" {
  project = local.project_id
  role    = "roles/storage.objectViewer"
  member  = google_service_account.builder.member

  condition {
    title       = "plumbline-sources"
    description = "The archives of functions alone"
    expression  = "resource.name == \"${local.functions_bucket}\" || resource.name.startsWith(\"${local.functions_bucket}/\")"
  }
}

locals {
  functions_bucket = "projects/_/buckets/gcf-v2-sources-${data.google_project.here.number}-${var.region}"
}
