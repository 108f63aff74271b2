"""Bulk SQL that changes states is the machine, for every state and event; so is what the database itself allows."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction

from souk.catalog.machine import ProductMachine
from souk.catalog.models import Product
from souk.eventlog.models import LivingSubject
from souk.eventlog.operations import SYSTEM, IllegalTransition, change_state, change_state_of_many, database_now
from souk.kit.machine import Life, states_of, transitions_of
from souk.orders.machine import OrderMachine
from souk.orders.models import Order
from souk.payments.machine import PaymentMachine
from souk.payments.models import Payment
from tests.books import checksums, events_of, rows_of, run, value_of
from tests.callers import SignedIn
from tests.paying import confirm, latest_payment_id

TABLES: dict[type[Life], str] = {
    ProductMachine: "catalog_product",
    OrderMachine: "orders_order",
    PaymentMachine: "payments_payment",
}
CASES = [
    (model, state, event)
    for model in (Order, Payment)
    for state in states_of(model.machine)
    for event in transitions_of(model.machine)
]


@pytest.fixture
def rows(seller: SignedIn, buyer: SignedIn) -> dict[type[LivingSubject], UUID]:
    """A row of each kind."""
    order_id = buyer.order((seller.offer(), 1)).body["id"]
    assert confirm(buyer, order_id).status == 200
    return {Order: UUID(order_id), Payment: latest_payment_id(order_id)}


def put(model: type[LivingSubject], row_id: UUID, state: str) -> None:
    """Set a state without asking anybody."""
    run(f"UPDATE {model._meta.db_table} SET state = %s WHERE id = %s", state, row_id)  # noqa: S608  # the model's own table


def state_of(model: type[LivingSubject], row_id: UUID) -> str:
    """The state in the database."""
    return str(value_of(f"SELECT state FROM {model._meta.db_table} WHERE id = %s", row_id))  # noqa: S608  # the model's own table


@pytest.mark.parametrize(("model", "state", "event"), CASES)
def test_the_bulk_form_the_single_form_and_the_machine_agree(
    rows: dict[type[LivingSubject], UUID], model: type[LivingSubject], state: str, event: str
) -> None:
    row_id = rows[model]
    before = state_of(model, row_id)
    target = transitions_of(model.machine)[event].get(state)
    with transaction.atomic():
        put(model, row_id, state)
        changed = change_state_of_many(
            model, event, ids=[row_id, uuid4()], actor=SYSTEM, event_type="some.thing", audience_sql="'{}'::uuid[]"
        )
        in_bulk = (changed, state_of(model, row_id), events_of(str(row_id))[-1] == "some.thing")
        put(model, row_id, state)
        row = model.objects.select_for_update(no_key=True).get(pk=row_id)
        try:
            with transaction.atomic():
                change_state(row, event, actor=SYSTEM, at=database_now(), event_type="some.thing")
            alone = ([row_id], row.state, True)
        except IllegalTransition:
            alone = ([], state, False)
        assert state_of(model, row_id) == alone[1]
        assert in_bulk == alone == ([row_id] if target else [], target or state, bool(target))
        transaction.set_rollback(True)
    assert state_of(model, row_id) == before


def test_a_bulk_change_writes_row_history_and_event_of_each_and_passes_over_the_others(
    seller: SignedIn, buyer: SignedIn
) -> None:
    mug = seller.offer()
    orders = [buyer.order((mug, 1)).body["id"] for _ in range(3)]
    assert confirm(buyer, orders[1]).status == 200
    with transaction.atomic():
        changed = change_state_of_many(
            Order,
            "cancel",
            ids=[UUID(order_id) for order_id in orders],
            actor=SYSTEM,
            event_type="order.cancelled",
            audience_sql="ARRAY[changed.buyer_id]",
            reason="a test",
        )
        assert sorted(map(str, changed)) == sorted([orders[0], orders[2]])
        for order_id, expected in zip(orders, ("CANCELLED", "CONFIRMED", "CANCELLED"), strict=True):
            assert state_of(Order, UUID(order_id)) == expected
        assert rows_of(
            "SELECT sequence, source, target, event, actor FROM eventlog_transition WHERE subject_id = %s"
            " ORDER BY sequence DESC LIMIT 1",
            orders[2],
        ) == [(2, "PENDING_CONFIRMATION", "CANCELLED", "cancel", "system")]
        assert rows_of(
            "SELECT sequence, audience::text[] FROM eventlog_event WHERE subject_id = %s AND type = 'order.cancelled'",
            orders[0],
        ) == [(2, [buyer.id])]
        assert value_of("SELECT count(*) FROM orders_order WHERE reason = 'a test'") == 2
        transaction.set_rollback(True)


@pytest.mark.parametrize("machine", TABLES)
def test_the_database_allows_the_states_of_the_class_and_no_other(clean_database: None, machine: type[Life]) -> None:
    ((definition,),) = rows_of(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass"
        " AND conname LIKE '%%\\_state'",
        TABLES[machine],
    )
    found = [word for word in definition.split("'") if word.isupper() and word.strip("_").replace("_", "").isalpha()]
    assert found == list(states_of(machine))


def test_an_unheard_of_state_cannot_be_stored(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    assert confirm(buyer, buyer.order((mug, 1)).body["id"]).status == 200
    before = checksums()
    for model in (Product, Order, Payment):
        with pytest.raises(IntegrityError, match="_state"):
            model.all_objects.update(state="BROKEN")
    assert checksums() == before
