# Each validation of variables.tf refuses what it is there to refuse. The bundle is that of examples/sepolia.tfvars:
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
    alerts        = { slack = { secret = "slack", version = 1 }, email = { from = "a@b.example", to = ["c@d.example"], region = "eu-west-1", key_id = { secret = "a", version = 1 }, key = { secret = "b", version = 1 } }, emails = ["a@b.example"], channels = ["projects/p/notificationChannels/1"], runbook_url = "https://example.com" }
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
    condition     = google_cloudfunctions2_function.served["reconcile"].service_config[0].available_memory == "1Gi"
    error_message = "sizes are what the variable says"
  }
}

run "a_project_number_is_refused" {
  command = plan

  variables {
    project_id = "123456789012"
  }

  expect_failures = [var.project_id]
}

run "an_environment_with_a_space_is_refused" {
  command = plan

  variables {
    environment = "my test"
  }

  expect_failures = [var.environment]
}

run "a_zone_for_a_region_is_refused" {
  command = plan

  variables {
    region = "us-central1-a"
  }

  expect_failures = [var.region]
}

run "a_folder_without_a_bundle_is_refused" {
  command = plan

  variables {
    bundle = "examples"
  }

  expect_failures = [var.bundle]
}

run "a_region_without_firestore_triggers_is_refused" {
  command = plan

  variables {
    firestore = { location = "us-west8" }
  }

  expect_failures = [var.firestore]
}

run "a_database_with_capitals_is_refused" {
  command = plan

  variables {
    firestore = { location = "nam5", database = "Main" }
  }

  expect_failures = [var.firestore]
}

run "backups_of_a_year_is_refused" {
  command = plan

  variables {
    firestore = { location = "nam5", weekly_backups_days = 365 }
  }

  expect_failures = [var.firestore]
}

run "an_index_taken_away_that_is_needed_is_refused" {
  command = plan

  variables {
    firestore = { location = "nam5", unindexed_event_fields = ["audit"] }
  }

  expect_failures = [var.firestore]
}

run "no_chain_is_refused" {
  command = plan

  variables {
    chains = []
  }

  expect_failures = [var.chains]
}

run "two_chains_with_one_id_is_refused" {
  command = plan

  variables {
    chains = [{ id = 11155111, rpc = { secret = "a", version = 1 } }, { id = 11155111, rpc = { secret = "b", version = 1 } }]
  }

  expect_failures = [var.chains]
}

run "a_chain_with_half_an_id_is_refused" {
  command = plan

  variables {
    chains = [{ id = 1.5, rpc = { secret = "a", version = 1 } }]
  }

  expect_failures = [var.chains]
}

run "a_url_for_a_secret_is_refused" {
  command = plan

  variables {
    chains = [{ id = 11155111, rpc = { secret = "https://node.example/key", version = 1 } }]
  }

  expect_failures = [var.chains]
}

run "a_missing_secret_version_is_refused" {
  command = plan

  variables {
    chains = [{ id = 11155111, rpc = { secret = "rpc", version = null } }]
  }

  expect_failures = [var.chains]
}

run "a_secret_version_0_is_refused" {
  command = plan

  variables {
    chains = [{ id = 11155111, rpc = { secret = "rpc", version = 1 }, ws = { secret = "ws", version = 0 } }]
  }

  expect_failures = [var.chains]
}

run "no_contract_is_refused" {
  command = plan

  variables {
    contracts = []
  }

  expect_failures = [var.contracts]
}

run "an_address_that_is_none_is_refused" {
  command = plan

  variables {
    contracts = [{ chain_id = 11155111, address = "0x5FbDB2315678afecb367f032d93F642f64180a" }]
  }

  expect_failures = [var.contracts]
}

run "an_address_with_a_wrong_checksum_is_refused" {
  command = plan

  variables {
    contracts = [{ chain_id = 11155111, address = "0x5fbDB2315678afecb367f032d93F642f64180aa3" }]
  }

  expect_failures = [var.contracts]
}

