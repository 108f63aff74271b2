"""The demonstration: the journey of one order over HTTP, and the end of another, told line by line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from souk.commands.client import Person, Unexpected, connect, expect

HEARD_WITHIN = 30.0  # seconds that an event may take from the commit to the reaction's commit
CLOCK_GRACE = 15.0  # seconds after the deadline in which the clock must have told the expiry
DOORS = (
    ("/", "shop front"),
    ("/guide/", "guide"),
    ("/docs", "API documentation"),
    ("/admin/", "staff"),
    ("/api/v1/products", "products"),
    ("/api/v1/machines", "state machines"),
    ("/health/ready", "health"),
    ("/metrics", "metrics"),
)


@dataclass
class Teller:
    """Prints one line per step: number, who, what, the state that came of it, milliseconds."""

    console: Console
    steps: int = field(default=0, init=False)

    def tell(self, who: str, what: str, state: str, seconds: float) -> None:
        self.steps += 1
        line = Text.assemble(
            (f"{self.steps:>3}  ", "dim"), (f"{who:<7}", "bold"), f"{what:<64}", (f"{state:<22}", "green")
        )
        line.append(f"{seconds * 1000:>9,.0f} ms", "dim")
        self.console.print(line, soft_wrap=True)


@dataclass
class Journey:
    """Everything that happens to the two orders. Raises Unexpected as soon as something is not as promised."""

    http: httpx.Client
    teller: Teller

    def play(self) -> None:
        """Play every step; the order that expires is placed first, and its end is told last."""
        self.check_health()
        seller, buyer = self.meet()
        mug = self.offer(seller)
        neighbour = self.find(mug)
        doomed = self.place(buyer, [(mug["id"], 2)], "an order that will be forgotten")
        self.show_stock(seller, mug["id"], on_hand=10, reserved=2)
        name = neighbour["seller"]["display_name"] or neighbour["seller"]["username"]
        order = self.place(buyer, [(mug["id"], 3), (neighbour["id"], 1)], f"an order, also from {name[:24]}")
        self.show_stock(seller, mug["id"], on_hand=10, reserved=5)
        self.pay(buyer, order)
        self.show_stock(seller, mug["id"], on_hand=7, reserved=2)
        self.show_history(buyer, order["id"])
        self.show_doors(buyer)
        self.forget(buyer, doomed)
        self.show_stock(seller, mug["id"], on_hand=7, reserved=0)
        self.show_history(buyer, doomed["id"])

    def check_health(self) -> None:
        began = time.perf_counter()
        ready = self.http.get("/health/ready")
        if ready.status_code != 200:
            raise Unexpected(f"/health/ready answers {ready.status_code}: {ready.text}")
        self.teller.tell("stack", "GET /health/ready", ready.json()["status"], time.perf_counter() - began)

    def meet(self) -> tuple[Person, Person]:
        people = []
        for who, prefix, name in (("seller", "demo-seller", "Demo Pottery"), ("buyer", "demo-buyer", "Demo Buyer")):
            with self.timed() as seconds:
                person = Person.sign_up(self.http, prefix=prefix, display_name=name)
            self.teller.tell(who, f"registers as {person.username}", "registered", seconds())
            answer = person.sign_in()
            self.teller.tell(who, "takes an opaque token (OAuth 2)", answer.body["token_type"], answer.seconds)
            people.append(person)
        return people[0], people[1]

    def offer(self, seller: Person) -> dict[str, Any]:
        answer = seller.ask(
            "POST",
            "/products",
            json={
                "title": "Demonstration mug",
                "description": "Thrown on the wheel while you were watching.",
                "price": {"amount": 2400, "currency": "EUR"},
                "stock": 10,
            },
        )
        mug: dict[str, Any] = expect(answer, 201)
        self.teller.tell("seller", f"offers “{mug['title']}”, 10 on hand, {price(mug)}", mug["state"], answer.seconds)
        return mug

    def find(self, mug: dict[str, Any]) -> dict[str, Any]:
        """Find the new product in the list, and another seller's one to order with it."""
        stranger = Person(self.http, "", "")
        answer = stranger.ask("GET", "/products", params={"limit": 100})
        page = expect(answer, 200)
        listed = [product["id"] for product in page["results"]]
        if mug["id"] not in listed:
            raise Unexpected("the new product is not on the first page of the list")
        place = listed.index(mug["id"]) + 1
        self.teller.tell("anyone", "finds it in the list of products, newest first", f"no. {place}", answer.seconds)
        while True:
            for product in page["results"]:
                if is_neighbour(product, mug):
                    return dict(product)
            if page["next"] is None:
                raise Unexpected("no other product to order with it; load the catalogue with `souk demo --load-only`")
            page = expect(stranger.ask("GET", "/products", params={"limit": 100, "cursor": page["next"]}), 200)

    def place(self, buyer: Person, wanted: list[tuple[str, int]], what: str) -> dict[str, Any]:
        lines = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in wanted]
        answer = buyer.ask("POST", "/orders", json={"lines": lines})
        order: dict[str, Any] = expect(answer, 201)
        self.teller.tell("buyer", f"places {what}, {total(order)}", order["state"], answer.seconds)
        return order

    def show_stock(self, seller: Person, product_id: str, *, on_hand: int, reserved: int) -> None:
        answer = seller.ask("GET", f"/products/{product_id}")
        stock = expect(answer, 200)["stock"]
        if stock != {"on_hand": on_hand, "reserved": reserved}:
            raise Unexpected(f"the stock should be {on_hand} on hand, {reserved} reserved, and is {stock}")
        self.teller.tell("seller", "looks at the stock of it", f"{on_hand} on hand, {reserved} held", answer.seconds)

    def pay(self, buyer: Person, order: dict[str, Any]) -> None:
        payment = {"payment": {"method": "card", "token": "tok_ok"}}
        answer = buyer.ask("POST", f"/orders/{order['id']}/confirm", json=payment)
        confirmed = expect(answer, 200)
        self.teller.tell("buyer", "confirms it with tok_ok", confirmed["state"], answer.seconds)
        with self.timed() as seconds:
            accepted = self.wait_for(buyer, order["id"], "ACCEPTED", HEARD_WITHIN)
        what = "commit → log → Debezium → stream → payment → and back → order"
        self.teller.tell("souk", what, accepted["state"], seconds())

    def forget(self, buyer: Person, order: dict[str, Any]) -> None:
        """Wait until the order's time is up, and hear what the clock made of it."""
        left = seconds_until(order["expires_at"])
        ends = datetime.fromisoformat(order["expires_at"]).astimezone().strftime("%H:%M:%S")
        told = f"     waiting for the forgotten order, whose time is up at {ends}, in {max(left, 0):.0f} s"
        self.teller.console.print(told, style="dim", soft_wrap=True, highlight=False)
        with self.timed() as seconds:
            expired = self.wait_for(buyer, order["id"], "NOT_CONFIRMED", max(left, 0) + CLOCK_GRACE)
        if expired["reason"] != "expired":
            raise Unexpected(f"the reason should be expired, and is {expired['reason']}")
        self.teller.tell("clock", "tells that the forgotten order's time is up", expired["state"], seconds())

    def show_history(self, buyer: Person, order_id: str) -> None:
        answer = buyer.ask("GET", f"/orders/{order_id}/history")
        steps = expect(answer, 200)["results"]
        told = " → ".join(f"{step['to']} ({step['actor']['type']})" for step in steps)
        self.teller.tell("buyer", "reads its history", f"{len(steps)} steps", answer.seconds)
        self.teller.console.print(f"            {told}", style="dim", soft_wrap=True, highlight=False)

    def show_doors(self, buyer: Person) -> None:
        """Print the addresses that answer, and an account to try them with."""
        print_line = self.teller.console.print
        print_line()
        for path, what in DOORS:
            if self.http.get(path).status_code == 200:
                print_line(f"     {what:<18} {self.http.base_url.join(path)}", soft_wrap=True, highlight=False)
        print_line(f"     {'try it as':<18} {buyer.username} / {buyer.password}", soft_wrap=True, highlight=False)
        print_line()

    def wait_for(self, buyer: Person, order_id: str, state: str, patience: float) -> dict[str, Any]:
        deadline = time.monotonic() + patience
        while True:
            order: dict[str, Any] = expect(buyer.ask("GET", f"/orders/{order_id}"), 200)
            if order["state"] == state:
                return order
            if time.monotonic() > deadline:
                raise Unexpected(f"the order should be {state} by now, and is {order['state']}")
            time.sleep(0.02 if patience <= HEARD_WITHIN else 0.25)

    @contextmanager
    def timed(self) -> Iterator[Callable[[], float]]:
        began = time.perf_counter()
        yield lambda: time.perf_counter() - began


