# What can be said is accepted, and does what it says. The bundle is that of examples/sepolia.tfvars:
# plumbline bundle CONTRACTS, then terraform test (tests/deploy makes one of its own).

mock_provider "google" {}

variables {
  project_id  = "some-project"
  environment = "test"
  region      = "us-central1"
  firestore   = { location = "us-central1" }
  chains      = [{ id = 11155111, rpc = { secret = "rpc", version = 1 } }]
  contracts   = [{ chain_id = 11155111, address = "0x5FbDB2315678afecb367f032d93F642f64180aa3" }]
}

run "the_least_that_is_needed_is_accepted" {
  command = plan
}

run "everything_that_can_be_said_is_accepted" {
  command = plan

  variables {
    firestore     = { location = "nam5", database = "some-database", create = false, rules = true, unindexed_event_fields = [] }
    chains        = [{ id = 11155111, rpc = { secret = "rpc", version = 2 }, ws = { secret = "ws", version = 7 } }]
    contracts     = [{ chain_id = 11155111, address = "0x5fbdb2315678afecb367f032d93f642f64180aa3" }]
    settings      = { PLUMBLINE_LAG_S = "30" }
    schedules     = { reconcile = { cron = "1-59/2 0,12 * * 1-5", time_zone = "America/New_York", paused = true } }
    sizes         = { reconcile = { memory = "1Gi", max_instances = 3, min_instances = 1 } }
    alerts        = { reconciliation_late_s = 600, slack = { secret = "slack", version = 1 }, email = { from = "a@b.example", to = ["c@d.example"], region = "eu-west-1", key_id = { secret = "a", version = 1 }, key = { secret = "b", version = 1 } }, emails = ["a@b.example"], channels = ["projects/p/notificationChannels/1"], runbook_url = "https://example.com" }
    uptime_checks = true
    quote_gas     = { invokers = ["user:a@b.example"], internet = true, public = true }
    labels        = { team = "a" }
  }

  assert {
    condition     = google_cloudfunctions2_function.served["quote_gas"].service_config[0].ingress_settings == "ALLOW_ALL"
    error_message = "quote_gas.internet opens its ingress"
  }
  assert {
    condition     = [for key in keys(google_cloud_run_v2_service_iam_member.invoker) : key if endswith(key, "allUsers")] == ["quote_gas allUsers"]
    error_message = "quote_gas.public lets everybody call it, and nothing else"
  }
  assert {
    condition     = keys(google_monitoring_uptime_check_config.all) == ["quote_gas"]
    error_message = "uptime_checks looks at what is reached from outside"
  }
  assert {
    condition = [
      for name, function in google_cloudfunctions2_function.served : name
      if function.service_config[0].ingress_settings == "ALLOW_ALL"
    ] == ["quote_gas"]
    error_message = "nothing else is opened"
  }
  assert {
    condition     = google_cloud_scheduler_job.all["reconcile"].schedule == "1-59/2 0,12 * * 1-5" && google_cloud_scheduler_job.all["reconcile"].paused
    error_message = "schedules are what the variable says"
  }
  assert {
    condition = [
      for name, function in google_cloudfunctions2_function.served : name
      if contains(keys(function.service_config[0].environment_variables), "PLUMBLINE_ALERT_EMAIL_TO")
    ] == ["handle_chain_event", "project_events", "reconcile"]
    error_message = "people's addresses are with those who tell alerts alone"
  }
  assert {
    condition     = google_cloudfunctions2_function.served["reconcile"].service_config[0].available_memory == "1Gi"
    error_message = "sizes are what the variable says"
  }
}

run "an_unprotected_database_is_deleted_by_destroy" {
  command = plan

  variables {
    firestore = { location = "us-central1", deletion_protection = false }
  }

  assert {
    condition     = [for database in google_firestore_database.here : [database.delete_protection_state, database.deletion_policy]] == [["DELETE_PROTECTION_DISABLED", "DELETE"]]
    error_message = "who takes the protection off means it"
  }
}
