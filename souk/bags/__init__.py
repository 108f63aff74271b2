"""What somebody means to buy, before they order it."""
