# Each validation of sizes, alerts and quote_gas refuses what it is there to refuse. The bundle is that of examples/sepolia.tfvars:
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

run "half_an_instance_is_refused" {
  command = plan

  variables {
    sizes = { reconcile = { max_instances = 1.5 } }
  }

  expect_failures = [var.sizes]
}

run "less_than_no_instance_is_refused" {
  command = plan

  variables {
    sizes = { reconcile = { min_instances = -1 } }
  }

  expect_failures = [var.sizes]
}

run "no_instance_of_the_listener_is_refused" {
  command = plan

  variables {
    sizes = { listen_chain = { max_instances = 0 } }
  }

  expect_failures = [var.sizes]
}

run "least_instances_of_the_listener_is_refused" {
  command = plan

  variables {
    sizes = { listen_chain = { min_instances = 1 } }
  }

  expect_failures = [var.sizes]
}

run "more_memory_than_a_processor_may_have_is_refused" {
  command = plan

  variables {
    sizes = { reconcile = { memory = "8Gi" } }
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

run "a_version_of_the_webhook_latest_is_refused" {
  command = plan

  variables {
    alerts = { slack = { secret = "slack", version = "latest" } }
  }

  expect_failures = [var.alerts]
}

run "half_a_mismatch_is_refused" {
  command = plan

  variables {
    alerts = { mismatches = 0.5 }
  }

  expect_failures = [var.alerts]
}

run "a_silence_of_a_minute_is_refused" {
  command = plan

  variables {
    alerts = { listener_silent_minutes = 1 }
  }

  expect_failures = [var.alerts]
}

run "a_silence_of_a_minute_and_a_half_is_refused" {
  command = plan

  variables {
    alerts = { reconciliation_late_s = 930 }
  }

  expect_failures = [var.alerts]
}

run "a_silence_of_a_day_is_refused" {
  command = plan

  variables {
    alerts = { reconciliation_late_s = 86400 }
  }

  expect_failures = [var.alerts]
}

run "a_runbook_that_is_no_url_is_refused" {
  command = plan

  variables {
    alerts = { runbook_url = "docs/operate.md" }
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
