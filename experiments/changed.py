"""Which results of the experiments differ from those that are committed, by value: ``python -m experiments.changed``.

Numbers count as equal within a tolerance. A figure has changed if one of the tables that it shows has. Seconds, versions
and texts made from tables are not compared.
"""

import argparse
import io
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.common import ROOT

TOLERANCE = 1e-3
"""Of a number, relative and absolute together: a tenth of a point, or 0.001 nats."""
_COMPARED = ("config", "settings of", "model", "data")
"""What of a record says whether results can be compared at all."""


@dataclass(frozen=True)
class Change:
    """A result that is not as it was."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.changed", description=__doc__.split("\n")[0])
    parser.add_argument("--against", default="HEAD", help="commit that results are compared with (default: %(default)s)")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="default: %(default)s")
    args = parser.parse_args()
    committed = {path: _shown(args.against, path) for path in _listed(args.against)}
    fresh = {path.relative_to(ROOT.parent): path.read_bytes() for path in ROOT.glob("*/results/*/*") if path.is_file()}
    changes = list(compared(committed, fresh, args.tolerance))
    print("\n".join(map(str, changes)))
    tables = sum(change.path.suffix != ".png" for change in changes)
    print(f"{tables} tables and {len(changes) - tables} figures differ from {args.against}, of {len(committed)} files there.")


def compared(committed: dict[Path, bytes], fresh: dict[Path, bytes], tolerance: float = TOLERANCE) -> Iterator[Change]:
    """What differs, tables first, then the figures that show them.

    Args:
        committed: content of each file of results, as it was.
        fresh: as it is.
        tolerance: of numbers.
    """
    touched = set()
    for path in sorted({*committed, *fresh}):
        if path.suffix not in (".csv", ".json"):
            continue
        what = _difference(path, committed.get(path), fresh.get(path), tolerance)
        if what:
            touched.add(path)
            yield Change(path, what)
    for path in sorted(path for path in {*committed, *fresh} if path.suffix == ".png"):
        shown = _tables_of(path, fresh)
        if path not in committed or path not in fresh:
            yield Change(path, "new" if path in fresh else "gone")
        elif names := [table for table in shown if path.with_name(table) in touched]:
            yield Change(path, f"shows {', '.join(names)}")
        elif committed[path] != fresh[path]:
            yield Change(path, "drawn otherwise, from the same numbers")


def _tables_of(figure: Path, fresh: dict[Path, bytes]) -> list[str]:
    record = json.loads(fresh.get(figure.with_name("record.json"), b"{}"))
    return record.get("figures", {}).get(figure.name, [])


def _difference(path: Path, old: bytes | None, new: bytes | None, tolerance: float) -> str:
    if old is None or new is None:
        return "new" if old is None else "gone"
    if path.suffix == ".csv":
        return table_difference(pd.read_csv(io.BytesIO(old)), pd.read_csv(io.BytesIO(new)), tolerance)
    before, after = json.loads(old), json.loads(new)
    if path.name == "record.json":
        before, after = ({key: record.get(key) for key in _COMPARED} for record in (before, after))
    places = list(_unequal(before, after, "", tolerance))
    return f"{', '.join(places[:4])}{' and more' if len(places) > 4 else ''} differ" if places else ""


def table_difference(old: pd.DataFrame, new: pd.DataFrame, tolerance: float = TOLERANCE) -> str:
    """In words how a table differs from another; empty if it does not."""
    if list(old) != list(new):
        return f"columns {sorted({*old} ^ {*new}) or 'in another order'}"
    numbers = [name for name in old if pd.api.types.is_numeric_dtype(old[name]) and pd.api.types.is_numeric_dtype(new[name])]
    texts = [name for name in old if name not in numbers]
    if len(old) != len(new) or not old[texts].fillna("").astype(str).equals(new[texts].fillna("").astype(str)):
        return f"other rows: {len(old)} before, {len(new)} now"
    before, after = old[numbers].to_numpy(float), new[numbers].to_numpy(float)
    away = ~np.isclose(after, before, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not away.any():
        return ""
    distance = np.where(away, np.nan_to_num(np.abs(after - before), nan=np.inf), -1)
    row, column = np.unravel_index(distance.argmax(), distance.shape)
    where = " ".join(str(value) for value in new[texts].iloc[row].dropna())
    most = f"{numbers[column]} of {where or f'row {row}'} {before[row, column]:.4g} → {after[row, column]:.4g}"
    return f"{away.sum()} of {away.size} numbers; the most: {most}"


def _unequal(old: Any, new: Any, place: str, tolerance: float) -> Iterator[str]:
    """The places in plain JSON that differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from _unequal(old.get(key), new.get(key), f"{place}.{key}".lstrip("."), tolerance)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for at, (one, two) in enumerate(zip(old, new, strict=True)):
            yield from _unequal(one, two, f"{place}[{at}]", tolerance)
    elif isinstance(old, int | float) and isinstance(new, int | float):
        if not np.isclose(new, old, rtol=tolerance, atol=tolerance):
            yield place
    elif old != new:
        yield place


def _listed(commit: str) -> list[Path]:
    names = _git("ls-tree", "-r", "--name-only", "-z", commit, "experiments").decode().split("\0")
    return [path for path in map(Path, names) if len(path.parts) == 5 and path.parts[2] == "results"]


def _shown(commit: str, path: Path) -> bytes:
    return _git("show", f"{commit}:./{path.as_posix()}")


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT.parent, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", b"").decode().strip() or error
        raise SystemExit(
            f"git {arguments[0]} does not work here ({reason}): results are compared with those of a commit."
        ) from None


if __name__ == "__main__":
    main()
