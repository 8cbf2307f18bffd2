# Production on Arbitrum One and Ethereum: the application's own database, a second contract version, people told, gas
# quotes for the application's account.

project_id  = "my-project-production"
environment = "production"
region      = "europe-west4"

firestore = {
  location = "eur3"
  database = "application"
  create   = false
}

chains = [
  {
    id  = 42161
    rpc = { secret = "plumbline-rpc-42161", version = 3 }
    ws  = { secret = "plumbline-ws-42161", version = 1 }
  },
  {
    id  = 1
    rpc = { secret = "plumbline-rpc-1", version = 2 }
  },
]

contracts = [
  { chain_id = 42161, address = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512" },
  { chain_id = 42161, address = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0" },
  { chain_id = 1, address = "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9" },
]

settings = {
  PLUMBLINE_LAG_S = "30"
}

alerts = {
  slack       = { secret = "plumbline-slack", version = 1 }
  emails      = ["operations@example.com"]
  channels    = ["projects/my-project-production/notificationChannels/1234567890123456789"]
  runbook_url = "https://github.com/example/plumbline/blob/main/docs/operate.md"
}

quote_gas = {
  invokers = ["serviceAccount:application@my-project-production.iam.gserviceaccount.com"]
}

labels = {
  team = "settlement"
}
