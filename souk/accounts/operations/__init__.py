"""The verbs of accounts."""

from souk.accounts.operations.registering import UsernameTaken, change_profile, create_user, register_user

__all__ = ["UsernameTaken", "change_profile", "create_user", "register_user"]
