"""What Souk asks of a connection to PostgreSQL, and that the URL has the last word."""

from __future__ import annotations

from souk.settings import GONE_SILENT, database

URL = "postgresql://souk:secret@db.example.org:6432/shop"


def test_a_server_that_went_silent_is_noticed_by_every_connection() -> None:
    options = database(URL)["OPTIONS"]
    assert options | GONE_SILENT == options
    longest = options["keepalives_idle"] + options["keepalives_interval"] * options["keepalives_count"]
    assert 1000 * longest <= options["tcp_user_timeout"]


def test_what_the_address_of_the_database_says_counts_instead() -> None:
    options = database(f"{URL}?connect_timeout=2&tcp_user_timeout=0&sslmode=require")["OPTIONS"]
    assert (options["connect_timeout"], options["tcp_user_timeout"], options["sslmode"]) == ("2", "0", "require")
    assert options["keepalives_idle"] == GONE_SILENT["keepalives_idle"]
