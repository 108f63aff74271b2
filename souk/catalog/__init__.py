"""What is for sale: products of sellers, and the tags that staff manage."""
