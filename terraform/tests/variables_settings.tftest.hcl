# Each validation of settings and schedules refuses what it is there to refuse. The bundle is that of examples/sepolia.tfvars:
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

run "a_setting_that_is_no_number_is_refused" {
  command = plan

  variables {
    settings = { PLUMBLINE_LAG_S = "soon" }
  }

  expect_failures = [var.settings]
}

run "a_setting_below_its_least_is_refused" {
  command = plan

  variables {
    settings = { PLUMBLINE_LAG_S = "0" }
  }

  expect_failures = [var.settings]
}

run "half_of_what_is_counted_is_refused" {
  command = plan

  variables {
    settings = { PLUMBLINE_WINDOW = "1.5" }
  }

  expect_failures = [var.settings]
}

run "a_wallet_that_is_no_address_is_refused" {
  command = plan

  variables {
    settings = { PLUMBLINE_PLATFORM_WALLETS = "0x12" }
  }

  expect_failures = [var.settings]
}

run "fees_in_words_is_refused" {
  command = plan

  variables {
    settings = { PLUMBLINE_FEES_1 = "cheap" }
  }

  expect_failures = [var.settings]
}

run "a_budget_past_the_time_out_is_refused" {
  command = plan

  variables {
    settings = { PLUMBLINE_RECONCILE_BUDGET_S = "900" }
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

run "a_minute_61_is_refused" {
  command = plan

  variables {
    schedules = { reconcile = { cron = "61 * * * *" } }
    alerts    = { reconciliation_late_s = 3600 }
  }

  expect_failures = [var.schedules]
}

run "a_step_of_nothing_is_refused" {
  command = plan

  variables {
    schedules = { reconcile = { cron = "*/0 * * * *" } }
    alerts    = { reconciliation_late_s = 3600 }
  }

  expect_failures = [var.schedules]
}

run "a_range_that_runs_back_is_refused" {
  command = plan

  variables {
    schedules = { reconcile = { cron = "5-1 * * * *" } }
    alerts    = { reconciliation_late_s = 3600 }
  }

  expect_failures = [var.schedules]
}

run "a_schedule_of_six_fields_is_refused" {
  command = plan

  variables {
    schedules = { reconcile = { cron = "*/5 * * * * *" } }
    alerts    = { reconciliation_late_s = 3600 }
  }

  expect_failures = [var.schedules]
}

run "other_times_without_when_they_are_late_is_refused" {
  command = plan

  variables {
    schedules = { reconcile = { cron = "0 * * * *" } }
  }

  expect_failures = [var.schedules]
}

run "a_time_zone_nowhere_is_refused" {
  command = plan

  variables {
    schedules = { reconcile = { time_zone = "Nowhere/Land" } }
  }

  expect_failures = [var.schedules]
}
