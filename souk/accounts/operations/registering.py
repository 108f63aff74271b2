"""Coming in: a new account, and what its owner says about themselves."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from souk.accounts.models import USERNAME, User
from souk.accounts.operations.mailing import request_verification
from souk.eventlog.operations import Actor, acting_user, database_now, record
from souk.kit.problem import NotAuthenticated, Refused, ValidationFailed
from souk.kit.tracing import traced

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 128
# Names that a stranger would take for the market itself.
RESERVED = frozenset(
    """
    abuse admin administrator anonymous api deleted help hostmaster info me moderator null postmaster root security
    souk staff support system undefined webmaster
    """.split()
)
# Control characters, and the marks that turn the direction of the text which follows: a name must not rewrite its page.
# A name has no line breaks either, of which Unicode has two more. Marks that a letter needs around it stay.
UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
UNSHOWABLE_IN_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class UsernameTaken(Refused):
    """Somebody has this name, or once had it: names of deleted users are not given out again."""

    advice = "Choose another name. Upper and lower case make no difference."
    status, code, title = 409, "username_taken", "The user name is taken"

    def __init__(self) -> None:
        error = {"pointer": "/username", "code": self.code, "detail": "Choose another name."}
        super().__init__(errors=[error])


@traced
@transaction.atomic(savepoint=False)
def register_user(*, username: str, password: str, email: str = "", display_name: str = "") -> User:
    """Open an account. Raises ValidationFailed, also for a reserved name, and UsernameTaken."""
    if username.lower() in RESERVED:
        error = {"pointer": "/username", "code": "reserved", "detail": "This name is the market's own."}
        raise ValidationFailed(errors=[error])
    return create_user(username=username, password=password, email=email, display_name=display_name)


@traced
@transaction.atomic(savepoint=False)
def create_user(
    *,
    username: str,
    password: str,
    email: str = "",
    display_name: str = "",
    is_staff: bool = False,
    actor: Actor | None = None,
) -> User:
    """Make an account on the operator's word: staff, and reserved names, can be had here.

    Staff may do everything in their pages until `appoint_staff` says less. `actor` is who makes it, the user themselves
    unless said. Raises ValidationFailed, UsernameTaken.
    """
    user = User(username=username, email=email, display_name=display_name, is_staff=is_staff, is_superuser=is_staff)
    _give_name_and_password(user, password)
    user.created = user.updated = database_now()
    # ON CONFLICT DO NOTHING: an error would take the statement, with the hash and the address, into the server's log.
    User.all_objects.bulk_create([user], ignore_conflicts=True)
    if not User.all_objects.filter(pk=user.pk).exists():
        raise UsernameTaken
    record(
        user,
        "user.registered",
        actor=actor or acting_user(user.pk),
        data={"username": user.username},
        audience=[user.pk],
    )
    if user.email:
        request_verification(user=user)
    user.refresh_from_db(fields=["token_epoch", "followers_count"])
    return user


def _give_name_and_password(user: User, password: str) -> None:
    errors = [*profile_errors(email=user.email, display_name=user.display_name)]
    # As it was sent: whoever types wide letters is found by them (`normal_username`), and not given another name.
    if not USERNAME.fullmatch(user.username):
        detail = "A user name has 3 to 32 letters (a to z), digits, underscores, dots and hyphens."
        errors.append({"pointer": "/username", "code": "invalid", "detail": detail})
    errors += password_errors(password, pointer="/password", user=user)
    if errors:
        raise ValidationFailed(errors=errors)
    # Asked first because a hash is dear; the constraint decides.
    if User.all_objects.named(user.username).exists():
        raise UsernameTaken
    user.set_password(password)


@traced
@transaction.atomic(savepoint=False)
def change_profile(*, user: User, **values: Any) -> User:
    """Set display name, bio, e-mail: what is named. A new e-mail gets a mail to verify it. Raises ValidationFailed."""
    errors = [*profile_errors(**values)]
    if errors:
        raise ValidationFailed(errors=errors)
    locked: User | None = User.objects.in_good_standing().filter(pk=user.pk).select_for_update(no_key=True).first()
    if locked is None:
        raise NotAuthenticated
    moved = "email" in values and values["email"] != locked.email
    if moved:
        values["email_verified"] = False
    if values:
        locked.change(**values, updated=database_now())
    if moved:
        request_verification(user=locked)
    return locked


def profile_errors(*, display_name: str = "", bio: str = "", email: str = "") -> Iterator[dict[str, Any]]:
    """What is wrong with these values beyond their type and length, one error each."""
    if UNSHOWABLE.search(display_name):
        yield {"pointer": "/display_name", "code": "invalid", "detail": "No control characters, please."}
    if UNSHOWABLE_IN_TEXT.search(bio):
        yield {"pointer": "/bio", "code": "invalid", "detail": "No control characters but line breaks, please."}
    if email:
        try:
            validate_email(email)
        except ValidationError:
            yield {"pointer": "/email", "code": "invalid", "detail": "This is no e-mail address."}


def password_errors(password: str, *, pointer: str, user: User) -> list[dict[str, Any]]:
    """What is wrong with a password that this user would like to have, after NFKC."""
    normal = unicodedata.normalize("NFKC", password)
    if not SHORTEST_PASSWORD <= len(normal) <= LONGEST_PASSWORD:
        detail = f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
        return [{"pointer": pointer, "code": "invalid", "detail": detail}]
    try:
        validate_password(normal, user)
    except ValidationError as weak:
        return [
            {"pointer": pointer, "code": str(reason.code), "detail": " ".join(reason.messages)}
            for reason in weak.error_list
        ]
    return []
