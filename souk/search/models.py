"""The narrow table that lists and searches read, kept by triggers alone; and what a search server has still to hear."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from souk.eventlog.models import ClockTimestamp


class SearchProduct(models.Model):
    """A product that everybody can see, as far as finding it goes. One row per ACTIVE, live product.

    `document` holds the words of title (weight A), tags (B) and description (D), and lexemes that no text can contain:
    `#t:<tag id>`, `#s:<seller id>`, `#p:`, `#P:` (steps of price) and `#0:` to `#6:` (spans of time of `published_id`),
    so that every combination of filters is one look-up in one index. Whether the seller is in good standing and what is
    available is joined when it is read: neither an order nor an account ever writes here.
    """

    product_id = models.UUIDField(primary_key=True)
    published_id = models.UUIDField(unique=True)
    seller_id = models.UUIDField()
    price_amount = models.BigIntegerField()
    price_currency = models.CharField(max_length=3)
    tag_ids = ArrayField(models.UUIDField())
    tag_names = ArrayField(models.CharField(max_length=50))
    document = SearchVectorField()

    class Meta:
        db_table = "search_product"
        indexes = [
            GinIndex(fields=["document"], name="search_document", fastupdate=True),
            models.Index(fields=["seller_id", "-published_id"], name="search_newest_of_seller"),
        ]


class Word(models.Model):
    """A word that some title or tag had, as it is spelled: what near spellings are looked for among."""

    word = models.CharField(max_length=40, primary_key=True)

    class Meta:
        db_table = "search_word"
        indexes = [GinIndex(fields=["word"], opclasses=["gin_trgm_ops"], name="search_word_near")]


class Outdated(models.Model):
    """A product whose document in the search server must be written anew; `since` when it first became so.

    Whoever writes it takes it until `taken_until`, and takes the row away unless `mark` has changed meanwhile: then
    the product changed again. Only where SOUK_SEARCH_URL names a server does anybody write here.
    """

    product_id = models.UUIDField(primary_key=True)
    mark = models.BigIntegerField()
    since = models.DateTimeField(db_default=ClockTimestamp())
    taken_until = models.DateTimeField()
    tries = models.SmallIntegerField(db_default=0)
    error = models.TextField(db_default="")

    class Meta:
        db_table = "search_outdated"
        indexes = [models.Index(fields=["since"], name="search_outdated_oldest")]


class Index(models.Model):
    """An index of the search server that documents are written to: the serving one, and a second while it is filled."""

    name = models.CharField(max_length=64, primary_key=True)
    made = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "search_index"


class Repair(models.Model):
    """How often a product's document was repaired: each time its versions begin above all that were written before."""

    product_id = models.UUIDField(primary_key=True)
    times = models.IntegerField()

    class Meta:
        db_table = "search_repair"


class Freshness(models.Model):
    """One row: every event before the moment `heard` has marked the products that it is about. Kept by the worker."""

    id = models.SmallIntegerField(primary_key=True)
    heard = models.DateTimeField()

    class Meta:
        db_table = "search_freshness"
