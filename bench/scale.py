"""`python -m bench.scale 10000 1000000`: how the time of a page grows with the catalogue. Needs the kept databases."""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import psycopg

from bench.search import doors, literal, subjects

RESULTS = Path(__file__).parent / "results" / "scale.json"
PICTURE = Path(__file__).parent.parent / "docs" / "search-scale.svg"
TIMES = 300
WIDTH, HEIGHT, LEFT, BOTTOM = 760, 420, 60, 40


def measured(url: str) -> dict[str, dict[str, float]]:
    """p50 and p99 in milliseconds of each door's statement, one connection, warm."""
    told = {}
    with psycopg.connect(url, autocommit=True) as connection:
        for name, (_, statement, values) in doors(subjects(url)).items():
            text = literal(statement, values).encode()
            took = []
            for _ in range(TIMES):
                began = time.perf_counter()
                connection.execute(text, prepare=True).fetchall()
                took.append((time.perf_counter() - began) * 1000)
            took = sorted(took[10:])
            told[name] = {"p50": round(took[len(took) // 2], 2), "p99": round(took[int(len(took) * 0.99)], 2)}
            print(name, told[name], flush=True)  # noqa: T201  # a measurement talks to a terminal
    return told


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
    told: dict[str, dict[str, Any]] = {}
    for size in asked.parse_args().sizes:
        print(f"{size} products", flush=True)  # noqa: T201  # a measurement talks to a terminal
        told[str(size)] = measured(re.sub(r"/[^/]*$", f"/souk_bench_{size}", server))
    RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    PICTURE.write_text(picture(told), encoding="utf-8")


if __name__ == "__main__":
    main()
