"""Users. Every account can buy and sell."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import Q, UniqueConstraint
from django.db.models.functions import Lower

from souk.eventlog.models import ClockTimestamp, Subject
from souk.kit.entity import AllRows, EntityQuerySet, LiveRows


class UserQuerySet(EntityQuerySet):
    """Users."""

    def named(self, username: str) -> UserQuerySet:
        """The one with this name, whatever its case."""
        return self.filter(username__iexact=username)


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
