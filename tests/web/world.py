"""A market with something on every page: ordinary people and things, and the worst of titles and prices."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

from souk.settings import PACKAGE
from tests.stack.private import SoukStack, wait_for
from tests.web.people import Person

CATALOGUE = PACKAGE / "commands" / "demo_catalogue.jsonl"
WORST = [
    "<script>document.title='taken'</script><img src=x onerror=alert(1)>",
    "Ｗ" * 200,
    "W" * 200,
    "حقيبة جلدية مصنوعة يدويًا \u202eمقلوب\u202c من فاس",
    "👩🏽‍🎨🏺" * 30,
    "Zalgo: " + "Z\u0351\u036b\u0343\u036a" * 30,
]
PRICES = [0, 10**12, 1999, 100, 5, 10**12]
Look = tuple[Person | None, str]


class World:
    """Who looks (None: a stranger), and where. The worst things are older than the ordinary ones."""

    def __init__(self, stack: SoukStack, folder: Path) -> None:
        base_url = stack.base_url
        self.base_url = base_url
        self.worst = self._worst_seller(base_url)
        self.victim = Person.register(base_url, "victim")
        self._bought_from_the_worst()
        lines = CATALOGUE.read_text(encoding="utf-8").splitlines()
        (folder / "products.jsonl").write_text("\n".join(lines[:22]) + "\n", encoding="utf-8")
        done = stack.souk("import", "products", str(folder / "products.jsonl"))
        assert done.returncode == 0, done.stdout + done.stderr
        self.nour = Person.register(base_url, "nour", display_name="Atelier Nour")
        self.nour.ask("PATCH", "/me", {"bio": "Lamps and small furniture, made to last, in a yard behind the tannery."})
        self.things = [self._ordinary(line) for line in lines[22:32]]
        self.anna = Person.register(base_url, "anna", display_name="Anna")
        self._bought_from_nour()

    def ordinary(self) -> dict[str, Look]:
        """Every page of the shop, with what one would see there on a usual day. The order still has its time."""
        lines = [{"product_id": self.things[at], "quantity": 1} for at in (4, 9)]
        waits = self.anna.ask("POST", "/orders", {"lines": lines}, status=201)
        return {
            "browse": (None, "/"),
            "search": (None, "/?tag=handmade&available=true&max=300"),
            "product": (self.anna, f"/p/{self.things[0]}"),
            "store": (self.anna, f"/u/{self.nour.id}"),
            "sign-in": (None, "/signin"),
            "register": (None, "/register"),
            "forgotten": (None, "/forgotten"),
            "reset": (None, "/reset"),
            "verify": (self.anna, "/verify"),
            "feed": (self.anna, "/feed"),
            "bag": (self.anna, "/bag"),
            "orders": (self.anna, "/orders"),
            "order": (self.anna, f"/orders/{waits['id']}"),
            "account": (self.nour, "/account"),
            "desk": (self.nour, "/desk"),
            "desk-edit": (self.nour, f"/desk/{self.things[1]}"),
            "desk-new": (self.nour, "/desk/new"),
            "sales": (self.nour, "/desk/sales"),
        }

    def empty(self) -> dict[str, Look]:
        """Pages that have nothing to show yet."""
        nobody = Person.register(self.base_url, "newcomer")
        return {
            "empty-bag": (nobody, "/bag"),
            "empty-orders": (nobody, "/orders"),
            "empty-feed": (nobody, "/feed"),
            "empty-desk": (nobody, "/desk"),
            "empty-sales": (nobody, "/desk/sales"),
            "empty-search": (None, "/?q=table&available=true&min=1&tag=nothing-such"),
            "not-here": (None, f"/p/{uuid4()}"),
        }

    def terrible(self) -> dict[str, Look]:
        """The worst that people can write, wherever it is shown."""
        lines = [{"product_id": self.bad[at], "quantity": 1} for at in (3, 2, 1)]
        waits = self.victim.ask("POST", "/orders", {"lines": lines}, status=201)
        return {
            "worst-store": (self.victim, f"/u/{self.worst.id}"),
            "worst-product": (None, f"/p/{self.bad[1]}"),
            "worst-product-arabic": (self.victim, f"/p/{self.bad[3]}"),
            "worst-product-script": (self.victim, f"/p/{self.bad[0]}"),
            "worst-feed": (self.victim, "/feed"),
            "worst-bag": (self.victim, "/bag"),
            "worst-orders": (self.victim, "/orders"),
            "worst-order": (self.victim, f"/orders/{waits['id']}"),
            "worst-cancelled": (self.victim, f"/orders/{self.cancelled['id']}"),
            "worst-account": (self.worst, "/account"),
            "worst-desk": (self.worst, "/desk"),
            "worst-edit": (self.worst, f"/desk/{self.bad[1]}"),
            "worst-sales": (self.worst, "/desk/sales"),
        }

    def _worst_seller(self, base_url: str) -> Person:
        seller = Person.register(base_url, "worst", display_name="Very " * 19 + "long")
        self.bad = [
            seller.sells(title, price={"amount": price, "currency": "EUR"}, stock=4 if at else 0, description=title)
            for at, (title, price) in enumerate(zip(WORST, PRICES, strict=True))
        ]
        return seller

    def _bought_from_the_worst(self) -> None:
        for product in self.bad[1:]:
            self.victim.ask("PUT", f"/bag/lines/{product}", {"quantity": 5 if product == self.bad[2] else 1})
        self.victim.ask("PUT", f"/users/{self.worst.id}/follow", status=204)
        self.cancelled = self.victim.orders(self.bad[4])
        self.victim.ask("POST", f"/orders/{self.cancelled['id']}/cancel")

    def _ordinary(self, line: str) -> str:
        told = json.loads(line)
        tags = [tag for tag in told["tags"] if self.nour.asks_for_tag(tag)]
        return self.nour.sells(
            told["title"], description=told["description"], price=told["price"], stock=told["stock"], tags=tags
        )

    def _bought_from_nour(self) -> None:
        anna, things = self.anna, self.things
        anna.ask("PUT", f"/users/{self.nour.id}/follow", status=204)
        paid = anna.orders(things[2], quantity=1)
        anna.ask("POST", f"/orders/{paid['id']}/confirm", {"payment": {"method": "card", "token": "tok_ok"}})
        wait_for(
            lambda: anna.ask("GET", f"/orders/{paid['id']}")["state"] == "ACCEPTED", what="the paid order is accepted"
        )
        for at, quantity in ((0, 1), (5, 2), (6, 1)):
            anna.ask("PUT", f"/bag/lines/{things[at]}", {"quantity": quantity})
