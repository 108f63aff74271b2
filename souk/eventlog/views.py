"""The door of the feed."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from souk.eventlog.feed import cursor_of, position_of, read_feed
from souk.eventlog.serializers import EventsOut, EventsQuery, event_out, types_of
from souk.kit.door import Door, answer
from souk.kit.parsing import query_of
from souk.kit.problem import NotAuthenticated


class Events(Door):
    """`GET /events`."""

    queried = True

    def get(self, request: Request) -> HttpResponse:
        if not request.user:
            raise NotAuthenticated
        asked = query_of(EventsQuery, request)
        page = read_feed(
            user_id=cast("UUID", request.user.pk),
            after=None if asked.after is None else position_of(asked.after, parameter="after"),
            types=types_of(asked.types),
            limit=asked.limit,
        )
        out = EventsOut(results=[event_out(event) for event in page.events], next=cursor_of(page.after))
        response = answer(out)
        kept = [(name, value) for name, value in request.GET.items() if name != "after"]
        response["Link"] = f'<{request.path}?{urlencode([*kept, ("after", out.next)])}>; rel="next"'
        return response
