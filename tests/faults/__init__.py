"""The whole stack under load while parts of it die: a history of all that was asked, and a checker of the whole."""
