"""Money that is asked for and moves. Knows what it is paid for as an opaque reference."""
