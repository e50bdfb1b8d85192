"""Runs cases of all targets and reports their results: ``python -m steerlens.testing.fuzz --cases 10000``."""

import argparse
import base64
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from steerlens.storage import write_text
from steerlens.tables import markdown_table
from steerlens.testing.fuzz.judging import Verdict
from steerlens.testing.fuzz.mutations import Tree
from steerlens.testing.fuzz.process import Judge
from steerlens.testing.fuzz.targets import TARGETS, shares


def main() -> int:
    """Runs the cases. Returns 1 if a case ends in a fault."""
    parser = argparse.ArgumentParser(prog="python -m steerlens.testing.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"The targets. Default: all of {', '.join(TARGETS)}.")
    parser.add_argument("--cases", type=int, default=10_000, help="How many cases. Default: %(default)s.")
    parser.add_argument("--seed", type=int, default=0, help="The seed of the damage. Default: %(default)s.")
    parser.add_argument(
        "--keep", type=Path, default=Path("build/fuzz"), help="Where cases with faults are kept. Default: %(default)s."
    )
    parser.add_argument("--again", type=Path, metavar="FILE", help="Run the case in this file again.")
    args = parser.parse_args()
    if unknown := set(args.targets) - set(TARGETS):
        parser.error(f"unknown targets: {', '.join(sorted(unknown))}")
    judge = Judge()
    try:
        return _again(judge, args.again) if args.again else _all(judge, args)
    finally:
        judge.close()


def _again(judge: Judge, path: Path) -> int:
    verdict = judge.judged(*read_case(path))
    _say(f"{verdict.outcome}: {verdict.said}")
    return int(verdict.outcome == "fault")


def _all(judge: Judge, args: argparse.Namespace) -> int:
    """Runs all cases, and prints a table."""
    chosen = {name: target for name, target in TARGETS.items() if target.available and name in (args.targets or TARGETS)}
    rows: list[list[Any]] = []
    began = time.time()
    for name, n in shares(args.cases, chosen).items():
        start, found = time.time(), Counter[str]()
        for number in range(n):
            tree = chosen[name].case(args.seed, number)
            verdict = judge.judged(name, tree)
            found[verdict.outcome] += 1
            if verdict.outcome == "fault":
                path = write_case(args.keep, name, args.seed, number, verdict, tree)
                _say(f"{name}, case {number}: {verdict.said}\n  again: python -m steerlens.testing.fuzz --again {path}")
        rows.append([name, n, found["loaded"], found["refused"], found["fault"], round(time.time() - start, 1)])
        sys.stderr.write(f"{name}: {dict(found)}\n")
    faults, cases = sum(row[4] for row in rows), sum(row[1] for row in rows)
    rows.append(["all", cases, sum(row[2] for row in rows), sum(row[3] for row in rows), faults, round(time.time() - began)])
    _say(markdown_table(("loader", "cases", "loaded", "refused", "faults", "seconds"), rows))
    return int(faults > 0)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write_case(folder: Path, name: str, seed: int, number: int, verdict: Verdict, tree: Tree) -> Path:
    """Writes a case into one JSON file, from which the case can be run again.

    Args:
        folder: the folder for the file.
        name: the name of the target.
        seed: the seed of the run.
        number: the number of the case.
        verdict: the result of the case.
        tree: the files of the case.

    Returns:
        The path of the file.
    """
    files = {path: {"base64": base64.b64encode(own).decode()} if isinstance(own, bytes) else own for path, own in tree.items()}
    content = {"target": name, "seed": seed, "number": number, "found": verdict.said, "files": files}
    return write_text(folder / f"{name}-{seed}-{number}.json", json.dumps(content, indent=1))


def read_case(path: Path) -> tuple[str, Tree]:
    """Reads a case that ``write_case`` wrote.

    Args:
        path: the file.

    Returns:
        The target's name, and the files.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    files = content["files"].items()
    return content["target"], {name: base64.b64decode(own["base64"]) if isinstance(own, dict) else own for name, own in files}


if __name__ == "__main__":
    sys.exit(main())
