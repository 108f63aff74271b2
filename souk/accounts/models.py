"""Users. Every account can buy and sell."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import Q, UniqueConstraint
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower

from souk.eventlog.models import ClockTimestamp, Subject
from souk.kit.entity import AllRows, EntityQuerySet, LiveRows

USERNAME = re.compile(r"[A-Za-z0-9_.\-]{3,32}")

# The one look upwards in this room, by the table's name. A counter on the user's row would be written by every import
# and activation, and would keep that user from signing in until they commit.
PRODUCTS_COUNT = """
    SELECT count(*)::integer FROM catalog_product
     WHERE seller_id = accounts_user.id AND state = 'ACTIVE' AND deleted IS NULL
"""


def normal_username(asked: str) -> str | None:
    """The name as it is stored (NFKC), or None for one that nobody can have."""
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


class User(Subject, AbstractBaseUser):
    """An account. User names are unique over all rows, deleted ones too, without regard to case."""

    subject_type: ClassVar[str] = "user"

    username = models.CharField(max_length=32)
    display_name = models.CharField(max_length=100, blank=True)
    bio = models.CharField(max_length=2000, blank=True)
    email = models.EmailField(max_length=254, blank=True)
    email_verified = models.BooleanField(default=False)
    is_staff = models.BooleanField(default=False)
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
        # Not unique: a refusal would tell a stranger whose addresses are registered.
        indexes = [models.Index(Lower("email"), name="user_email", condition=~Q(email=""))]

    def __str__(self) -> str:
        return self.username
