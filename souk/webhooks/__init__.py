"""Webhooks: events sent to addresses that users name, signed, tried again, and given up on with a reason."""
