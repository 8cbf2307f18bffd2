# What runs always: Cloud Run worker pools. No address, no ingress, a processor at all times; probes look at its
# health, and it has ten seconds from SIGTERM, of which it needs a fraction (it finishes a write and gives back its lease).

locals {
  health_port = 8080

  # By its archive's content, so that a built image is found again, and other sources are another image.
  images = {
    for name in keys(local.always) : name =>
    "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}/${replace(name, "_", "-")}:${try(local.bundle.functions[name].sha256, "")}"
  }
}

# Built by Cloud Build with Google's buildpacks, as functions are: no Docker here, and no second description of an image.
resource "terraform_data" "image" {
  for_each = local.always

  triggers_replace = [local.images[each.key]]

  provisioner "local-exec" {
    command = <<-EOT
      gcloud artifacts docker images describe "$IMAGE" --project "$PROJECT" >/dev/null 2>&1 ||
      gcloud builds submit "$ARCHIVE" --pack "image=$IMAGE" --project "$PROJECT" --region "$REGION" \
        --service-account "$BUILDER" --gcs-source-staging-dir "gs://$BUCKET/staging" --gcs-log-dir "gs://$BUCKET/logs"
    EOT
    environment = {
      ARCHIVE = "${var.bundle}/${local.bundle.functions[each.key].archive}"
      BUCKET  = google_storage_bucket.sources.name
      BUILDER = google_service_account.builder.id
      IMAGE   = local.images[each.key]
      PROJECT = var.project_id
      REGION  = var.region
    }
  }

  depends_on = [
    google_project_iam_member.builder_logs,
    google_artifact_registry_repository_iam_member.builder,
    google_storage_bucket_iam_member.builder,
  ]
}

resource "google_cloud_run_v2_worker_pool" "always" {
  for_each = local.always

  project             = local.project_id
  name                = local.resource_names[each.key]
  location            = var.region
  description         = each.value.does
  deletion_protection = false # it holds nothing: what it knows is in the database

  scaling {
    scaling_mode          = "MANUAL"
    manual_instance_count = each.value.max_instances
  }

  template {
    service_account = google_service_account.function[each.key].email

    containers {
      image = local.images[each.key]

      resources {
        limits = { cpu = "1", memory = each.value.memory }
      }

      dynamic "env" {
        for_each = merge(local.environment_of[each.key], { PLUMBLINE_HEALTH_PORT = tostring(local.health_port) })

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = local.secrets_of[each.key]

        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = env.value.secret # of this project: a full name is for another one's
              version = tostring(env.value.version)
            }
          }
        }
      }

      startup_probe {
        period_seconds    = 5
        timeout_seconds   = 3
        failure_threshold = 24 # two minutes

        http_get {
          path = "/healthz"
          port = local.health_port
        }
      }

      # Alive, not ready: a node that is away is waited for, and a restart would not bring it back.
      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3

        http_get {
          path = "/healthz"
          port = local.health_port
        }
      }
    }
  }

  # It starts with its rights: without them it would only wait, and its first figures would be those of a fault.
  depends_on = [
    terraform_data.image,
    google_project_iam_member.database,
    google_project_iam_member.metric_writer,
    google_pubsub_topic_iam_member.publisher,
    google_secret_manager_secret_iam_member.reader,
  ]
}
