"""`python -m bench.scale 10000 1000000`: how the time of a page grows with the catalogue. Needs the kept databases."""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from bench.search import doors, literal, subjects

RESULTS = Path(__file__).parent / "results" / "scale.json"
PICTURE = Path(__file__).parent.parent / "docs" / "search-scale.svg"
TURNS, AT_ONCE = 10, 50
WIDTH, HEIGHT, LEFT, BOTTOM = 760, 420, 60, 40


def measured(urls: dict[str, str]) -> dict[str, dict[str, dict[str, float]]]:
    """p50 and p99 in milliseconds of each door's statement at each size, one connection, warm.

    The sizes take turns, so that all of them meet the same seconds of the machine.
    """
    told: dict[str, dict[str, dict[str, float]]] = {size: {} for size in urls}
    with ExitStack() as stack:
        connections = {size: stack.enter_context(psycopg.connect(url, autocommit=True)) for size, url in urls.items()}
        asked = {size: doors(subjects(url)) for size, url in urls.items()}
        for name in next(iter(asked.values())):
            took: dict[str, list[float]] = {size: [] for size in urls}
            for turn in range(TURNS + 1):
                for size, connection in connections.items():
                    _, statement, values = asked[size][name]
                    seen = times(connection, literal(statement, values).encode())
                    took[size] += seen if turn else []
            for size, every in took.items():
                every.sort()
                told[size][name] = {
                    "p50": round(every[len(every) // 2], 2), "p99": round(every[int(len(every) * 0.99)], 2),
                }  # fmt: skip
                print(name, size, told[size][name], flush=True)  # noqa: T201  # a measurement talks to a terminal
    return told


def times(connection: psycopg.Connection, statement: bytes) -> list[float]:
    """What each of so many executions took, in milliseconds."""
    took = []
    for _ in range(AT_ONCE):
        began = time.perf_counter()
        connection.execute(statement, prepare=True).fetchall()
        took.append((time.perf_counter() - began) * 1000)
    return took


def picture(told: dict[str, dict[str, Any]]) -> str:
    """The p50 of each door over the sizes, as an SVG."""
    sizes = sorted(told, key=int)
    names = list(told[sizes[0]])
    lines = []
    for index, name in enumerate(names):
        colour = f"hsl({index * 360 // len(names)} 60% 40%)"
        spots = [(place(sizes.index(size), len(sizes)), high(told[size][name]["p50"])) for size in sizes]
        path = " ".join(f"{x},{y}" for x, y in spots)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        label = f"{name}: {', '.join(str(told[size][name]['p50']) for size in sizes)} ms"
        lines.append(f'<text x="{LEFT + 300}" y="{20 + 15 * index}" fill="{colour}">{label}</text>')
    for size in sizes:
        x = place(sizes.index(size), len(sizes))
        lines.append(f'<text x="{x}" y="{HEIGHT - 12}" text-anchor="middle">{int(size):,}</text>')
    lines += [f'<text x="6" y="{high(mark)}">{mark} ms</text>' for mark in (0.1, 1, 10, 100)]
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def place(index: int, count: int) -> float:
    """Where a size stands, from left to right."""
    return LEFT + 230 * index / max(count - 1, 1)


def high(milliseconds: float) -> float:
    """Where a time stands, from 0.05 ms at the bottom to 200 ms at the top."""
    share: float = (max(milliseconds, 0.05) / 0.05) ** 0.28 / (200 / 0.05) ** 0.28
    return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 20) * share, 1)


def main() -> None:
    """Measure every size, and write the figures and the picture."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("sizes", nargs="+", type=int)
    server = os.environ["SOUK_DATABASE_URL"]
    told = measured({str(size): re.sub(r"/[^/]*$", f"/souk_bench_{size}", server) for size in asked.parse_args().sizes})
    RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    PICTURE.write_text(picture(told), encoding="utf-8")


if __name__ == "__main__":
    main()
