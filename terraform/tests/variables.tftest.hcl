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

run "a_project_number_is_refused" {
  command = plan

  variables {
    project_id = "123456789012"
  }

  expect_failures = [var.project_id]
}

run "a_project_without_a_name_is_refused" {
  command = plan

  variables {
    project_id = ""
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

run "an_environment_with_capitals_is_refused" {
  command = plan

  variables {
    environment = "Production"
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

run "a_region_that_there_is_not_is_refused" {
  command = plan

  variables {
    region = "europe-west99"
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

run "a_bundle_of_another_version_is_refused" {
  command = plan

  variables {
    bundle = "tests/old_bundle"
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

run "a_secret_version_latest_is_refused" {
  command = plan

  variables {
    chains = [{ id = 11155111, rpc = { secret = "rpc", version = "latest" } }]
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

run "a_contract_that_is_there_twice_is_refused" {
  command = plan

  variables {
    contracts = [{ chain_id = 11155111, address = "0x5FbDB2315678afecb367f032d93F642f64180aa3" }, { chain_id = 11155111, address = "0x5fbdb2315678afecb367f032d93F642f64180aa3" }]
  }

  expect_failures = [var.contracts]
}

run "a_label_with_capitals_is_refused" {
  command = plan

  variables {
    labels = { Team = "a" }
  }

  expect_failures = [var.labels]
}

run "a_label_that_is_set_already_is_refused" {
  command = plan

  variables {
    labels = { app = "other" }
  }

  expect_failures = [var.labels]
}

run "a_label_of_googles_is_refused" {
  command = plan

  variables {
    labels = { goog-team = "a" }
  }

  expect_failures = [var.labels]
}