def play_journey(*, base_url: str, console: Console) -> bool:
    """Play the demonstration against the API at `base_url`; True when everything went as promised."""
    with connect(base_url) as http:
        try:
            Journey(http, Teller(console)).play()
        except Unexpected as unexpected:
            console.print(f"[bold red]not as promised:[/] {unexpected}", soft_wrap=True)
        except httpx.HTTPError as broken:
            console.print(f"[bold red]no answer from {base_url}:[/] {broken}. Is `souk up` running?", soft_wrap=True)
        else:
            return True
    return False


def is_neighbour(product: dict[str, Any], mug: dict[str, Any]) -> bool:
    """Whether a product can stand in one order with ours: same currency, something to be had, of no demo seller."""
    return bool(
        product["price"]["currency"] == mug["price"]["currency"]
        and product["available"] > 0
        and product["seller"]["display_name"] != mug["seller"]["display_name"]
    )


def price(product: dict[str, Any]) -> str:
    return money(product["price"])


def total(order: dict[str, Any]) -> str:
    return money(order["total"])


def money(amount: dict[str, Any]) -> str:
    """Minor units of a two-digit currency, for people."""
    return f"{amount['amount'] / 100:.2f} {amount['currency']}"


def seconds_until(moment: str) -> float:
    """How long until an RFC 3339 moment, by this machine's clock."""
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
