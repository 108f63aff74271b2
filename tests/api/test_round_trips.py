"""What a write asks of PostgreSQL together, and that nothing is lost where that fails."""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from souk.kit.postgresql.prepared import prepared_at_commit, prepared_rows
from tests.books import checksums, run, value_of
from tests.callers import Answer, SignedIn

ADD = "INSERT INTO noted (word) VALUES (%(word)s)"
READ = "SELECT word FROM noted ORDER BY word"


@pytest.fixture
def noted(clean_database: None) -> str:
    """A table of its own, which takes each word once."""
    run("CREATE TEMPORARY TABLE noted (word text PRIMARY KEY)")
    return "noted"


def words() -> list[str]:
    return [word for (word,) in prepared_rows(READ, {})]


def round_trips(folder: Path, ask: Callable[[], Answer]) -> int:
    """How often PostgreSQL is asked and waited for. Counted by libpq itself."""
    line, told = connection.connection.pgconn, folder / "trace"
    with told.open("wb") as file:
        line.trace(file.fileno())
        try:
            assert ask().status in (200, 201)
        finally:
            line.untrace()
    sent = [parts[3] for parts in (one.split("\t") for one in told.read_text().splitlines()) if parts[1] == "F"]
    return sent.count("Sync") + sent.count("Query")


def test_a_write_request_asks_four_or_five_times(seller: SignedIn, buyer: SignedIn, tmp_path: Path) -> None:
    mug = seller.offer(stock=50)
    lines = {"lines": [{"product_id": mug["id"], "quantity": 1}]}

    def place() -> Answer:
        return buyer.post("/orders", lines, headers={"Idempotency-Key": uuid4().hex})

    def confirm(order_id: str) -> Answer:
        payment = {"payment": {"method": "card", "token": "tok_ok"}}
        return buyer.post(f"/orders/{order_id}/confirm", payment, headers={"Idempotency-Key": uuid4().hex})

    first, second = place().body["id"], place().body["id"]
    confirm(first)  # all of it is prepared now
    # Who asks; the key, with BEGIN; what is offered; the work and what was answered, with COMMIT.
    assert round_trips(tmp_path, place) == 4
    # Who asks; the key, with BEGIN; the locked order; the work; what was answered, with COMMIT.
    assert round_trips(tmp_path, lambda: confirm(second)) == 5


@transaction.atomic
def note(first: str, *, last: str) -> None:
    """Two words in a transaction, the second with its COMMIT."""
    prepared_rows(ADD, {"word": first})
    prepared_at_commit(ADD, {"word": last})


def test_last_words_are_said_with_the_commit(noted: str) -> None:
    with transaction.atomic():
        prepared_rows(ADD, {"word": "first"})
        prepared_at_commit(ADD, {"word": "last"})
        assert words() == ["first"]
    assert words() == ["first", "last"]


def test_last_words_that_fail_take_everything_with_them(noted: str) -> None:
    run(ADD % {"word": "'twice'"})
    with pytest.raises(IntegrityError):
        note("first", last="twice")
    assert words() == ["twice"]
    with transaction.atomic():
        prepared_rows(ADD, {"word": "after"})
    assert words() == ["after", "twice"]


def test_last_words_are_said_in_their_order(noted: str) -> None:
    run("CREATE TEMPORARY TABLE others (word text REFERENCES noted)")
    with transaction.atomic():
        prepared_at_commit(ADD, {"word": "referred to"})
        prepared_at_commit("INSERT INTO others VALUES (%(word)s)", {"word": "referred to"})
    assert value_of("SELECT count(*) FROM others") == 1


class Taken(Exception):
    """What a test makes of a word that is there."""


@pytest.mark.parametrize("inner", [False, True])
def test_last_words_may_fail_with_a_refusal(noted: str, inner: bool) -> None:
    run(ADD % {"word": "'twice'"})
    hooks: list[str] = []

    def taken(error: BaseException) -> Exception | None:
        return Taken() if isinstance(error, psycopg.errors.UniqueViolation) else None

    def say(word: str) -> None:
        transaction.on_commit(lambda: hooks.append(word))
        prepared_rows(ADD, {"word": f"before {word}"})
        prepared_at_commit(ADD, {"word": word}, refusal=taken)
        prepared_at_commit(ADD, {"word": f"after {word}"})

    with pytest.raises(Taken), transaction.atomic(), transaction.atomic() if inner else nullcontext():
        say("twice")
    assert connection.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert words() == ["twice"]
    with transaction.atomic():
        say("once")
    assert (words(), hooks) == (["after once", "before once", "once", "twice"], ["once"])


def test_last_words_go_with_a_transaction_that_is_rolled_back(noted: str) -> None:
    with suppress(ZeroDivisionError), transaction.atomic():
        prepared_at_commit(ADD, {"word": "never"})
        raise ZeroDivisionError
    with transaction.atomic():
        prepared_rows(ADD, {"word": "next"})
    assert words() == ["next"]


def test_inside_of_another_transaction_last_words_are_said_at_once(noted: str) -> None:
    with transaction.atomic():
        with transaction.atomic():
            prepared_at_commit(ADD, {"word": "inner"})
        assert words() == ["inner"]


