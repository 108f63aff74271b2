"""Finding products: lists, newest first."""
