"""The search server, OpenSearch or Elasticsearch (7.10 and later), spoken to through one client.

Nothing here reads the database, and nothing here is called inside a transaction.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any
from uuid import UUID
from zlib import crc32

import msgspec
from django.conf import settings

# What the shop reads by. Behind it is one index at a time; a second one is filled beside it.
ALIAS = "souk-products"
# A shop that waits longer asks PostgreSQL instead.
SEARCH_SECONDS = 1.0
BULK_SECONDS = 30.0
MERGE_SECONDS = 3600.0
MOST_BULK_BYTES = 5 * 2**20
# Products are compared in so many parts, by the last two digits of their ids.
PARTS = 256
CONFLICT = 409
# PostgreSQL's own English ones.
STOP_WORDS = frozenset(
    """i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
    it its itself they them their theirs themselves what which who whom this that these those am is are was were be been
    being have has had having do does did doing a an the and but if or because as until while of at by for with about
    against between into through during before after above below to from up down in out on off over under again further
    then once here there when where why how all any both each few more most other some such no nor not only own same so
    than too very s t can will just don should now""".split()
)
ANALYSIS = {
    "filter": {
        "souk_stem": {"type": "stemmer", "language": "english"},
        "souk_stop": {"type": "stop", "stopwords": sorted(STOP_WORDS)},
    },
    "analyzer": {
        # Texts keep every word; questions leave stop words out unless they say nothing else.
        "souk_text": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding", "souk_stem"]},
        "souk_question": {"tokenizer": "standard", "filter": ["lowercase", "souk_stop", "asciifolding", "souk_stem"]},
    },
}
# Long texts are damped less than usual: titles and descriptions of goods are lists of what they are.
SIMILARITY = {"souk": {"type": "BM25", "b": 0.3, "k1": 1.2}}
TEXT = {"type": "text", "analyzer": "souk_text", "search_analyzer": "souk_question", "similarity": "souk"}
KEYWORD, LONG, BOOLEAN = ({"type": name} for name in ("keyword", "long", "boolean"))
FIELDS: dict[str, Mapping[str, Any]] = {
    "title": TEXT,
    "description": TEXT,
    "tags": {**TEXT, "fields": {"name": KEYWORD}},
    "price": LONG, "currency": KEYWORD, "available": BOOLEAN, "seller": KEYWORD, "state": KEYWORD,
    "created": {"type": "date", "format": "epoch_millis"},
    # Newest first: the moment sorts fast, the id decides within a millisecond.
    "published": LONG, "published_id": KEYWORD,
    # A product that nobody may see stays as an empty document, so that no older version can bring it back.
    "visible": BOOLEAN,
    "version": LONG, "checksum": LONG, "part": {"type": "short"},
}  # fmt: skip
SORTED = {"field": ["published", "published_id"], "order": ["desc", "desc"], "missing": ["_last", "_last"]}


def _bodies() -> tuple[dict[str, Any], str]:
    mapping = {"dynamic": "strict", "properties": FIELDS}
    described = msgspec.json.encode([mapping, ANALYSIS, SIMILARITY, SORTED], order="deterministic")
    made = hashlib.sha256(described).hexdigest()[:16]
    return {**mapping, "_meta": {"souk": made}}, made


MAPPING, FINGERPRINT = _bodies()


class SearchAway(Exception):
    """The search server does not answer, or cannot do this now. Says why."""


# A product that was found, by where it stands: the values that it was sorted by, `published_id` last.
Hit = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one document of a bulk: `status` as HTTP has it; `error` is empty when it is there, or newer."""

    product_id: UUID
    index: str
    status: int
    error: str


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the products comes to, for comparing."""

    documents: int
    versions: int
    checksums: int


@cache
def library() -> Any:
    """opensearch-py, loaded where a search server is asked: it would take every other process 5 MiB."""
    return import_module("opensearchpy")


# Our side of it, which loads it too.
wire = partial(import_module, "souk.search.wire")


@cache
def client() -> Any:
    """The client of this process; it keeps its connections, and never tries again by itself."""
    for name in ("opensearch", "opensearchpy.trace"):  # it tells every request, and how to make it with curl
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return library().OpenSearch(
        [settings.SEARCH_URL], connection_class=wire().SearchConnection,
        timeout=SEARCH_SECONDS, max_retries=0, pool_maxsize=16, ca_certs=settings.SEARCH_CA_FILE or None,
    )  # fmt: skip


def ask(method: str, path: str, body: bytes | None = None, *, seconds: float = BULK_SECONDS, **query: Any) -> Any:
    """One request, decoded. Raises SearchAway with what the server said, NotFoundError for what is not there."""
    headers = {"content-type": "application/x-ndjson" if path.endswith("_bulk") else "application/json"}
    try:
        asked = {**query, "request_timeout": seconds}
        return client().transport.perform_request(method, path, params=asked, body=body, headers=headers)
    except (library().NotFoundError, library().ConflictError):
        raise
    except (library().OpenSearchException, OSError) as error:
        raise SearchAway(why(error)) from error


def why(error: Exception) -> str:
    """What a failure of the client says, in one line, without the address and its password."""
    if isinstance(error, library().TransportError) and isinstance(error.status_code, int):
        return f"it answers {error.status_code} {error.error}"
    return f"{type(error).__name__}: {str(getattr(error, 'info', '') or error).partition('://')[0][:300]}"


def search(body: Mapping[str, Any]) -> list[Hit]:
    """The hits of a search in the serving index, which asks for `sort` with `published_id` last. Raises SearchAway.

    Nothing stored is read, not even ids: that is a quarter of the server's time for a page. What many ask for is found
    once until the index shows something new: the server keeps pages only where it is told to.
    """
    asked = {
        "request_cache": "true", "filter_path": "timed_out,_shards.failed,hits.hits.sort",
        # Every page of one question from the same copy: between copies scores differ a little.
        "preference": f"q{crc32(msgspec.json.encode(body['query']))}",
    }  # fmt: skip
    question = msgspec.json.encode({**body, "stored_fields": "_none_"})
    try:
        told = client().transport.get_connection().search(f"/{ALIAS}/_search", asked, question, SEARCH_SECONDS)
        answer = msgspec.json.decode(told, type=wire().Answer)
    except library().OpenSearchException as error:
        raise SearchAway(NO_INDEX if isinstance(error, library().NotFoundError) else why(error)) from error
    # The last two come out of the library, over JSON that says nothing, or too much.
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError) as error:
        raise SearchAway(f"what it answers is no answer to a search ({type(error).__name__})") from error
    if answer.timed_out or answer.shards.failed:
        raise SearchAway("a part of the index did not answer")
    return [hit.sort for hit in answer.hits.hits]


REINDEX = "run `souk search reindex`"
NO_INDEX = f"there is no index: {REINDEX}"


def index_documents(indices: Sequence[str], documents: Sequence[tuple[UUID, int, Mapping[str, Any]]]) -> list[Written]:
    """Write documents (id, version, content) to each of the indices, where they are not older than what is there.

    Gives what became of every single one. Raises SearchAway when the whole of it was refused.
    """
    written: list[Written] = []
    for chunk in _chunks(indices, documents):
        told = ask("POST", "/_bulk", chunk, require_alias="true", filter_path="items")
        for item in told.get("items", []):
            done = item["index"]
            problem = done.get("error") or {}
            # Newer is there already: somebody else read the product after us.
            error = "" if done["status"] in (200, 201, CONFLICT) else f"{problem.get('type')}: {problem.get('reason')}"
            written.append(Written(UUID(done["_id"]), done["_index"], done["status"], error))
    return written


def _chunks(indices: Sequence[str], documents: Sequence[tuple[UUID, int, Mapping[str, Any]]]) -> Iterator[bytes]:
    lines: list[bytes] = []
    size = 0
    for product_id, version, content in documents:
        body = msgspec.json.encode(content)
        for index in indices:
            if size > MOST_BULK_BYTES - len(body):
                yield b"".join(lines)
                lines, size = [], 0
            head = {
                "_index": writing(index),
                "_id": str(product_id),
                "version": version,
                "version_type": "external_gte",
            }
            line = msgspec.json.encode({"index": head}) + b"\n" + body + b"\n"
            lines.append(line)
            size += len(line)
    if lines:
        yield b"".join(lines)


def writing(index: str) -> str:
    """The alias by which an index is written: an index that is gone has none, and so is never made by a write."""
    return f"{index}.write"


def create_index(index: str) -> None:
    """Make an empty index for filling: not searched, without copies. Raises SearchAway."""
    whole = {
        "number_of_shards": settings.SEARCH_SHARDS,
        "number_of_replicas": 0,
        "refresh_interval": "-1",
        "sort": SORTED,
        "similarity": SIMILARITY,
    }
    body = {
        "settings": {"index": whole, "analysis": ANALYSIS},
        "mappings": MAPPING,
        "aliases": {writing(index): {}},
    }
    ask("PUT", f"/{index}", msgspec.json.encode(body))


def open_index(index: str) -> None:
    """Show what was written to an index, and go on showing it. Raises SearchAway."""
    body = {"index": {"refresh_interval": settings.SEARCH_REFRESH, "number_of_replicas": settings.SEARCH_REPLICAS}}
    ask("PUT", f"/{index}/_settings", msgspec.json.encode(body))
    refresh(index)


def refresh(index: str) -> None:
    """Show what was written up to now. Raises SearchAway."""
    ask("POST", f"/{index}/_refresh")


def merge(index: str, parts: int) -> None:
    """Merge what was written into so many parts of each shard, which a search goes through one by one. SearchAway."""
    ask("POST", f"/{index}/_forcemerge", seconds=MERGE_SECONDS, max_num_segments=parts)


def serve_index(index: str) -> list[str]:
    """Let the shop read this index from now on, in one step; the indices that it read before. Raises SearchAway."""
    before = [name for name in served_indices() if name != index]
    actions: list[Mapping[str, Any]] = [{"remove": {"index": name, "alias": ALIAS}} for name in before]
    actions.append({"add": {"index": index, "alias": ALIAS}})
    ask("POST", "/_aliases", msgspec.json.encode({"actions": actions}))
    return before


def served_indices() -> list[str]:
    """The indices behind the alias; none when there is no alias. Raises SearchAway."""
    try:
        return sorted(ask("GET", f"/_alias/{ALIAS}", seconds=SEARCH_SECONDS))
    except library().NotFoundError:
        return []


def drop_index(index: str) -> None:
    """Take an index away, if it is there. Raises SearchAway."""
    try:
        ask("DELETE", f"/{index}")
    except library().NotFoundError:
        return


def fault() -> str:
    """What keeps the shop from searching there now, in words for an operator; empty when nothing does."""
    try:
        found = served_indices()
        if not found:
            return NO_INDEX
        told = ask("GET", f"/{found[0]}/_mapping", seconds=SEARCH_SECONDS)
        made = next(iter(told.values()))["mappings"].get("_meta", {}).get("souk")
        if made != FINGERPRINT:
            return f"the index {found[0]} is of another mapping: {REINDEX}"
        health = ask("GET", f"/_cluster/health/{found[0]}", seconds=SEARCH_SECONDS)["status"]
        return f"the index {found[0]} is red: a part of it is lost" if health == "red" else ""
    except library().NotFoundError:
        return NO_INDEX
    except SearchAway as away:
        return str(away)


def needs_index() -> bool:
    """Whether there is no index, or one of another mapping. False where the server does not answer."""
    return fault().endswith(REINDEX)


def version() -> str:
    """What the server calls itself. Raises SearchAway."""
    told = ask("GET", "/", seconds=SEARCH_SECONDS)["version"]
    return f"{told.get('distribution', 'elasticsearch')} {told['number']}"


def blocks() -> str:
    """What the serving index may not be used for, such as writes on a full disk; empty when nothing is. SearchAway."""
    told = ask("GET", f"/{ALIAS}/_settings/index.blocks.*", seconds=SEARCH_SECONDS, flat_settings="true")
    return ", ".join(sorted(name for one in told.values() for name, on in one["settings"].items() if on == "true"))


def parts_of(index: str) -> dict[int, Part]:
    """The sums of what is shown of the products, by part. Raises SearchAway."""
    sums = {name: {"sum": {"field": name}} for name in ("version", "checksum")}
    body = {
        "size": 0,
        "query": {"term": {"visible": True}},
        "aggs": {"parts": {"terms": {"field": "part", "size": PARTS}, "aggs": sums}},
    }
    told = ask("POST", f"/{index}/_search", msgspec.json.encode(body))
    return {
        int(bucket["key"]): Part(
            int(bucket["doc_count"]), int(bucket["version"]["value"]), int(bucket["checksum"]["value"])
        )
        for bucket in told["aggregations"]["parts"]["buckets"]
    }


def documents_of(
    index: str, *, part: int | None = None, product_ids: Sequence[UUID] = ()
) -> dict[UUID, tuple[int, int]]:
    """The version and the checksum of every product that is shown in a part, or of these. Raises SearchAway."""
    these = {"term": {"part": part}} if part is not None else {"ids": {"values": [str(one) for one in product_ids]}}
    found: dict[UUID, tuple[int, int]] = {}
    body: dict[str, Any] = {
        "size": 5000,
        "query": {"bool": {"filter": [{"term": {"visible": True}}, these]}},
        "sort": [{"published": "desc"}, {"published_id": "desc"}],
        "_source": ["version", "checksum"],
    }
    while True:
        hits = ask("POST", f"/{index}/_search", msgspec.json.encode(body))["hits"]["hits"]
        for hit in hits:
            found[UUID(hit["_id"])] = (int(hit["_source"]["version"]), int(hit["_source"]["checksum"]))
        if len(hits) < body["size"]:
            return found
        body["search_after"] = hits[-1]["sort"]
