"""The document, with its pictures as files beside it."""

import shutil
from pathlib import Path

from . import words
from .curves import STEADY
from .pictures import of_curve, of_failover, of_workloads

DOCUMENT = Path("docs/benchmarks.md")
PICTURES = Path("docs/benchmarks")


def publish(results):
    """Writes both; pictures of before go."""
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    DOCUMENT.write_text("\n\n".join(part for part in parts(results) if part) + "\n")


def parts(results):
    yield "# Ringfence beside its peers"
    yield f"{words.systems(results)}. {words.machine(results)}"
    yield words.method(results)
    yield "Written by `scripts/bench --publish`; the same command measures it again."
    yield "## What is wanted"
    yield table(words.TARGET_HEAD, words.target_rows(results))
    if results["workloads"]:
        yield "## Workloads"
        losses = list(words.lost(results))
        yield "Where a peer is better:" if losses else ""
        yield "\n".join(f"- {one}" for one in losses)
        for chart in of_workloads(results):
            yield picture(chart)
        yield table(words.WORKLOAD_HEAD, words.workload_rows(results))
    waits = of_failover(results)
    if waits:
        yield "## When the leader is lost"
        yield "\n".join(picture(chart) for chart in waits)
    if results["curves"]:
        yield "## Curves"
    for name, curve in results["curves"].items():
        yield f"### {curve['title']}"
        yield words.steady() if name == STEADY else ""
        yield "\n".join(picture(chart) for chart in of_curve(name, curve))


def picture(chart):
    file = PICTURES / f"{chart.name}.svg"
    file.write_text(chart.svg(alone=True))
    alternative = f"{chart.title}. {chart.description}".replace("[", "(").replace("]", ")")
    return f"![{alternative}]({PICTURES.name}/{file.name})"


def table(head, rows):
    lines = [head, ["---"] * 2 + ["---:"] * (len(head) - 2), *rows]
    return "\n".join("| " + " | ".join(one) + " |" for one in lines)
