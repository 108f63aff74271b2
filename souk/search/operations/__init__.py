"""What is asked of the search table. Every verb here reads; triggers write."""
