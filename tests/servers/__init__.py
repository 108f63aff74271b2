"""Souk on servers that are not embedded: a replica, search servers, Debezium Server. `make test-servers` runs these."""
