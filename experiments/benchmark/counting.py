"""How many block calls, operations and waits each job of ours takes: numbers that no machine changes."""

from collections.abc import Iterable
from dataclasses import asdict

from jobs import Job

import steerlens as sl
from steerlens.tables import markdown_table
from steerlens.testing.counts import counted


def counts(model: sl.LensModel, job: Job) -> list[dict]:
    """A row for each of our ways, once each has run before: some first compare themselves with a plain way."""
    rows = []
    for name in job.own:
        with counted(model.tl.blocks, model.device) as found:
            job.ways[name]()
        rows.append({"job": job.name, "way": name, **asdict(found)})
    return rows


def counts_table(rows: Iterable[dict]) -> str:
    """Markdown."""
    lines = [[row["job"], row["way"], *(f"{row[what]:,}" for what in ("blocks", "operations", "waits"))] for row in rows]
    return markdown_table(["job", "way", "block calls", "operations", "waits for the device"], lines) + "\n"
