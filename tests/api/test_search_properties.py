"""Search equals a naive scan, paging meets every lasting product once, triggers equal a rebuild: for any catalogue."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from souk.accounts.models import User
from souk.catalog.machine import ACTIVE, ARCHIVED, DRAFT
from souk.catalog.models import Product, ProductTag, Tag
from souk.kit.entity import new_id
from souk.search.operations.finding import Wish, find_best, find_newest
from souk.stock.operations import open_stock

TAGS = ("oak", "new", "gift")
WORDS = ("bowl", "bowls", "lamp", "walnut", "The", "for", "café", "of", "oak", "mug2")
STOP = {"the", "for", "of"}
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plain(word: str) -> str:
    return {"bowls": "bowl", "café": "cafe"}.get(word.lower(), word.lower())


@dataclass(frozen=True)
class Item:
    title: tuple[str, ...]
    description: tuple[str, ...]
    tags: frozenset[str]
    price: int
    currency: str
    on_hand: int
    state: str
    seller: int
    deleted: bool

    def parts(self) -> list[list[str]]:
        named = [plain(name) for name in sorted(self.tags)]
        return [[plain(word) for word in self.title], [plain(word) for word in self.description], named]


words = st.lists(st.sampled_from(WORDS), max_size=5).map(tuple)
items = st.builds(
    Item,
    title=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(tuple),
    description=words,
    tags=st.frozensets(st.sampled_from(TAGS)),
    price=st.one_of(st.integers(0, 40), st.sampled_from([0, 10**12, 10**12 - 1, 999, 1000, 1001])),
    currency=st.sampled_from(["EUR", "EUR", "USD"]),
    on_hand=st.integers(0, 2),
    state=st.sampled_from([ACTIVE, ACTIVE, ACTIVE, DRAFT, ARCHIVED]),
    seller=st.integers(0, 2),
    deleted=st.sampled_from([False, False, True]),
)
# A question: alternatives, each of (negated?, phrase) terms.
term = st.tuples(st.booleans(), st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(tuple))
question = st.lists(st.lists(term, min_size=1, max_size=3), min_size=1, max_size=2)


def written(asked: Sequence[Sequence[tuple[bool, tuple[str, ...]]]]) -> str:
    def one(negated: bool, phrase: tuple[str, ...]) -> str:
        return ("-" if negated else "") + (f'"{" ".join(phrase)}"' if len(phrase) > 1 else phrase[0])

    return " or ".join(" ".join(one(*each) for each in group) for group in asked)


def holds(item: Item, phrase: Sequence[str]) -> bool:
    asked = [plain(word) for word in phrase]
    return any(
        part[start : start + len(asked)] == asked
        for part in item.parts()
        for start in range(len(part) - len(asked) + 1)
    )


@contextmanager
def catalogue(made: Sequence[Item]) -> Iterator[list[Product]]:
    """These items as products, oldest first; gone again afterwards. The third seller is locked."""
    with transaction.atomic():
        sellers = [User(username=f"seller-{number}", is_active=number < 2) for number in range(3)]
        User.objects.bulk_create(sellers)
        tags = {name: Tag(name=name) for name in TAGS}
        Tag.objects.bulk_create(tags.values())
        products = []
        for item in made:
            product = Product(
                seller=sellers[item.seller],
                title=" ".join(item.title),
                description=" ".join(item.description),
                price_amount=item.price,
                price_currency=item.currency,
                state=item.state,
                published_id=None if item.state == DRAFT else new_id(),
            )
            product.save(force_insert=True)
            open_stock(
                product_id=product.pk, owner_id=product.seller_id, on_hand=item.on_hand, for_sale=True, actor="test"
            )
            ProductTag.objects.bulk_create([ProductTag(product=product, tag=tags[name]) for name in item.tags])
            if item.deleted:
                product.mark_deleted()
            products.append(product)
        yield products
        transaction.set_rollback(True)


def ids_of(shown: Sequence[bytes]) -> list[UUID]:
    """The ids of products as they are shown."""
    return [UUID(msgspec.json.decode(one)["id"]) for one in shown]


def found(wish: Wish, *, limit: int = 3) -> list[UUID]:
    """Every product that is found, page after page."""
    ids: list[UUID] = []
    before = None
    while True:
        page = find_newest(wish=wish, before=before, limit=limit)
        ids += ids_of(page.shown)
        if page.following is None:
            return ids
        before = page.following


def naive(made: Sequence[Item], products: Sequence[Product], keep: Callable[[Item], bool]) -> list[UUID]:
    seen = [
        (product.published_id, product.pk)
        for item, product in zip(made, products, strict=True)
        if item.state == ACTIVE and not item.deleted and item.seller < 2 and keep(item)
    ]
    return [pk for _, pk in sorted(seen, reverse=True)]


@MANY
@given(made=st.lists(items, max_size=8), asked=question)
def test_words_find_what_a_naive_scan_finds(
    clean_database: None, made: list[Item], asked: list[list[tuple[bool, tuple[str, ...]]]]
) -> None:
    # Stop words say something only where nothing else does: those questions have tests of their own.
    groups = [[(no, phrase) for no, phrase in group if not STOP & {w.lower() for w in phrase}] for group in asked]
    groups = [group for group in groups if group]
    if not groups:
        return
    with catalogue(made) as products:
        expected = naive(
            made,
            products,
            lambda item: any(all(holds(item, phrase) is not no for no, phrase in group) for group in groups),
        )
        assert found(Wish(words=written(groups))) == expected


@MANY
@given(
    made=st.lists(items, max_size=8),
    tags=st.frozensets(st.sampled_from((*TAGS, "unknown")), max_size=2),
    bounds=st.tuples(st.sampled_from([None, 0, 1, 7, 1000, 10**12]), st.sampled_from([None, 0, 15, 999, 10**12])),
    available=st.booleans(),
    seller=st.sampled_from([None, 0, 1, 2]),
    word=st.sampled_from([None, "bowl", "lamp", "walnut"]),
)
def test_filters_find_what_a_naive_scan_finds(
    clean_database: None,
    made: list[Item],
    tags: frozenset[str],
    bounds: tuple[int | None, int | None],
    available: bool,
    seller: int | None,
    word: str | None,
) -> None:
    least, most = bounds

    def keep(item: Item) -> bool:
        return (
            tags <= item.tags
            and (not available or item.on_hand > 0)
            and (seller is None or item.seller == seller)
            and (word is None or holds(item, [word]))
            and item.currency == "EUR"
            and (least is None or item.price >= least)
            and (most is None or item.price <= most)
        )

    with catalogue(made) as products:
        wish = Wish(
            words=word,
            tags=tuple(tags),
            currency="EUR",
            least=least,
            most=most,
            available=available,
            seller=None if seller is None else User.objects.get(username=f"seller-{seller}").pk,
        )
        expected = naive(made, products, keep)
        assert found(wish) == expected
        everything = Wish(ids=tuple(product.pk for product in products)) if products else Wish()
        assert found(everything) == naive(made, products, lambda item: True)
        if word is not None:
            best, _ = find_best(wish=wish, after=None, limit=100)
            assert sorted(ids_of(best.shown)) == sorted(expected)


@MANY
@given(made=st.lists(items, min_size=4, max_size=10), chance=st.randoms(use_true_random=False))
def test_paging_meets_every_lasting_product_once_while_others_come_and_go(
    clean_database: None, made: list[Item], chance: random.Random
) -> None:
    with catalogue(made) as products:
        wish = chance.choice([Wish(), Wish(currency="EUR"), Wish(words="bowl or lamp or walnut or oak")])
        visible = found(wish, limit=100)
        lasting = set(chance.sample(visible, len(visible) // 2))
        met: list[UUID] = []
        before = None
        while True:
            page = find_newest(wish=wish, before=before, limit=2)
            met += ids_of(page.shown)
            before = page.following
            if before is None:
                break
            product = chance.choice(products)
            if product.pk in lasting:
                continue
            if chance.random() < 0.3:
                Product.objects.filter(pk=product.pk).update(state=ARCHIVED)
            elif product.published_id is None:
                product.published_id = new_id()
                product.state = ACTIVE
                product.save(update_fields=["published_id", "state"])
            else:
                Product.objects.filter(pk=product.pk).update(state=ACTIVE, title="Bowl")
        assert len(met) == len(set(met))
        assert lasting <= set(met)


def documents(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


@MANY
@given(made=st.lists(items, min_size=1, max_size=6), chance=st.randoms(use_true_random=False))
def test_triggers_keep_the_search_table_equal_to_a_rebuild(
    clean_database: None, made: list[Item], chance: random.Random
) -> None:
    with catalogue(made) as products:
        tags = list(Tag.objects.all())
        deeds: list[Callable[[list[Product]], object]] = [
            lambda some: Product.objects.filter(pk__in=[p.pk for p in some]).update(title=chance.choice(WORDS)),
            lambda some: Product.objects.filter(pk__in=[p.pk for p in some]).update(price_amount=chance.randrange(99)),
            lambda some: Product.objects.filter(pk__in=[p.pk for p in some]).update(state=ARCHIVED),
            lambda some: Product.objects.filter(published_id__isnull=False).update(state=ACTIVE),
            lambda some: some[0].mark_deleted(),
            lambda some: ProductTag.objects.filter(product__in=some).update(deleted=products[0].created),
            lambda some: ProductTag.objects.bulk_create(
                [ProductTag(product=product, tag=chance.choice(tags)) for product in some], ignore_conflicts=True
            ),
            lambda some: Tag.objects.filter(pk=tags[0].pk).update(name=f"name-{chance.randrange(9**9)}"),
        ]
        for _ in range(6):
            chance.choice(deeds)(chance.sample(products, chance.randint(1, len(products))))
        kept = documents("SELECT * FROM search_product ORDER BY product_id")
        rebuilt = documents(
            "SELECT * FROM product_documents(ARRAY(SELECT id FROM catalog_product)) ORDER BY product_id"
        )
        assert kept == rebuilt
        counted = documents(
            "SELECT tag_id, sum(change) FROM catalog_tag_use GROUP BY tag_id HAVING sum(change) <> 0 ORDER BY tag_id"
        )
        worn = documents(
            "SELECT tag_id, count(*) FROM search_product, unnest(tag_ids) AS tag_id GROUP BY tag_id ORDER BY tag_id"
        )
        assert counted == worn
