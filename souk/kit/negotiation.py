"""Which of the media types that there are a caller would rather have (RFC 9110, 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from django.http.request import MediaType


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """The best of what is offered by this Accept, whose order and then ours decides between equals; None if none is.

    Parameters other than `q` are not looked at: `application/json; charset=utf-8` is JSON. An empty Accept asks for
    nothing in particular.
    """
    try:
        ranges = [MediaType(one) for one in accept.split(",") if one.strip()]
    except ValueError:  # thousands of characters without a comma
        return None
    for one in ranges:
        one.params = {name: value for name, value in one.params.items() if name == "q"}
    if not ranges:
        return offered[0]
    best: tuple[float, int, str] | None = None
    for media in offered:
        fitting = [(-place, one) for place, one in enumerate(ranges) if one.match(media)]
        if not fitting:
            continue
        # The closest range that names it says how good it is.
        place, closest = max(fitting, key=lambda pair: (pair[1].specificity, pair[0]))
        if closest.quality and (best is None or (closest.quality, place) > best[:2]):
            best = closest.quality, place, media
    return best and best[2]
