"""Users. Every account can buy and sell."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, ClassVar, Self
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import CheckConstraint, Exists, F, OuterRef, Q, UniqueConstraint
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac

from souk.eventlog.models import ClockTimestamp, Subject
from souk.kit.entity import AllRows, Entity, EntityQuerySet, LiveRows, new_id

USERNAME = re.compile(r"[A-Za-z0-9_.\-]{3,32}")

# The one look upwards in this room, by the table's name. A counter on the user's row would be written by every import
# and activation, and would keep that user from signing in until they commit.
PRODUCTS_COUNT = """
    SELECT count(*)::integer FROM catalog_product
     WHERE seller_id = accounts_user.id AND state = 'ACTIVE' AND deleted IS NULL
"""


def normal_username(asked: str) -> str | None:
    """The name that is meant by what was typed, with wide letters perhaps (NFKC); None for one that nobody can have."""
    name = unicodedata.normalize("NFKC", asked)
    return name if USERNAME.fullmatch(name) else None


class UserQuerySet(EntityQuerySet):
    """Users."""

    def named(self, username: str) -> Self:
        """The one with this name, whatever its case."""
        name = normal_username(username)
        return self.none() if name is None else self.alias(lower_name=Lower("username")).filter(lower_name=name.lower())

    def in_good_standing(self) -> Self:
        """Those that are neither locked nor deleted."""
        return self.live().filter(is_active=True)

    def counted(self) -> Self:
        """With `products_count`, the number of their products that everybody can see."""
        return self.annotate(products_count=RawSQL(PRODUCTS_COUNT, []))  # noqa: S611  # a constant of this module

    def seen_by(self, caller_id: UUID | None) -> Self:
        """With `followed_by_caller`: whether the caller follows them, None for a stranger."""
        if caller_id is None:
            return self.annotate(followed_by_caller=models.Value(None, output_field=models.BooleanField(null=True)))
        return self.annotate(
            followed_by_caller=Exists(Follow.objects.filter(follower_id=caller_id, followed_id=OuterRef("pk")))
        )


class User(Subject, PermissionsMixin, AbstractBaseUser):
    """An account. User names are unique over all rows, deleted ones too, without regard to case.

    `is_staff` opens the staff doors of the API and the pages for staff; there a member of the staff sees what their
    groups allow, and everything when they are `is_superuser`.
    """

    subject_type: ClassVar[str] = "user"

    username = models.CharField(max_length=32)
    display_name = models.CharField(max_length=100, blank=True)
    bio = models.CharField(max_length=2000, blank=True)
    email = models.EmailField(max_length=254, blank=True)
    email_verified = models.BooleanField(default=False)
    is_staff = models.BooleanField(default=False)
    is_superuser = models.BooleanField(default=False, db_default=False)
    is_active = models.BooleanField(default=True)
    # Tokens issued before this moment are dead: a password change, a lock and a deletion set it.
    token_epoch = models.DateTimeField(db_default=ClockTimestamp())
    followers_count = models.IntegerField(db_default=0)

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    all_objects: ClassVar[Any] = AllRows.from_queryset(UserQuerySet)()
    objects: ClassVar[Any] = LiveRows.from_queryset(UserQuerySet)()

    class Meta(Subject.Meta):
        constraints = [
            UniqueConstraint(Lower("username"), name="user_name_once"),
        ]
        permissions = [("appoint_staff", "Can appoint staff and say what they may do")]
        # Not unique: a refusal would tell a stranger whose addresses are registered.
        indexes = [models.Index(Lower("email"), name="user_email", condition=~Q(email=""))]

    def __str__(self) -> str:
        return self.username

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        # What ends tokens ends the sessions of the pages for staff too: a new password, a lock, a deletion.
        said = f"{self.password} {self.token_epoch.isoformat()}"
        return salted_hmac("souk.accounts.models.User", said, secret=secret, algorithm="sha256").hexdigest()


class Follow(Entity):
    """That a user follows another one."""

    follower = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    followed = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)

    all_objects: ClassVar[Any] = AllRows.from_queryset(EntityQuerySet)()
    objects: ClassVar[Any] = LiveRows.from_queryset(EntityQuerySet)()

    class Meta(Entity.Meta):
        constraints = [
            UniqueConstraint(fields=["follower", "followed"], condition=Q(deleted__isnull=True), name="follow_once"),
            CheckConstraint(condition=~Q(follower=F("followed")), name="follow_somebody_else"),
        ]
        indexes = [
            models.Index("followed", F("id").desc(), condition=Q(deleted__isnull=True), name="follow_followers"),
            models.Index("follower", F("id").desc(), condition=Q(deleted__isnull=True), name="follow_following"),
        ]


class MailPurpose(models.TextChoices):
    PASSWORD_RESET = "password-reset"
    EMAIL_VERIFICATION = "email-verification"


class MailRequest(models.Model):
    """A mail that somebody asked for and the clock will send. Bookkeeping: deleted once it is sent.

    Written alike whether an account has the address or not, so that neither the answer nor its time can tell.
    """

    id = models.UUIDField(primary_key=True, default=new_id)
    purpose = models.CharField(max_length=32, choices=MailPurpose)
    address = models.CharField(max_length=254)
    user_id = models.UUIDField(null=True)
    attempts = models.SmallIntegerField(db_default=0)
    due = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [CheckConstraint(condition=Q(purpose__in=MailPurpose.values), name="mail_request_purpose")]
        indexes = [models.Index(fields=["due"], name="mail_request_due")]


class MailedToken(models.Model):
    """What a mailed token is good for; the token itself is only in the mail. Bookkeeping: used or old ones go."""

    checksum = models.CharField(max_length=64, primary_key=True)
    purpose = models.CharField(max_length=32, choices=MailPurpose)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    address = models.CharField(max_length=254)
    created = models.DateTimeField(db_default=ClockTimestamp())
    expires = models.DateTimeField()

    class Meta:
        constraints = [CheckConstraint(condition=Q(purpose__in=MailPurpose.values), name="mailed_token_purpose")]
        indexes = [models.Index(fields=["expires"], name="mailed_token_expires")]
