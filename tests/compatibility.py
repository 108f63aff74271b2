"""What between two contracts would break a client that was written against the first one.

Answers may gain fields, words of an enumeration, headers and refusals; requests may gain what need not be sent and take
more than before. Everything else that differs is named here. `docs/versioning.md` says it for people.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

Schema = dict[str, Any]
# Word of JSON Schema -> whether a larger value takes more.
BOUNDS = {
    "maximum": True, "maxLength": True, "maxItems": True, "minimum": False, "minLength": False, "minItems": False,
}  # fmt: skip
EXACT = ("type", "format", "const", "pattern")


def breaks(old: Schema, new: Schema) -> list[str]:
    """Every breaking change, with its place."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            place = f"{method.upper()} {path}"
            present = new["paths"].get(path, {}).get(method)
            if present is None:
                found.append(f"{place} is gone")
            else:
                found += [f"{place}: {one}" for one in _Pair(old, new).operation(operation, present)]
    return found


class _Pair:
    """Two contracts, each with the components that its references lead to."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self.old, self.new = old, new
        self.seen: set[tuple[str, str, bool]] = set()

    def operation(self, old: Schema, new: Schema) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"it is called {new['operationId']} now"
        if {} in old.get("security", ()) and {} not in new.get("security", ()):
            yield "it needs a token now"
        yield from self._parameters(old, new)
        yield from self._request(old.get("requestBody"), new.get("requestBody"))
        for status, response in old["responses"].items():
            if status.startswith("2") and status not in new["responses"]:
                yield f"{status} is gone"
            elif status in new["responses"]:
                yield from self._answer(status, response, new["responses"][status])
        before, after = self._codes(self.old, old), self._codes(self.new, new)
        moved = [code for code, statuses in before.items() if code in after and not statuses & after[code]]
        yield from (f"{code} came with {before[code]}, comes with {after[code]}" for code in moved)

    def _codes(self, contract: Schema, operation: Schema) -> dict[str, set[str]]:
        """Problem codes with the statuses that they come with."""
        found: dict[str, set[str]] = {}
        for status, response in operation["responses"].items():
            for code in _resolved(contract, response).get("x-problem-codes", ()):
                found.setdefault(code, set()).add(status)
        return found

    def _parameters(self, old: Schema, new: Schema) -> Iterator[str]:
        before = {one["name"]: one for one in (_resolved(self.old, one) for one in old.get("parameters", ()))}
        after = {one["name"]: one for one in (_resolved(self.new, one) for one in new.get("parameters", ()))}
        for name, parameter in before.items():
            if name not in after:
                yield f"parameter {name} is gone"
                continue
            if after[name].get("required") and not parameter.get("required"):
                yield f"parameter {name} is required now"
            yield from self._schema(parameter["schema"], after[name]["schema"], f"parameter {name}", sent=True)
        yield from (
            f"parameter {n} is new and required" for n, p in after.items() if n not in before and p.get("required")
        )

    def _request(self, old: Schema | None, new: Schema | None) -> Iterator[str]:
        if old is None or new is None:
            if new is not None and new.get("required"):
                yield "a body is required now"
            if old is not None:
                yield "the body is gone"
            return
        for media, content in old["content"].items():
            if media not in new["content"]:
                yield f"the body is no longer taken as {media}"
            else:
                yield from self._schema(content["schema"], new["content"][media]["schema"], "body", sent=True)

    def _answer(self, status: str, old: Schema, new: Schema) -> Iterator[str]:
        before, after = _resolved(self.old, old), _resolved(self.new, new)
        gone = before.get("headers", {}).keys() - after.get("headers", {}).keys()
        yield from (f"{status}: header {name} is gone" for name in sorted(gone))
        for media, content in before.get("content", {}).items():
            if media not in after.get("content", {}):
                yield f"{status}: {media} is gone"
            else:
                yield from self._schema(content["schema"], after["content"][media]["schema"], status, sent=False)

    def _schema(self, old: Schema, new: Schema, place: str, *, sent: bool) -> Iterator[str]:
        visit = (str(old.get("$ref")), str(new.get("$ref")), sent)
        if "$ref" in old and visit in self.seen:
            return
        self.seen.add(visit)
        old, new = _resolved(self.old, old), _resolved(self.new, new)
        if sent and "enum" in old:
            takes = Draft202012Validator({**new, "components": self.new["components"]})
            yield from (f"{place}: takes no longer {word}" for word in old["enum"] if not takes.is_valid(word))
            return
        for word in EXACT:
            if old.get(word) != new.get(word) and not (sent and word in old and word not in new):
                yield f"{place}: {word} was {old.get(word)}, is {new.get(word)}"
        yield from _bounds(old, new, place, sent=sent)
        yield from _words(old, new, place, sent=sent)
        yield from self._fields(old, new, place, sent=sent)
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), dict) and isinstance(new.get(inner), dict):
                yield from self._schema(old[inner], new[inner], f"{place}[]", sent=sent)
        choices = zip(old.get("anyOf", ()), new.get("anyOf", ()), strict=False)
        for before, after in choices:
            yield from self._schema(before, after, place, sent=sent)
        fewer, more = (
            len(new.get("anyOf", ())) < len(old.get("anyOf", ())),
            len(new.get("anyOf", ())) > len(old.get("anyOf", ())),
        )
        if (sent and fewer) or (not sent and more):
            yield f"{place}: other kinds of value than before"

    def _fields(self, old: Schema, new: Schema, place: str, *, sent: bool) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name, schema in before.items():
            if name not in after:
                yield f"{place}/{name} is gone"
            else:
                yield from self._schema(schema, after[name], f"{place}/{name}", sent=sent)
        was, is_now = set(old.get("required", ())), set(new.get("required", ()))
        if sent:
            yield from (f"{place}/{name} is required now" for name in sorted(is_now - was))
        else:
            yield from (f"{place}/{name} may be missing now" for name in sorted((was - is_now) & after.keys()))


def _bounds(old: Schema, new: Schema, place: str, *, sent: bool) -> Iterator[str]:
    for word, larger_takes_more in BOUNDS.items():
        was, is_now = old.get(word), new.get(word)
        if was == is_now:
            continue
        narrower = was is None or (is_now is not None and (is_now < was) == larger_takes_more)
        if narrower == sent:
            yield f"{place}: {word} was {was}, is {is_now}"


def _words(old: Schema, new: Schema, place: str, *, sent: bool) -> Iterator[str]:
    was, is_now = set(old.get("enum", ())), set(new.get("enum", ()))
    if sent and is_now and (not was or was - is_now):
        yield f"{place}: takes no longer {sorted(was - is_now) or 'every word'}"
    if not sent and was and not is_now:
        yield f"{place}: may be any word now"


def _resolved(contract: Schema, value: Schema) -> Schema:
    while "$ref" in value:
        found: Any = contract
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        value = found
    return value
