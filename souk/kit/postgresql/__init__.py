"""Django's PostgreSQL back end, with what Souk asks of a connection."""
