# Every query of more than one field needs its index; tests/deploy compares this table with the queries that the
# code makes. Order matters: first what is compared, then what is ordered by. The key follows as the last field of each.

locals {
  indexes = {
    events-of-type                          = { collection = "events", fields = ["rolloverId", "eventType"], descending = false }
    states-open                             = { collection = "rollover_states", fields = ["contractKey", "open"], descending = false }
    states-by-block                         = { collection = "rollover_states", fields = ["contractKey", "open", "lastBlock"], descending = false }
    published-by-height                     = { collection = "published_blocks", fields = ["chainId", "number"], descending = false }
    certificates-by-grade                   = { collection = "completeness_certificates", fields = ["chainId", "grade", "first"], descending = false }
    certificates-of-a-grade-from-the-newest = { collection = "completeness_certificates", fields = ["chainId", "grade", "first"], descending = true }
    disputed-by-height                      = { collection = "disputed_blocks", fields = ["chainId", "last"], descending = false }
    certificates-from-the-newest            = { collection = "completeness_certificates", fields = ["chainId", "first"], descending = true }
  }

  # Plumbline's own collections, read by key or by the indexes above: no field of theirs is indexed by itself, but for
  # those named. Every list and map in them grows, and each part of one would be an entry in two indexes.
  own_collections = {
    alerts                    = ["open", "untold"]
    chain_cursors             = []
    chain_heads               = []
    chain_listeners           = []
    completeness_certificates = []
    disputed_blocks           = []
    fee_history               = ["chainId"]
    gas_samples               = []
    leases                    = []
    paid_samples              = []
    published_blocks          = []
    reconciliation_cursors    = []
    reconciliation_reports    = ["startedAt"]
    reconciliations           = []
    tip_samples               = []
    unmapped_transfers        = []
  }

  # Of collections that the application asks, too, only what grows.
  growing = {
    events          = var.firestore.unindexed_event_fields
    rollover_states = ["milestones", "proofs", "verdicts"]
  }

  fields = merge(flatten([
    [for collection in keys(local.own_collections) : {
      "${collection} *" = { collection = collection, field = "*", orders = [], expires = false }
    }],
    [for collection, fields in local.own_collections : {
      for field in fields : "${collection} ${field}" => {
        collection = collection, field = field, orders = ["ASCENDING", "DESCENDING"], expires = false
      }
    }],
    [for collection, fields in local.growing : {
      for field in fields : "${collection} ${field}" => {
        collection = collection, field = field, orders = [], expires = false
      }
    }],
    # Of a time to live the index would be a hot spot, and nobody asks for it.
    [for collection in local.expiring : {
      "${collection} deleteAfter" = { collection = collection, field = "deleteAfter", orders = [], expires = true }
    }],
  ])...)

  # Collections whose documents carry deleteAfter, the time from which Firestore deletes them.
  expiring = ["reconciliation_reports"]
}

resource "google_firestore_index" "all" {
  for_each = local.indexes

  project    = local.project_id
  database   = local.database
  collection = each.value.collection

  dynamic "fields" {
    for_each = each.value.fields

    content {
      field_path = fields.value
      # Of fields that are compared the direction does not matter; the last one is what is ordered by.
      order = each.value.descending && fields.key == length(each.value.fields) - 1 ? "DESCENDING" : "ASCENDING"
    }
  }
}

resource "google_firestore_field" "all" {
  for_each = local.fields

  project    = local.project_id
  database   = local.database
  collection = each.value.collection
  field      = each.value.field

  index_config {
    dynamic "indexes" {
      for_each = each.value.orders

      content {
        order       = indexes.value
        query_scope = "COLLECTION"
      }
    }
  }

  dynamic "ttl_config" {
    for_each = each.value.expires ? [1] : []

    content {}
  }
}
