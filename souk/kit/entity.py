"""The base of every entity: id, three timestamps, and deletion that only marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from django.db import models
from django.utils import timezone
from uuid_utils.compat import uuid7

from souk.kit.postgresql.prepared import prepared_rows

Row = TypeVar("Row", bound=models.Model)


def new_id() -> UUID:
    """A fresh UUIDv7: sortable by the moment of its making (to the millisecond, and in order within one process)."""
    return uuid7()


def moment_of(made: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond, in UTC."""
    return datetime.fromtimestamp((made.int >> 80) / 1000, tz=UTC)


def floor_of(moment: datetime) -> UUID:
    """The least UUIDv7 that can be made at this moment or later."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def row_of(model: type[Row], **columns: Any) -> Row:
    """A row of the model with these columns, which must be all of them.

    As Django makes the rows that it reads: its own constructor looks for defaults, and takes three times as long.
    """
    names = columns_of(model)
    return model.from_db("default", names, [columns[name] for name in names])


def read_rows(model: type[Row], ending: str, parameters: Mapping[str, Any]) -> list[Row]:
    """Rows of a model by the ending of a SELECT, for hot paths: the ORM takes longer to write such a statement than
    PostgreSQL to answer it.
    """
    statement = f"SELECT {', '.join(columns_of(model))} FROM {model._meta.db_table} {ending}"  # noqa: S608  # the code's own words
    return rows_of(model, prepared_rows(statement, parameters))


def rows_of(model: type[Row], rows: Sequence[Sequence[Any]]) -> list[Row]:
    """Rows of a model from those of a statement that gives all of its columns, in their order."""
    names = columns_of(model)
    return [model.from_db("default", names, row) for row in rows]


@cache
def columns_of(model: type[models.Model]) -> tuple[str, ...]:
    """The columns of the model, in the order in which `from_db` takes them."""
    return tuple(field.attname for field in model._meta.concrete_fields)


class HardDeleteRefused(Exception):
    """Somebody called `.delete()` on an entity: history points to it, so it is only ever marked as deleted."""


class EntityQuerySet(models.QuerySet[Any]):
    """Rows of one entity. Rooms add their own questions by subclassing."""

    def live(self) -> Self:
        """Those that are not deleted."""
        return self.filter(deleted__isnull=True)

    def delete(self) -> Any:
        raise HardDeleteRefused(f"{self.model.__name__} rows are marked as deleted, never removed")

    delete.alters_data = True  # type: ignore[attr-defined]  # Django's own convention for template safety
    delete.queryset_only = True  # type: ignore[attr-defined]  # a manager must not offer it either


class AllRows(models.Manager[Any]):
    """Every row, deleted ones too."""


class LiveRows(models.Manager[Any]):
    """The rows that are not deleted."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(deleted__isnull=True)


class Entity(models.Model):
    """A thing of the shop's world. `objects` shows live rows, `all_objects` everything.

    A subclass names both managers itself, made from its own query set:
    `objects = LiveRows.from_queryset(ProductQuerySet)()`, `all_objects = AllRows.from_queryset(ProductQuerySet)()`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)
    updated = models.DateTimeField(default=timezone.now, editable=False)
    deleted = models.DateTimeField(null=True, editable=False)

    all_objects: ClassVar[Any] = AllRows.from_queryset(EntityQuerySet)()
    objects: ClassVar[Any] = LiveRows.from_queryset(EntityQuerySet)()

    class Meta:
        abstract = True
        base_manager_name = "all_objects"
        default_manager_name = "all_objects"

    def change(self, **values: Any) -> None:
        """Set these fields and write them, and `updated`, and no other column."""
        values.setdefault("updated", timezone.now())
        for name, value in values.items():
            setattr(self, name, value)
        self.save(update_fields=list(values))

    def mark_deleted(self) -> None:
        """Delete the entity as far as anybody can see. Foreign keys and history keep the row."""
        self.change(deleted=timezone.now())

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        raise HardDeleteRefused(f"{type(self).__name__} rows are marked as deleted, never removed")
