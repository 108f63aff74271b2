"""The door of the API at which tickets are given; the live process has its own."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from souk.accounts.authentication import signed_in
from souk.kit.door import Door, answer
from souk.kit.parsing import Nothing, parsed
from souk.live.tickets import TICKET_SECONDS, TicketOut, bearer_of, checksum_of, issue_ticket


class Tickets(Door):
    """`POST /live/tickets`."""

    idempotent = False  # a ticket that was answered twice would be one that two connections hold

    def post(self, request: Request) -> HttpResponse:
        signed_in(request)
        parsed(Nothing, request)
        ticket = issue_ticket(checksum=checksum_of(bearer_of(request.headers.get("Authorization"))))
        response = answer(TicketOut(ticket=ticket, expires_in=TICKET_SECONDS))
        response["Cache-Control"] = "no-store"
        return response
