# The least that works: one contract on Sepolia, nobody told, everything that costs by itself left off.

project_id  = "my-project-sepolia"
environment = "sepolia"
region      = "us-central1"

firestore = { location = "us-central1" }

chains    = [{ id = 11155111, rpc = { secret = "plumbline-rpc-11155111", version = 1 } }]
contracts = [{ chain_id = 11155111, address = "0x5FbDB2315678afecb367f032d93F642f64180aa3" }]