@pytest.mark.parametrize("size", [1, 20_000_000])
def test_what_is_larger_than_the_buffers_of_both_sides_goes_through(noted: str, size: int) -> None:
    with transaction.atomic():
        rows = prepared_rows("SELECT %(text)s::text || 'end'", {"text": "x" * size})
    assert rows == [("x" * size + "end",)]
    with transaction.atomic():
        prepared_at_commit("INSERT INTO noted SELECT md5(%(text)s::text)", {"text": "x" * size})
    assert len(words()) == 1


def test_a_first_statement_that_fails_leaves_no_transaction_behind(noted: str) -> None:
    run(ADD % {"word": "'twice'"})
    with pytest.raises(IntegrityError), transaction.atomic():
        prepared_rows(ADD, {"word": "twice"})
    assert connection.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with transaction.atomic():
        prepared_rows(ADD, {"word": "again"})
    assert words() == ["again", "twice"]


def test_a_first_statement_that_the_server_forgot_is_prepared_anew(noted: str) -> None:
    for word in ("one", "two"):
        with transaction.atomic():
            prepared_rows(ADD, {"word": word})
            prepared_rows(ADD, {"word": f"{word} more"})
        run("DEALLOCATE ALL")
    assert words() == ["one", "one more", "two", "two more"]


@pytest.mark.parametrize("when", ["first", "last"])
def test_a_lost_connection_is_told_and_the_next_transaction_has_a_new_one(buyer: SignedIn, when: str) -> None:
    before = checksums()
    with pytest.raises(OperationalError):
        delete_everybody_but_lose_connection(before_first=when == "first")
    connection.close()
    with transaction.atomic():
        assert prepared_rows("SELECT 1", {}) == [(1,)]
    assert checksums() == before


@transaction.atomic
def delete_everybody_but_lose_connection(*, before_first: bool) -> None:
    """A transaction whose connection is lost before its first or its last statement."""
    if before_first:
        lose_connection()
    prepared_rows("SELECT 1", {})
    lose_connection()
    prepared_at_commit("DELETE FROM accounts_user", {})


def lose_connection() -> None:
    """As when the server is restarted."""
    with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])


@pytest.mark.usefixtures("clean_database")
def test_a_connection_that_the_server_closed_meanwhile_is_let_go_before_the_next_request() -> None:
    with transaction.atomic():
        prepared_rows("SELECT 1", {})
    connection.close_if_unusable_or_obsolete()
    assert connection.connection is not None, "nothing has happened to it"
    lose_connection()
    connection.last_used = 0.0  # type: ignore[attr-defined]  # of our back end
    # What Django calls before each request: a write that came first would be refused with 503.
    connection.close_if_unusable_or_obsolete()
    assert connection.connection is None
    with transaction.atomic():
        assert prepared_rows("SELECT 1", {}) == [(1,)]


@pytest.mark.usefixtures("clean_database")
def test_a_connection_is_kept_that_the_server_only_told_something() -> None:
    connection.ensure_connection()
    connection.connection.execute("LISTEN anything")
    with psycopg.connect(
        connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"], autocommit=True
    ) as other:
        other.execute("NOTIFY anything")
    before = connection.connection
    assert select.select([before.fileno()], [], [], 10)[0], "the server has told something"
    connection.last_used = 0.0  # type: ignore[attr-defined]  # of our back end
    connection.close_if_unusable_or_obsolete()
    assert connection.connection is before
    with transaction.atomic():
        assert prepared_rows("SELECT 1", {}) == [(1,)]
    connection.close()


def test_what_was_answered_is_kept_in_the_same_commit(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=5)
    run("ALTER TABLE kit_idempotentanswer ADD CONSTRAINT refuse_all CHECK (status = 0) NOT VALID")
    try:
        lines = {"lines": [{"product_id": mug["id"], "quantity": 1}]}
        answer = buyer.post("/orders", lines, headers={"Idempotency-Key": "k"})
        assert answer.status >= 500, "the answer cannot be kept"
    finally:
        run("ALTER TABLE kit_idempotentanswer DROP CONSTRAINT refuse_all")
    assert value_of("SELECT count(*) FROM orders_order") == 0
    assert value_of("SELECT reserved FROM stock_stock") == 0


def test_a_last_word_is_not_what_makes_room_for_the_next(noted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("souk.kit.postgresql.prepared.MOST", 3)
    first = "INSERT INTO noted VALUES ('one') ON CONFLICT DO NOTHING RETURNING word"
    for statement in (first, "SELECT 1", "SELECT 2"):  # all that the connection keeps
        prepared_rows(statement, {})
    with transaction.atomic():
        prepared_at_commit(first, {})
        prepared_at_commit("INSERT INTO noted VALUES ('two')", {})
    assert words() == ["one", "two"]


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "forgotten"}])
def test_a_write_whose_statements_the_server_forgot_is_tried_again(
    seller: SignedIn, buyer: SignedIn, key: dict[str, str]
) -> None:
    lines = {"lines": [{"product_id": seller.offer(stock=50)["id"], "quantity": 1}]}
    assert buyer.post("/orders", lines).status == 201
    assert buyer.post("/orders", lines, headers={"Idempotency-Key": "before"}).status == 201
    for _ in range(2):
        run("DEALLOCATE ALL")
        placed = buyer.post("/orders", lines, headers=key)
        assert placed.status == 201, placed.body
    assert value_of("SELECT count(*) FROM orders_order") == (3 if key else 4)
