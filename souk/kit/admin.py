"""The base of every page for staff: rows to be read, and buttons that each call one operation.

Nothing is saved by a form of Django's own: what a page changes goes through an operation, whose refusal is shown in its
own words. Lists stay fast with millions of rows: they are ordered by an index, count nothing, and filter and search by
indexed columns alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.admin.views.main import ORDER_VAR
from django.db import OperationalError, models, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold import paginator as unfold_paginator
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminTextareaWidget

from souk.kit.problem import NotFound, Refused, refusal_of

# Deeper pages are not read but narrowed down: every page skips all rows before it.
DEEPEST_PAGE = 200
PAGE = 50
LONGEST_WORD = 24  # letters that a cell of a small table keeps on one line


class InfinitePaginator(unfold_paginator.InfinitePaginator):  # type: ignore[misc]  # unfold has no types
    """Pages without a count, up to a depth at which skipping rows is still fast. Unfold goes by the name."""

    num_pages = DEEPEST_PAGE


class RowList(ChangeList):  # type: ignore[misc]  # unfold has no types
    """Rows in the page's own order. Django goes by an order in the address too, of any column."""

    def get_ordering(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> Any:
        self.params.pop(ORDER_VAR, None)
        return super().get_ordering(request, queryset)


class StaffForm(BaseDialogForm):  # type: ignore[misc]  # unfold has no types
    """What is asked before something is done; by itself only whether it shall be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        row_id = _uuid(kwargs.get("object_id"))
        super().__init__(*args, initial={} if row_id is None else self.values_of(row_id), **kwargs)

    def values_of(self, row_id: UUID) -> dict[str, Any]:
        """What the form shows of a row before anything is filled in."""
        return {}

    def render_before_template(self) -> str:
        return render_to_string("unfold/helpers/messages/error.html", {"errors": self.non_field_errors()})


class ReasonForm(StaffForm):
    """Why it is done. The audit trail keeps it."""

    reason = forms.CharField(min_length=3, max_length=200, widget=UnfoldAdminTextareaWidget({"rows": 2}))


class StaffPage(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Rows that staff reads. `exact_search` maps the columns that can be searched to the type of their values."""

    checks_class = ModelAdminChecks  # unfold's own asks the database
    actions = None
    list_per_page = PAGE
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = InfinitePaginator
    ordering: ClassVar[Any] = ["-id"]
    sortable_by: ClassVar[Any] = ()
    list_filter_sheet = False
    exact_search: ClassVar[Mapping[str, Callable[[str], Any]]] = {}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RowList]:
        return RowList

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Filters alone. Django takes a condition on any column of the row from the address, indexed or not."""
        return lookup in {one.parameter_name for one in self.list_filter}

    def get_search_fields(self, request: HttpRequest) -> Iterable[str]:
        return tuple(self.exact_search)

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        """Exact values of indexed columns: a search for a part of a word would read the whole table."""
        if not search_term:
            return queryset, False
        found = models.Q(pk__in=[])
        for column, kind in self.exact_search.items():
            try:
                value = kind(search_term.strip())
            except ValueError:
                continue
            # Rows that are named are looked up first: "this or among those" in one statement reads the whole table.
            named = list(value.values_list("pk", flat=True)) if isinstance(value, models.QuerySet) else value
            found |= models.Q(**{column: named})
        return queryset.filter(found), False

    def address(self, row_id: object = None) -> str:
        """Where the list stands, or the page of one row."""
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}"
        return reverse(f"{name}_changelist") if row_id is None else reverse(f"{name}_change", args=[row_id])


def button(
    *, title: str, permission: str, explains: str = "", form: type[StaffForm] = StaffForm
) -> Callable[[Callable[..., str]], Callable[..., HttpResponse]]:
    """A button of a StaffPage: opens the form and, once it is filled in, calls the method, all or nothing.

    The method gets the page, the member, the filled form and, on the page of one row, the row; it calls one operation
    and returns what to say when that is done. A refusal is shown in the form, in its own words. Who lacks the
    permission sees no button, and gets 403 without it.
    """
    dialog = {"title": title, "description": explains, "form_class": form, "form_submit_text": title}

    def decorated(method: Callable[..., str]) -> Callable[..., HttpResponse]:
        @action(description=title, permissions=[permission], dialog=dialog)  # type: ignore[untyped-decorator]  # unfold has no types
        @wraps(method)
        def carried_out(
            page: StaffPage, request: HttpRequest, filled: StaffForm, object_id: str | None = None
        ) -> HttpResponse:
            try:
                rows = [] if object_id is None else [_row(page, request, object_id)]
                with transaction.atomic():
                    done = method(page, request.user, filled, *rows)
            except (Refused, OperationalError) as error:
                refused = refusal_of(error)
                told = [refused.detail, *(str(error["detail"]) for error in refused.errors)]
                filled.add_error(None, " ".join(dict.fromkeys(told)))
                shown = {"dialog": dialog, "form": filled, "form_submit_text": title}
                return render(request, "unfold/helpers/dialog.html", shown)
            messages.success(request, done)
            gone = rows and not page.get_queryset(request).filter(pk=rows[0].pk).exists()
            return HttpResponse(headers={"HX-Redirect": page.address(None if gone else object_id)})

        return carried_out  # type: ignore[no-any-return]  # unfold gives its decorator no types

    return decorated


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _row(page: StaffPage, request: HttpRequest, object_id: str) -> Any:
    row = page.get_object(request, object_id)
    if row is None:
        raise NotFound("There is no such row any more.")
    return row


def table(headers: Iterable[str], rows: Iterable[Iterable[Any]]) -> SafeString:
    """A small table for a read-only field; a dash where there are no rows."""
    kept = list(rows)
    if not kept:
        return SafeString("-")
    head = format_html_join("", '<th class="font-semibold pr-6 text-left">{}</th>', ((name,) for name in headers))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", "{}", ((_cell(value),) for value in row)),) for row in kept)
    )
    # In a frame of its own: a title of two hundred letters must not widen the page.
    return format_html('<div style="overflow-x: auto"><table><tr>{}</tr>{}</table></div>', head, body)


def _cell(value: Any) -> SafeString:
    text = f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
    wraps = "min-width: 16ch" if len(text) > LONGEST_WORD else "white-space: nowrap"
    return format_html('<td class="pr-6 py-1" style="{}">{}</td>', wraps, text)
