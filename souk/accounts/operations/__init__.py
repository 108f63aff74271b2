"""The verbs of accounts."""

from souk.accounts.operations.following import OwnAccount, follow_user, unfollow_user
from souk.accounts.operations.leaving import delete_account, end_tokens, lock_user, unlock_user
from souk.accounts.operations.mailing import BadMailedToken, send_due_mails, verify_email
from souk.accounts.operations.passwords import (
    WrongPassword,
    change_password,
    request_password_reset,
    reset_password,
)
from souk.accounts.operations.purging import purge_dead_tokens, purge_old_sessions
from souk.accounts.operations.registering import UsernameTaken, change_profile, create_user, register_user
from souk.accounts.operations.staffing import appoint_staff, note_act

__all__ = [
    "BadMailedToken",
    "OwnAccount",
    "UsernameTaken",
    "WrongPassword",
    "appoint_staff",
    "change_password",
    "change_profile",
    "create_user",
    "delete_account",
    "end_tokens",
    "follow_user",
    "lock_user",
    "note_act",
    "purge_dead_tokens",
    "purge_old_sessions",
    "register_user",
    "request_password_reset",
    "reset_password",
    "send_due_mails",
    "unfollow_user",
    "unlock_user",
    "verify_email",
]
