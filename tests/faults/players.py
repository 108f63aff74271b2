"""Who plays: buyers who place, confirm and cancel, a seller who counts and renames, guests who come and go."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

from tests.faults.history import Asked, History, Voice
from tests.stack.private import wait_for

PASSWORD, OTHER_PASSWORD = "correct horse battery", "walnut and cedar wood"
CLIENT = "souk-web"
BUYERS, PRODUCTS = 4, 6
# How a confirmed order is paid.
CARDS = ("tok_ok",) * 8 + ("tok_declined", "tok_flaky", "tok_slow")
TRIES = 4


@dataclass
class Player:
    """A registered user with a token."""

    user: str
    name: str
    token: str


@dataclass
class Play:
    """One game. `seed` decides every choice; `urls` are where the API answers, of which each player uses one."""

    seed: str
    history: History
    urls: Sequence[str]
    home_url: str
    products: list[str] = field(default_factory=list)
    buyers: list[Player] = field(default_factory=list)
    seller: Player | None = None
    guests: list[str] = field(default_factory=list)
    dead_tokens: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311  # repeatable on purpose

    @property
    def users(self) -> list[str]:
        """The ids of everybody of this game."""
        return [*(one.user for one in self.buyers), *([self.seller.user] if self.seller else []), *self.guests]

    def gather(self, *, buyers: int = BUYERS, stock: int = 400) -> None:
        """Register who plays, and offer what is bought. Before anything is broken."""
        self.seller = self._register("seller")
        self.buyers = [self._register("buyer") for _ in range(buyers)]
        self.offer(PRODUCTS, stock=stock)

    def offer(self, number: int, *, stock: int) -> list[str]:
        """So many new products of the seller's."""
        assert self.seller is not None
        voice = self.voice("seller", self.seller, url=self.home_url)
        made = []
        for place in range(number):
            body = {"title": f"Bowl {place} v0", "price": {"amount": 1500, "currency": "EUR"}, "stock": stock}
            asked = voice.send("POST", "/products", body, token=self.seller.token)
            assert asked.status == 201, asked
            made.append(str(asked.answer["id"]))
        voice.close()
        self.products += made
        return made

    def start(self) -> None:
        """Let everybody play until `stop`."""
        assert self.seller is not None
        for place, buyer in enumerate(self.buyers):
            self._begin(partial(buy, self, buyer, self.voice("buyer", buyer, place=place), self.dice(f"buyer {place}")))
        self._begin(partial(sell, self, self.seller, self.voice("seller", self.seller), self.dice("seller")))
        for place in range(len(self.urls)):
            self._begin(partial(come_and_go, self, place, self.dice(f"guest {place}")))

    def stop(self) -> None:
        """Wait until everybody has heard an answer. Raises what broke in a player."""
        self._over.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), f"{thread.name} never ends"
        if self._failures:
            raise self._failures[0]

    @property
    def goes_on(self) -> bool:
        return not self._over.is_set()

    def rest(self, seconds: float) -> None:
        """Pause, but not beyond the end of the game."""
        self._over.wait(seconds)

    def dice(self, name: str) -> random.Random:
        """A player's own chance, which the scheduler of the machine does not disturb."""
        return random.Random(f"{self.seed} {name}")  # noqa: S311  # repeatable on purpose

    def voice(self, role: str, player: Player | None, *, place: int = 0, url: str = "") -> Voice:
        """A connection for one player."""
        return Voice(
            url or self.urls[place % len(self.urls)], self.history, role=role, user=player.user if player else ""
        )

    def settle_unknown(self) -> None:
        """Ask once more, with its key, for half of what nobody knows the outcome of; as a client would, until told."""
        tokens = {one.user: one.token for one in [*self.buyers, *([self.seller] if self.seller else [])]}
        for asked in unsettled(self.history.asked):
            if asked.user not in tokens or self.chance.random() < 0.5:
                continue
            voice = Voice(self.home_url, self.history, role=asked.role, user=asked.user)
            again = partial(
                voice.send, asked.method, asked.path, asked.body, token=tokens[asked.user], key=asked.key
            )  # fmt: skip
            wait_for(lambda again=again: again().settled, what=f"the key {asked.key} is answered", seconds=60)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            voice.close()

    def probe_dead_tokens(self) -> None:
        """Try every token that was ended."""
        voice = Voice(self.home_url, self.history, role="guest")
        for token in self.dead_tokens:
            voice.send("GET", "/me", token=token)
        voice.close()

    def read_views(self) -> dict[str, Any]:
        """What the API shows at the end: the seller's products as a list and a search, and each buyer's feed."""
        assert self.seller is not None
        shown: dict[str, Any] = {"listed": [], "feeds": {}}
        voice = Voice(self.home_url, self.history, role="reader")
        path = f"/products?seller={self.seller.user}&limit=100"
        shown["listed"] = sorted(str(one["id"]) for one in voice.send("GET", path).answer["results"])
        for reader in [*self.buyers[:2], self.seller]:
            shown["feeds"][reader.user] = _feed(voice, reader)
        voice.close()
        return shown

    def _begin(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # told by `stop`
                self._failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _register(self, role: str) -> Player:
        voice = Voice(self.home_url, self.history, role=role)
        name = f"{role}-{uuid4().hex[:12]}"
        made = voice.send("POST", "/users", {"username": name, "password": PASSWORD})
        assert made.status == 201, made
        given = sign_in(voice, name, PASSWORD)
        assert given is not None
        voice.close()
        return Player(str(made.answer["id"]), name, given)


def sign_in(voice: Voice, name: str, password: str) -> str | None:
    """A token, or None when there was no answer with one."""
    form = {"grant_type": "password", "username": name, "password": password, "client_id": CLIENT}
    asked = voice.send("POST", "/oauth/token", form, form=True)
    return str(asked.answer["access_token"]) if asked.done else None


def unsettled(history: Sequence[Asked]) -> list[Asked]:
    """One request for each key that nobody knows the outcome of."""
    last: dict[str, Asked] = {}
    for asked in history:
        if asked.key and not (asked.key in last and last[asked.key].settled):
            last[asked.key] = asked
    return [asked for asked in last.values() if not asked.settled]


def insist(play: Play, ask: Callable[[], Asked], dice: random.Random) -> Asked:
    """Ask, and ask again with the same key while the outcome is unknown; sometimes give up."""
    asked = ask()
    for _ in range(TRIES):
        if asked.settled or not play.goes_on or dice.random() < 0.2:
            break
        play.rest(dice.uniform(0.1, 0.6))
        asked = ask()
    return asked


def buy(play: Play, buyer: Player, voice: Voice, dice: random.Random) -> None:
    """Place orders, confirm most of them, cancel some, forget the rest."""
    while play.goes_on:
        wanted = [
            {"product_id": product, "quantity": dice.randint(1, 2)}
            for product in dice.sample(play.products, dice.randint(1, min(3, len(play.products))))
        ]
        ask = partial(voice.send, "POST", "/orders", {"lines": wanted}, token=buyer.token, key=uuid4().hex)
        placed = insist(play, ask, dice)
        fate = dice.random()
        if placed.status == 201:
            path = f"/orders/{placed.answer['id']}"
            if fate < 0.7:
                body = {"payment": {"method": "card", "token": dice.choice(CARDS)}}
                insist(
                    play,
                    partial(voice.send, "POST", f"{path}/confirm", body, token=buyer.token, key=uuid4().hex),
                    dice,
                )
            elif fate < 0.85:
                insist(play, partial(voice.send, "POST", f"{path}/cancel", token=buyer.token, key=uuid4().hex), dice)
            if dice.random() < 0.2:
                voice.send("GET", path, token=buyer.token)
        play.rest(dice.uniform(0.1, 0.5))
    voice.close()


def sell(play: Play, seller: Player, voice: Voice, dice: random.Random) -> None:
    """Receive goods, each delivery with a note of its own; rename, take away, offer anew."""
    version = 0
    while play.goes_on:
        product, fate = dice.choice(play.products), dice.random()
        if fate < 0.5:
            key = uuid4().hex
            body = {"change": dice.randint(1, 5), "reason": "received", "note": key}
            path = f"/products/{product}/stock-movements"
            insist(play, partial(voice.send, "POST", path, body, token=seller.token, key=key), dice)
        elif fate < 0.8:
            version += 1
            title = f"Bowl {play.products.index(product)} v{version}"
            voice.send("PATCH", f"/products/{product}", {"title": title}, token=seller.token)
        else:
            voice.send("POST", f"/products/{product}/archive", token=seller.token, key=uuid4().hex)
            play.rest(0.1)
            path = f"/products/{product}/activate"
            insist(play, partial(voice.send, "POST", path, token=seller.token, key=uuid4().hex), dice)
        play.rest(dice.uniform(0.2, 0.6))
    voice.close()


def come_and_go(play: Play, place: int, dice: random.Random) -> None:
    """Sign in, look, end the token in one of three ways, and look again."""
    while play.goes_on:
        voice = play.voice("guest", None, place=place)
        name = f"guest-{uuid4().hex[:12]}"
        made = voice.send("POST", "/users", {"username": name, "password": PASSWORD})
        if made.status == 201:
            voice.user = str(made.answer["id"])
            play.guests.append(voice.user)
            _visit(play, voice, name, dice)
        voice.close()
        play.rest(dice.uniform(0.5, 1.2))


def _visit(play: Play, voice: Voice, name: str, dice: random.Random) -> None:
    tokens = [token for token in (sign_in(voice, name, PASSWORD) for _ in range(2)) if token]
    if not tokens:
        return
    voice.send("GET", "/me", token=tokens[0])
    end = dice.choice(["revoke", "password", "delete"])
    if end == "revoke":
        ended = tokens[:1]
        asked = voice.send(
            "POST", "/oauth/revoke", {"token": tokens[0], "client_id": CLIENT}, form=True, ends=tokens[:1]
        )
    elif end == "password":
        ended = tokens
        body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        asked = voice.send("POST", "/me/password", body, token=tokens[0], ends=tokens)
    else:
        ended = tokens
        asked = voice.send("POST", "/me/delete", {"password": PASSWORD}, token=tokens[0], ends=tokens)
    if asked.done:
        play.dead_tokens += ended
    for token in tokens:
        voice.send("GET", "/me", token=token)


def _feed(voice: Voice, reader: Player) -> list[str]:
    events: list[str] = []
    after, deadline = "", time.monotonic() + 60
    while time.monotonic() < deadline:
        path = f"/events?limit=100{'&after=' + after if after else ''}"
        page = voice.send("GET", path, token=reader.token)
        if page.status != 200:
            time.sleep(0.5)
            continue
        events += [str(one["id"]) for one in page.answer["results"]]
        if not page.answer["results"]:
            break
        after = str(page.answer["next"])
    return events
