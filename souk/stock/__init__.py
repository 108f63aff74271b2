"""How many there are, and who holds them. Knows products, orders and owners as opaque ids only."""
