"""What all rooms share and none owns. Names no noun of the shop."""
