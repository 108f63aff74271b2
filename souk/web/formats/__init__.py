"""How the pages for staff write moments; Django finds the module by this name."""
