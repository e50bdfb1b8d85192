"""Compares a tiny model of every architecture with Hugging Face alone: ``python -m steerlens.testing.architectures [names …]``.

``--out table.md`` writes a table, and ``--write docs/architectures.md`` puts the table into the documentation.

For each architecture, a model with random weights is made in a temporary folder and loaded with ``steerlens.load``. The model is
compared with a second copy, which Hugging Face runs alone with plain hooks on its layers. Nothing is downloaded and nothing is
installed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import steerlens as sl
from steerlens.models.quiet import quiet_transformers
from steerlens.testing import behaviour, checks
from steerlens.testing.bench import Bench
from steerlens.testing.families import FAMILIES
from steerlens.testing.family import Family
from steerlens.testing.findings import Finding, Tally, raised
from steerlens.testing.folders import write_model
from steerlens.testing.page import write_page
from steerlens.testing.tables import Examined, only_refused, summary, write
from steerlens.testing.towers import without_towers

Check = Callable[[Bench], dict[str, Finding]]
CHECKS: dict[Check, tuple[str, ...]] = {
    checks.reference: ("eager",),
    checks.front: ("tokens",),
    checks.residuals: ("residuals",),
    checks.scores: ("scores",),
    checks.sweeps: ("sweep", "hits", "full pass"),
    checks.gradients: ("gradients",),
    behaviour.texts: ("generate", "stream", "settings"),
    behaviour.strength_zero: ("strength 0",),
}
"""The columns of the table that each check fills."""


def examine(family: Family) -> Examined:
    """Runs all checks of one architecture. Errors are recorded in the result and not raised."""
    started, row = time.process_time(), Examined(family.name)
    torch.manual_seed(0)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        asked = stack.enter_context(_nothing_installed())
        for quiet in (quiet_transformers(), warnings.catch_warnings(), without_towers(family)):
            stack.enter_context(quiet)
        warnings.simplefilter("ignore")
        try:
            write_model(family, Path(folder))
            row.findings["load"] = Finding("ok")
            model = sl.LensModel(sl.load(folder, "cpu", "float32").backend, family.name)
        except Exception as error:  # any error of an architecture is a result
            row.findings["load"] = raised(error, (folder, family.name))
        else:
            _describe(row, model)
            _check(row, family, Path(folder), model)
        if asked and row.findings["load"].verdict == "ok":
            row.findings["load"] = Finding("off", f"runs {asked[0]}")
    row.seconds = time.process_time() - started
    return row


def examine_all(families: Sequence[Family], told: Callable[[Examined], None] | None = None) -> list[Examined]:
    """Returns the row of every architecture, computed on one thread.

    Args:
        told: a function that is called with each row as soon as the row is ready.
    """
    threads, rows = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        for family in families:
            rows.append(examine(family))
            if told is not None:
                told(rows[-1])
    finally:
        torch.set_num_threads(threads)
    return rows


def chosen(names: Sequence[str]) -> list[Family]:
    """Returns the families whose names begin with one of the given texts, ignoring case. Without texts, returns all families.

    Raises:
        UnknownNameError: no name begins with a given text.
    """
    for name in names:
        if not any(_begins(family, name) for family in FAMILIES):
            raise sl.errors.UnknownNameError("architecture", name, [family.name for family in FAMILIES])
    return [family for family in FAMILIES if not names or any(_begins(family, name) for name in names)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if no loaded architecture gives wrong results. A refusal with an explanation does not count as
    wrong."""
    parser = argparse.ArgumentParser(prog="steerlens.testing.architectures", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help="beginnings of names, such as 'Gemma' or 'qwen 3'; without names, all architectures are checked"
    )
    parser.add_argument(
        "--out", type=Path, help="a Markdown file for the table; a JSON file with the same name is written next to it"
    )
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="write the rows into this page, which must contain the marks for the table"
    )
    given = parser.parse_args(arguments)
    so_far: list[Examined] = []

    def tell(row: Examined) -> None:
        so_far.append(row)
        _say(row.line)
        if given.out:
            write(so_far, given.out)

    rows = examine_all(chosen(given.names), tell)
    if given.write:
        write_page(rows, given.write)
    _say(summary(rows))
    return 0 if all(only_refused(row) for row in rows if row.loaded) else 1


def _check(row: Examined, family: Family, folder: Path, model: sl.LensModel) -> None:
    try:
        before = behaviour.hooks_at_rest(model)
        bench = Bench.of(family, folder, model)
    except Exception as error:
        row.findings["load"] = raised(error)
        return
    for check, columns in CHECKS.items():
        row.findings.update(_guarded(check, bench, columns))
    row.findings.update(_guarded(lambda bench: behaviour.hooks_left(bench, before), bench, ("hooks",)))


def _guarded(check: Check, bench: Bench, columns: Sequence[str]) -> dict[str, Finding]:
    try:
        return check(bench)
    except Exception as error:
        return dict.fromkeys(columns, raised(error))


def _describe(row: Examined, model: sl.LensModel) -> None:
    row.model_type = model.backend.architecture
    with Tally().trying("capabilities"):
        row.packs, row.reuses_keys = bool(model.packs), bool(model.reuses_keys)


@contextmanager
def _nothing_installed() -> Iterator[list[str]]:
    """Refuses and records commands inside the ``with`` block that would install something. A library may run a command of this
    kind while it loads a model."""
    asked: list[str] = []
    begin = subprocess.Popen.__init__

    def refuse(self: Any, args: Any, *rest: Any, **named: Any) -> None:
        words = [args] if isinstance(args, str) else [str(word) for word in args]
        if "install" in words or any("pip install" in word for word in words):
            asked.append(" ".join(words[words.index("pip") :] if "pip" in words else words))
            raise OSError("installing is refused here")
        begin(self, args, *rest, **named)

    with mock.patch.object(subprocess.Popen, "__init__", refuse):
        yield asked


def _begins(family: Family, name: str) -> bool:
    return family.name.lower().startswith(name.lower())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
