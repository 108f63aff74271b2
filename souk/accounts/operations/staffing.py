"""The staff: who belongs to it, and what they do in that role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from souk.accounts.models import User
from souk.accounts.operations.following import lock_named
from souk.eventlog.operations import SYSTEM, Actor, acting_staff, database_now, record
from souk.kit.problem import ValidationFailed
from souk.kit.tracing import traced


@traced
@transaction.atomic(savepoint=False)
def appoint_staff(*, username: str, groups: Sequence[str] = (), is_staff: bool = True, actor: Actor = SYSTEM) -> User:
    """Make a user a member of the staff, or no longer (`is_staff=False`).

    In the pages for staff they see what these groups allow; without a group, everything. Raises NotFound for an unknown
    user, ValidationFailed for an unknown group.
    """
    user = lock_named(username=username)
    # Locked, so that none of them is deleted before its member is in it.
    asked = Group.objects.filter(name__in=groups).order_by("pk").select_for_update(no_key=True)
    found = list(asked) if is_staff else []
    if is_staff and len(found) < len(set(groups)):
        missing = sorted(set(groups) - {group.name for group in found})
        raise ValidationFailed(f"There is no group {', '.join(missing)}.")
    record(
        user,
        "user.appointed",
        actor=actor,
        data={"username": user.username, "is_staff": is_staff, "groups": sorted(group.name for group in found)},
    )
    user.change(is_staff=is_staff, is_superuser=is_staff and not found, updated=database_now())
    user.groups.set(found)
    return user


def note_act(*, staff: User, act: str, target_type: str, target_id: object, **details: Any) -> None:
    """Tell the audit trail what a member of the staff did to something that has no events of its own.

    `act` is a verb ("tag.create"). In the caller's transaction; the row of the member is locked until it ends.
    """
    data = {"act": act, "target": {"type": target_type, "id": str(target_id)}, **details}
    record(staff, "staff.acted", actor=acting_staff(staff.pk), data=data)
