"""The contract of the doors of tickets: what each says of itself. The API never loads it."""

from __future__ import annotations

from collections.abc import Mapping

from souk.kit.described import Description
from souk.kit.parsing import Nothing
from souk.live.tickets import TicketOut

DOORS: Mapping[str, Description] = {
    "Tickets.post": Description(
        name="create_live_ticket",
        summary="Get a ticket for the live stream",
        tag="Events",
        caller="user",
        body=Nothing,
        answer=TicketOut,
        text=(
            "Good once, for a minute, at `GET /live?ticket=` of the live process: for browsers, whose EventSource "
            "sends no headers."
        ),
    ),
}
