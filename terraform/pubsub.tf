# Topics, and the subscriptions that push to functions. Names, attempts and pauses are the code's own table
# (shared/adapters/topology.py, by way of the manifest): the laptop's bus keeps to the same.

locals {
  pubsub_agent = "serviceAccount:service-${data.google_project.here.number}@gcp-sa-pubsub.iam.gserviceaccount.com"

  topics = toset(flatten([
    for each in local.bundle.subscriptions : compact([each.topic, each.dead_letter_topic])
  ]))
  pushed = { for name, function in local.served : function.subscription => name if function.trigger == "push" }
  pulled = { for name, each in local.bundle.subscriptions : name => each if !contains(keys(local.pushed), name) }

  publishers = merge([
    for name, function in local.functions : {
      for topic in function.publishes : "${name} ${topic}" => { function = name, topic = topic }
    }
  ]...)
}

resource "google_pubsub_topic" "all" {
  #checkov:skip=CKV_GCP_83:Messages are logs of a public chain; Google's own encryption is enough
  for_each = local.topics

  project                    = local.project_id
  name                       = each.value
  message_retention_duration = "604800s" # a week: what was published can be sent again from any moment of it

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = local.publishers

  project = local.project_id
  topic   = google_pubsub_topic.all[each.value.topic].name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.function[each.value.function].member
}

resource "google_pubsub_subscription" "push" {
  for_each = local.pushed

  project = local.project_id
  name    = each.key
  topic   = google_pubsub_topic.all[local.bundle.subscriptions[each.key].topic].id

  # Past the function's own time-out, so that no message comes a second time while it is being handled.
  ack_deadline_seconds       = local.served[each.value].timeout_s + 30
  message_retention_duration = "604800s" # a week, Pub/Sub's default and the time to mend what is broken

  push_config {
    push_endpoint = google_cloudfunctions2_function.served[each.value].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.caller["push"].email
      audience              = google_cloudfunctions2_function.served[each.value].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "${local.bundle.subscriptions[each.key].min_backoff_s}s"
    maximum_backoff = "${local.bundle.subscriptions[each.key].max_backoff_s}s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.all[local.bundle.subscriptions[each.key].dead_letter_topic].id
    max_delivery_attempts = local.bundle.subscriptions[each.key].max_attempts
  }

  expiration_policy {
    ttl = "" # never: the default forgets a subscription that is idle for 31 days
  }

  depends_on = [
    google_cloud_run_v2_service_iam_member.invoker,
    google_pubsub_topic_iam_member.dead_letters,
    google_service_account_iam_member.push_token,
  ]
}

# What is pulled by hand: `plumbline deadletters list|replay`.
resource "google_pubsub_subscription" "pull" {
  for_each = local.pulled

  project                    = local.project_id
  name                       = each.key
  topic                      = google_pubsub_topic.all[each.value.topic].id
  ack_deadline_seconds       = each.value.ack_deadline_s
  message_retention_duration = "2678400s" # 31 days, the longest there is: somebody has to look

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub's own agent moves messages to the dead letters, and signs the tokens of its pushes.
resource "google_pubsub_topic_iam_member" "dead_letters" {
  for_each = toset(compact([for name in keys(local.pushed) : local.bundle.subscriptions[name].dead_letter_topic]))

  project = local.project_id
  topic   = google_pubsub_topic.all[each.value].name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each = local.pushed

  project      = local.project_id
  subscription = google_pubsub_subscription.push[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_service_account_iam_member" "push_token" {
  service_account_id = google_service_account.caller["push"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
}
