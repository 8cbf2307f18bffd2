# The functions that answer requests, 2nd generation, each built from its archive of the bundle.

resource "google_storage_bucket" "sources" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs say who reads and writes it; it holds archives of open code and no data
  project                     = local.project_id
  name                        = "${var.project_id}-plumbline-sources"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # archives are made anew by `plumbline bundle`, byte for byte

  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 30
    }
    action {
      type = "Delete"
    }
  }
}

resource "google_storage_bucket_object" "archive" {
  for_each = local.served

  bucket = google_storage_bucket.sources.name
  # By its content: other sources are another object, and so another build.
  name   = "${each.key}-${local.bundle.functions[each.key].sha256}.zip"
  source = "${var.bundle}/${local.bundle.functions[each.key].archive}"

  lifecycle {
    precondition {
      condition     = filesha256("${var.bundle}/${local.bundle.functions[each.key].archive}") == local.bundle.functions[each.key].sha256
      error_message = "${each.key}: the archive is not the one that the manifest speaks of. Run `plumbline bundle` again."
    }
    precondition {
      condition     = toset(keys(local.functions)) == toset(keys(local.bundle.functions))
      error_message = "The table of functions (functions_table.tf) and the bundle do not hold the same functions: ${join(", ", setunion(setsubtract(keys(local.functions), keys(local.bundle.functions)), setsubtract(keys(local.bundle.functions), keys(local.functions))))}. Bundle with the version that this Terraform belongs to."
    }
  }
}

resource "google_cloudfunctions2_function" "served" {
  #checkov:skip=CKV_GCP_124:Internal alone, but for an entry whose internet a variable sets; tests/deploy holds the plan against that
  for_each = local.served

  project     = local.project_id
  name        = local.resource_names[each.key]
  location    = var.region
  description = each.value.does

  build_config {
    runtime           = "python311" # the version that the tests run on
    entry_point       = each.key
    docker_repository = google_artifact_registry_repository.images.id
    service_account   = google_service_account.builder.id

    source {
      storage_source {
        bucket = google_storage_bucket.sources.name
        object = google_storage_bucket_object.archive[each.key].name
      }
    }
  }

  service_config {
    available_memory                 = each.value.memory
    available_cpu                    = "1" # below one processor an instance takes one request at a time
    timeout_seconds                  = each.value.timeout_s
    max_instance_request_concurrency = each.value.threads
    min_instance_count               = each.value.min_instances
    max_instance_count               = each.value.max_instances
    ingress_settings                 = each.value.internet ? "ALLOW_ALL" : "ALLOW_INTERNAL_ONLY"
    all_traffic_on_latest_revision   = true
    service_account_email            = google_service_account.function[each.key].email
    environment_variables            = merge(local.environment_of[each.key], { THREADS = tostring(each.value.threads) })

    dynamic "secret_environment_variables" {
      for_each = local.secrets_of[each.key]

      content {
        key        = secret_environment_variables.key
        project_id = var.project_id
        secret     = secret_environment_variables.value.secret
        version    = tostring(secret_environment_variables.value.version)
      }
    }
  }

  dynamic "event_trigger" {
    for_each = each.value.document[*]

    content {
      event_type            = "google.cloud.firestore.document.v1.created"
      trigger_region        = var.firestore.location # whatever region the function is in
      retry_policy          = "RETRY_POLICY_RETRY"   # off by default: an event that fails once would be lost
      service_account_email = google_service_account.caller["trigger"].email

      event_filters {
        attribute = "database"
        value     = local.database
      }
      event_filters {
        attribute = "document"
        operator  = "match-path-pattern"
        value     = event_trigger.value
      }
    }
  }

  depends_on = [
    google_project_iam_member.event_receiver,
    google_project_iam_member.builder_logs,
    google_artifact_registry_repository_iam_member.builder,
    google_storage_bucket_iam_member.builder,
    google_project_iam_member.builder_sources,
    google_project_iam_member.database,
    google_secret_manager_secret_iam_member.reader,
  ]
}
