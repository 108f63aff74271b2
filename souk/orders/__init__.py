"""The life of an order, from the hold to the sale."""
