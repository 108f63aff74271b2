"""The contract: OpenAPI 3.1, made from what the doors say of themselves. `souk django write_docs` alone loads it."""
