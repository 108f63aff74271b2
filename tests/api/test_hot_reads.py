"""Reads that ask libpq directly, when the database is not as they left it."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection

from tests.callers import Api, SignedIn

PATHS = ("/products", "/products?q=bowl", "/products?q=bowl&sort=relevance", "/tags?prefix=w")


@pytest.mark.parametrize("path", PATHS[:3])
def test_a_read_that_takes_too_long_is_told_to_come_again(anonymous: Api, path: str) -> None:
    assert anonymous.get(path).status == 200
    with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as other:
        other.execute("LOCK TABLE search_product IN ACCESS EXCLUSIVE MODE")
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '100ms'")
        answer = anonymous.get(path)
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "dependency_unavailable", "1")
    connection.close()
    assert anonymous.get(path).status == 200


def test_statements_that_the_server_forgot_are_prepared_anew(seller: SignedIn) -> None:
    for path in PATHS:
        before = seller.get(path).body
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
        assert seller.get(path).body == before


def test_a_read_survives_the_loss_of_its_connection(anonymous: Api) -> None:
    for path in PATHS:
        assert anonymous.get(path).status == 200
        with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
        assert anonymous.get(path).status == 200