run "a_contract_that_is_not_in_the_bundle_is_refused" {
  command = plan

  variables {
    contracts = [{ chain_id = 11155111, address = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512" }]
  }

  expect_failures = [var.contracts]
}

run "a_chain_that_no_contract_is_on_is_refused" {
  command = plan

  variables {
    chains = [{ id = 11155111, rpc = { secret = "a", version = 1 } }, { id = 1, rpc = { secret = "b", version = 1 } }]
  }

  expect_failures = [var.contracts]
}

run "a_setting_that_there_is_not_is_refused" {
  command = plan

  variables {
    settings = { PLUMBLINE_LAGS = "30" }
  }

  expect_failures = [var.settings]
}

run "a_setting_that_follows_from_others_is_refused" {
  command = plan

  variables {
    settings = { PLUMBLINE_STORE = "sqlite:///a" }
  }

  expect_failures = [var.settings]
}

run "a_schedule_of_no_function_is_refused" {
  command = plan

  variables {
    schedules = { quote = { paused = true } }
  }

  expect_failures = [var.schedules]
}

run "a_schedule_in_words_is_refused" {
  command = plan

  variables {
    schedules = { reconcile = { cron = "every 5 minutes" } }
  }

  expect_failures = [var.schedules]
}

run "a_schedule_of_four_fields_is_refused" {
  command = plan

  variables {
    schedules = { reconcile = { cron = "*/5 * * *" } }
  }

  expect_failures = [var.schedules]
}

run "a_time_zone_that_is_an_offset_is_refused" {
  command = plan

  variables {
    schedules = { reconcile = { time_zone = "+02:00" } }
  }

  expect_failures = [var.schedules]
}

run "a_size_of_no_function_is_refused" {
  command = plan

  variables {
    sizes = { quote = { memory = "1Gi" } }
  }

  expect_failures = [var.sizes]
}

run "memory_without_a_unit_is_refused" {
  command = plan

  variables {
    sizes = { reconcile = { memory = "512" } }
  }

  expect_failures = [var.sizes]
}

run "more_least_than_most_instances_is_refused" {
  command = plan

  variables {
    sizes = { reconcile = { min_instances = 5 } }
  }

  expect_failures = [var.sizes]
}

run "an_email_that_is_none_is_refused" {
  command = plan

  variables {
    alerts = { emails = ["operations"] }
  }

  expect_failures = [var.alerts]
}

run "a_channel_by_its_display_name_is_refused" {
  command = plan

  variables {
    alerts = { channels = ["Slack"] }
  }

  expect_failures = [var.alerts]
}

run "an_error_rate_in_percent_is_refused" {
  command = plan

  variables {
    alerts = { error_rate = 5 }
  }

  expect_failures = [var.alerts]
}

run "a_limit_of_no_time_is_refused" {
  command = plan

  variables {
    alerts = { lag_s = 0 }
  }

  expect_failures = [var.alerts]
}

run "everybody_as_an_invoker_is_refused" {
  command = plan

  variables {
    quote_gas = { invokers = ["allUsers"], internet = true }
  }

  expect_failures = [var.quote_gas]
}

run "public_and_shut_is_refused" {
  command = plan

  variables {
    quote_gas = { public = true }
  }

  expect_failures = [var.quote_gas]
}

run "a_label_with_capitals_is_refused" {
  command = plan

  variables {
    labels = { Team = "a" }
  }

  expect_failures = [var.labels]
}

run "a_webhook_for_a_secret_is_refused" {
  command = plan

  variables {
    alerts = { slack = { secret = "https://hooks.slack.example/T/B/x", version = 1 } }
  }

  expect_failures = [var.alerts]
}

run "email_without_anybody_to_send_to_is_refused" {
  command = plan

  variables {
    alerts = { email = { from = "a@b.example", to = [], region = "eu-west-1", key_id = { secret = "a", version = 1 }, key = { secret = "b", version = 1 } } }
  }

  expect_failures = [var.alerts]
}
