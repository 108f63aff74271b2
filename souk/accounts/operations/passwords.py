"""Passwords: checked, changed, and set anew by whoever reads the account's mail."""

from __future__ import annotations

from django.db import transaction

from souk.accounts.models import MailedToken, MailPurpose, MailRequest, User
from souk.accounts.operations.mailing import take_mailed_token
from souk.accounts.operations.registering import password_errors
from souk.eventlog.models import ClockTimestamp
from souk.eventlog.operations import database_now
from souk.kit.problem import NotAuthenticated, ValidationFailed
from souk.kit.tracing import traced


class WrongPassword(ValidationFailed):
    """The password that was sent to prove who asks is not the account's. 400, at its pointer."""

    def __init__(self, pointer: str) -> None:
        super().__init__(errors=[{"pointer": pointer, "code": "wrong_password", "detail": "This is not the password."}])


def prove_password(*, user: User, password: str, pointer: str) -> str:
    """The stored form of the password that proved right: the caller locks the user and looks whether it is still that.

    The hash comes before the lock, since it may have to wait for its turn. Raises WrongPassword, NotAuthenticated.
    """
    found: User | None = User.objects.in_good_standing().filter(pk=user.pk).first()
    if found is None:
        raise NotAuthenticated
    if not found.check_password(password):
        raise WrongPassword(pointer)
    return found.password


@traced
@transaction.atomic(savepoint=False)
def change_password(*, user: User, current_password: str, new_password: str) -> None:
    """Set another password; every token of the user, and every reset token, ends.

    Raises WrongPassword, ValidationFailed.
    """
    proved = prove_password(user=user, password=current_password, pointer="/current_password")
    locked: User | None = (
        User.objects.in_good_standing().filter(pk=user.pk, password=proved).select_for_update(no_key=True).first()
    )
    if locked is None:
        raise NotAuthenticated
    _set_password(locked, new_password)


@traced
@transaction.atomic(savepoint=False)
def request_password_reset(*, email: str) -> None:
    """Have a reset token mailed to the accounts with this address, if there are any.

    Writes the same row for any address; the clock finds out what to send.
    """
    MailRequest(purpose=MailPurpose.PASSWORD_RESET, address=email).save(force_insert=True)


@traced
@transaction.atomic(savepoint=False)
def reset_password(*, token: str, new_password: str) -> None:
    """Set the password by a mailed token, which is used up then; every token of the user ends.

    Raises BadMailedToken, and ValidationFailed for a weak password, which leaves the token good.
    """
    user, _ = take_mailed_token(token=token, purpose=MailPurpose.PASSWORD_RESET)
    _set_password(user, new_password)


def _set_password(locked: User, new_password: str) -> None:
    if errors := password_errors(new_password, pointer="/new_password", user=locked):
        raise ValidationFailed(errors=errors)
    locked.set_password(new_password)
    locked.change(password=locked.password, token_epoch=ClockTimestamp(), updated=database_now())
    MailedToken.objects.filter(user=locked, purpose=MailPurpose.PASSWORD_RESET).delete()
