"""Accounts by the operator's hand."""

from __future__ import annotations

from typing import Annotated

import typer

from souk.commands import set_up_django
from souk.commands.processes import require_database

app = typer.Typer()
users = typer.Typer(help="Accounts.", no_args_is_help=True)
app.add_typer(users, name="user")


@users.callback()
def accounts() -> None:
    """Accounts."""


@users.command()
def create(
    username: Annotated[str, typer.Option(help="3 to 32 letters, digits, underscores, dots, hyphens.")],
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="Asked for when not given.")
    ],
    staff: Annotated[bool, typer.Option("--staff", help="May use the staff doors and the pages at /admin/.")] = False,
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="With --staff: may do in these pages what this group allows. Repeatable; without: everything."
        ),
    ] = None,
) -> None:
    """Make an account."""
    if group and not staff:
        typer.echo("--group says what a member of the staff may do: give it together with --staff.", err=True)
        raise typer.Exit(1)
    require_database()
    set_up_django()
    from django.db import transaction

    from souk.accounts.operations import appoint_staff, create_user
    from souk.eventlog.operations import SYSTEM
    from souk.kit.problem import Refused

    try:
        with transaction.atomic():
            user = create_user(username=username, password=password, is_staff=staff, actor=SYSTEM)
            if group:
                appoint_staff(username=username, groups=group, actor=SYSTEM)
    except Refused as refused:
        for error in refused.errors or [{"detail": refused.detail}]:
            place = str(error.get("pointer", "")).strip("/")
            typer.echo(f"{place}: {error['detail']}" if place else error["detail"], err=True)
        raise typer.Exit(1) from refused
    typer.echo(f"{user.username} is made{' (staff)' if staff else ''}: {user.pk}")


@users.command()
def lock(name: Annotated[str, typer.Argument(help="The user name.")]) -> None:
    """Keep an account out: its tokens end at once, its products are hidden and not for sale."""
    _turn_key("lock_user", name, "is locked out")


@users.command()
def unlock(name: Annotated[str, typer.Argument(help="The user name.")]) -> None:
    """Let a locked account in again."""
    _turn_key("unlock_user", name, "may sign in again")


def _turn_key(operation: str, name: str, done: str) -> None:
    require_database()
    set_up_django()
    from souk.accounts import operations
    from souk.kit.problem import NotFound

    try:
        user = getattr(operations, operation)(username=name)
    except NotFound as unknown:
        typer.echo(f"There is no account named {name}.", err=True)
        raise typer.Exit(1) from unknown
    typer.echo(f"{user.username} {done}.")
