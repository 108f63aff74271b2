"""The append-only log of what happened: feed, audit trail, source of webhooks, and the outbox that Debezium reads."""
