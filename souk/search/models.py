"""The narrow table that lists and searches read. Triggers keep it; nothing else writes it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models


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
