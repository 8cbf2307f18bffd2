# Secrets exist before: their values are never in Terraform's state. Here is only who reads which, by version.

locals {
  # By the variable that a function finds it in.
  secrets = merge(
    { for chain in var.chains : "PLUMBLINE_RPC_${chain.id}" => merge(chain.rpc, { kind = "rpc" }) },
    { for chain in var.chains : "PLUMBLINE_WS_${chain.id}" => merge(chain.ws, { kind = "ws" }) if chain.ws != null },
    { for variable, secret in local.alert_secrets : variable => merge(secret, { kind = "alerts" }) if secret != null },
  )

  alert_secrets = {
    PLUMBLINE_ALERT_SLACK_URL = var.alerts.slack
    AWS_ACCESS_KEY_ID         = try(var.alerts.email.key_id, null)
    AWS_SECRET_ACCESS_KEY     = try(var.alerts.email.key, null)
  }

  secrets_of = {
    for name, function in local.functions : name => {
      for variable, secret in local.secrets : variable => secret if contains(function.secrets, secret.kind)
    }
  }

  secret_readers = merge([
    for name, secrets in local.secrets_of : {
      for secret in distinct(values(secrets)[*].secret) : "${name} ${secret}" => { function = name, secret = secret }
    }
  ]...)
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.secret_readers

  project   = local.project_id
  secret_id = each.value.secret
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.value.function].member
}
