"""Tokens that go by mail: asked for at the HTTP door, minted and sent by the clock, taken back at the HTTP door."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Lower

from souk.accounts.gateway import MailRefused, send_password_reset, send_verification
from souk.accounts.models import MailedToken, MailPurpose, MailRequest, User
from souk.eventlog.models import ClockTimestamp
from souk.eventlog.operations import database_now
from souk.kit.problem import ValidationFailed
from souk.kit.ratelimit import RateLimited, Use, count
from souk.kit.tracing import traced

log = structlog.get_logger()

LIFE = {MailPurpose.PASSWORD_RESET: timedelta(hours=1), MailPurpose.EMAIL_VERIFICATION: timedelta(days=3)}
MOST_ATTEMPTS = 8
# An address may belong to several accounts; nobody needs more mails than this.
MOST_ACCOUNTS = 5
MOST_TOKENS = 5


class BadMailedToken(ValidationFailed):
    """The mailed token is unknown, used, too old, or was ended by a change of the password or address. 400."""

    def __init__(self) -> None:
        super().__init__(errors=[{"pointer": "/token", "code": "invalid", "detail": "Ask for a new mail."}])


def request_verification(*, user: User) -> None:
    """Have a token mailed that proves the user's new address. What was mailed to the old one is no longer good.

    In the caller's transaction.
    """
    MailedToken.objects.filter(user=user).delete()
    if user.email:
        mail = MailRequest(purpose=MailPurpose.EMAIL_VERIFICATION, address=user.email, user_id=user.pk)
        mail.save(force_insert=True)


@traced
@transaction.atomic(savepoint=False)
def verify_email(*, token: str) -> None:
    """Note that the user reads the mail of their address; the token is used up. Raises BadMailedToken."""
    user, address = take_mailed_token(token=token, purpose=MailPurpose.EMAIL_VERIFICATION)
    if user.email != address:
        raise BadMailedToken
    user.change(email_verified=True, updated=database_now())


def take_mailed_token(*, token: str, purpose: MailPurpose) -> tuple[User, str]:
    """Use up a token: its user, whose row is locked now, and the address that it was sent to. Raises BadMailedToken."""
    checksum = _checksum(token)
    known = MailedToken.objects.filter(checksum=checksum, purpose=purpose).first()
    if known is None:
        raise BadMailedToken
    user = User.objects.in_good_standing().filter(pk=known.user_id).select_for_update(no_key=True).first()
    if user is None:
        raise BadMailedToken
    taken, _ = MailedToken.objects.filter(checksum=checksum, expires__gt=ClockTimestamp()).delete()
    ended = purpose == MailPurpose.PASSWORD_RESET and known.created < user.token_epoch
    if not taken or ended:
        raise BadMailedToken
    return user, known.address


def send_due_mails(*, limit: int = 20) -> int:
    """Send what was asked for, oldest first; returns how many requests were worked off. For the clock.

    A request that cannot be sent is tried again, later each time, and given up after some hours. Must not run inside a
    transaction: mails are sent outside of any.
    """
    for done in range(limit):
        if not _send_next():
            return done
    return limit


def _send_next() -> bool:
    with transaction.atomic():
        due = MailRequest.objects.filter(due__lte=ClockTimestamp()).order_by("due")
        asked = due.select_for_update(skip_locked=True, no_key=True).first()
        if asked is None:
            return False
        asked.attempts += 1
        asked.due = database_now() + timedelta(seconds=30 * 2**asked.attempts)
        asked.save(update_fields=["attempts", "due"])
        letters = [(user, _mint(user, asked)) for user in _recipients(asked) if _wants_more(user, asked)]
    try:
        for user, token in letters:
            if asked.purpose == MailPurpose.PASSWORD_RESET:
                send_password_reset(address=user.email, username=user.username, token=token)
            elif _may_be_asked(user.email):
                send_verification(address=user.email, username=user.username, token=token)
    except MailRefused as refused:
        log.warning("a mail could not be sent", attempts=asked.attempts, reason=str(refused))
        if asked.attempts < MOST_ATTEMPTS:
            return True
    MailRequest.objects.filter(pk=asked.pk).delete()
    return True


def _may_be_asked(address: str) -> bool:
    """Whether this address, which anybody may have typed, has not been sent too many such mails of late."""
    try:
        count([Use("verification-mails", address.lower())])
    except RateLimited:
        log.warning("an address is asked to be verified too often; this mail is left out")
        return False
    return True


def _recipients(asked: MailRequest) -> list[User]:
    users = User.objects.in_good_standing().alias(lower_email=Lower("email")).exclude(email="")
    if asked.purpose == MailPurpose.PASSWORD_RESET:
        return list(users.filter(lower_email=asked.address.lower()).order_by(F("id"))[:MOST_ACCOUNTS])
    return list(users.filter(pk=asked.user_id, email=asked.address, email_verified=False))


def _wants_more(user: User, asked: MailRequest) -> bool:
    good = MailedToken.objects.filter(user=user, purpose=asked.purpose, expires__gt=ClockTimestamp())
    return good.count() < MOST_TOKENS


def _mint(user: User, asked: MailRequest) -> str:
    token = secrets.token_urlsafe(32)
    MailedToken(
        checksum=_checksum(token),
        purpose=asked.purpose,
        user=user,
        address=user.email,
        expires=database_now() + LIFE[MailPurpose(asked.purpose)],
    ).save(force_insert=True)
    return token


def _checksum(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
