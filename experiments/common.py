"""What the experiments share: command line, frozen settings, a folder of results for each model, and READMEs that runs write."""

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

import steerlens as sl
from steerlens.evaluation.running import Executor, Running
from steerlens.plotting import Figure
from steerlens.provenance import provenance
from steerlens.storage import write_atomically, write_text
from steerlens.tables import ResultTable, markdown_table

ROOT = Path(__file__).parent
SMOKE = Path("results") / "smoke"
NAMES = (
    *("finding", "choosing", "seeds", "public", "paper", "across"),
    *("pairs", "controls", "erasure", "variants", "alignment", "inside"),
)
"""In the order in which they need each other."""
NOT_RUN = "Not run yet."
EARLIER = "\n*These tables were made with earlier settings, which are in `record.json`.*\n"
"""What stands beneath tables whose settings are no longer those of the experiment."""
TEMPLATE, WORDS = "found.md.jinja", "words.md.jinja"
"""What an experiment's tables are put into, and what a person wrote of one model's, with its numbers left to be filled in."""
_UNREAD = "{% set headline %}Nobody has written yet what these tables say.{% endset %}"
_PROSE = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False)
_DIGITS = 5
"""Significant digits of numbers in tables: fewer than differ between machines."""


class Skipped(Exception):
    """The experiment cannot be run here, and that is nobody's mistake; the message says what it needs."""


@dataclass(frozen=True)
class Results:
    """The folder of one experiment's results on one model: CSV tables, PNG figures and ``record.json``."""

    path: Path
    draw: bool = True
    """Whether figures are drawn, which needs Chrome or Chromium."""
    figures: dict[str, list[str]] = field(default_factory=dict)
    """The tables that each figure was drawn from."""

    def table(self, name: str) -> pd.DataFrame:
        """Reads a table that ``write`` wrote. Empty texts are empty, missing numbers are NaN."""
        frame = pd.read_csv(self.path / f"{name}.csv", dtype=dict.fromkeys(("of", "control"), str))
        texts = [column for column in frame if not pd.api.types.is_numeric_dtype(frame[column])]
        return frame.fillna(dict.fromkeys(texts, ""))

    def write(self, name: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Writes a table as CSV and gives it back as read, so that what follows sees what is committed.

        What was said of the tables before goes: a run that ends early leaves no record and no text, and not old ones beside new
        tables.
        """
        for name_of_old in ("record.json", "found.md"):
            (self.path / name_of_old).unlink(missing_ok=True)
        write_atomically(self.path / f"{name}.csv", lambda part: frame.to_csv(part, index=False, float_format=f"%.{_DIGITS}g"))
        return self.table(name)

    def keep(self, name: str, table: ResultTable) -> None:
        """Writes a table of items as Parquet, for experiments that go on from it; it is not committed."""
        table.save(self.path / f"{name}.parquet")

    def figure(self, name: str, figure: Figure, tables: Sequence[str], width: int = 900) -> None:
        """Draws a figure as PNG, and notes the tables that it shows."""
        self.figures[f"{name}.png"] = [f"{table}.csv" for table in tables]
        if self.draw:
            figure.save(self.path / f"{name}.png", width=width, scale=1.5)

    def write_json(self, name: str, content: Any) -> None:
        """Writes plain JSON."""
        write_text(self.path / f"{name}.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def json(self, name: str) -> Any:
        """Reads plain JSON."""
        return json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Context:
    """One run of one experiment: the settings, the model once it is asked for, and where results go."""

    name: str
    config: dict[str, Any]
    source: str
    """The model's name, a folder or a .gguf file."""
    root: Path = ROOT
    smoke: bool = False
    draw: bool = True
    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    """What a run wants recorded."""
    executor: Executor | None = None
    """Who runs the tasks; ``None``: this process."""

    @cached_property
    def model(self) -> sl.LensModel:
        """The model, loaded when it is first used: after the data was found, and if figures can be drawn.

        Raises:
            SystemExit: they cannot.
        """
        if self.draw:
            check_drawing(self.name)
        with self.timed("loading"):
            return sl.load(self.source)

    @cached_property
    def results(self) -> Results:
        """This experiment's results on this model."""
        return Results(results_of(self.root, self.name, self.source), self.draw)

    @cached_property
    def running(self) -> Running:
        """How tasks are run: finished ones are kept beside the results, and a run that was ended goes on from them."""
        return Running.in_folder(self.results.path, executor=self.executor)

    def other(self, name: str) -> Results:
        """Another experiment's results on the same model.

        Raises:
            SystemExit: it was not run.
        """
        found = Results(results_of(self.root, name, self.source), self.draw)
        if not (found.path / "record.json").is_file():
            raise SystemExit(f"{self.name} uses what {name} chose on dev, and {found.path} holds no results: run {name} first.")
        return found

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Notes and prints the seconds of a step."""
        begun = time.perf_counter()
        yield
        self.seconds[what] = round(time.perf_counter() - begun, 1)
        print(f"{self.name}: {what}, {self.seconds[what]:.0f} s", flush=True)

    def record(self) -> dict[str, Any]:
        """What results belong to: the model, the settings, the data, versions and seconds."""
        model = {**self.model.fingerprint.to_dict(), "name": label(self.source)}  # a path says nothing to others
        own = {"experiment": self.name, "model": model, "config": self.config, **self.notes}
        return provenance(**own, figures=self.results.figures, seconds=self.seconds)


Run = Callable[[Context], None]
Shown = Callable[[Results], dict[str, Any]]
"""From committed tables to what a template is filled with."""


def label(source: str) -> str:
    """The name of a model's folder of results."""
    path = Path(source)
    return path.stem if path.suffix == ".gguf" else path.name


def results_of(root: Path, name: str, source: str) -> Path:
    """Where an experiment's results on a model lie."""
    return root / name / "results" / label(source)


def settings(name: str, *, model: str = "", smoke: bool = False) -> dict[str, Any]:
    """An experiment's ``config.json``; the values under ``models`` and the model's name, or ``smoke``, replace the others.

    One that goes on ``from`` another experiment has that one's settings where it has none of its own.
    """
    config = json.loads((ROOT / name / "config.json").read_text(encoding="utf-8"))
    small, own = config.pop("smoke", {}), config.pop("models", {}).get(model, {})
    before = settings(config["from"], model=model, smoke=smoke) if isinstance(config.get("from"), str) else {}
    return {**before, **config, **(small if smoke else own)}


def main(name: str, run: Run, shown: Shown, argv: Sequence[str] | None = None) -> None:
    """Runs an experiment from the command line and writes its tables, figures and README."""
    args = _arguments(name, argv)
    root = Path(args.out) if args.out else SMOKE if args.smoke else ROOT
    if not args.readme:
        workers = None if args.ray is None else sl.ray(args.ray or None)
        config = settings(name, model=label(args.model), smoke=args.smoke)
        context = Context(name, config, args.model, root, args.smoke, draw=not args.no_figures, executor=workers)
        try:
            with context.timed("all"):
                run(context)
        except Skipped as reason:
            print(f"{name}: skipped. {reason}")
            return
        context.results.write_json("record", context.record())
        context.running.forget()
        print(f"{name}: {context.results.path}")
    for record in sorted((root / name / "results").glob("*/record.json")):
        text = found(name, Results(record.parent), shown)
        write_text(record.parent / "found.md", text)
        if not args.readme and record.parent == context.results.path:
            print(f"\n{text}")
    write_readmes(root)


def found(name: str, results: Results, shown: Shown) -> str:
    """Fills what an experiment found on one model: the template with its tables, and the words on them with their numbers."""
    numbers = shown(results)
    template, words = (ROOT / _template_of(name) / TEMPLATE).read_text(encoding="utf-8"), results.path / WORDS
    said = _PROSE.from_string(words.read_text(encoding="utf-8") if words.is_file() else _UNREAD)
    text = _PROSE.from_string(template).render(**numbers, words=vars(said.make_module(numbers)))
    return text if results.json("record")["config"] == settings(name, model=results.path.name) else f"{text}{EARLIER}"


def _template_of(name: str) -> str:
    return name if (ROOT / name / TEMPLATE).is_file() else NAMES[0]


def check_drawing(name: str) -> None:
    """Finds out before anything is computed whether figures can be drawn.

    Raises:
        SystemExit: they cannot.
    """
    with TemporaryDirectory() as folder:
        try:
            Figure().save(Path(folder) / "nothing.png")
        except sl.errors.FileError as error:
            raise SystemExit(f"{name}: {error} Or give --no-figures.") from error


def _arguments(name: str, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{name}.run")
    parser.add_argument("--model", default="gemma-3-270m", help="a name, a folder or a .gguf file (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help=f"the small settings, into {SMOKE}/")
    parser.add_argument("--out", help="where the experiments' folders of results are (default: experiments/)")
    parser.add_argument("--no-figures", action="store_true", help="tables only")
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="run tasks on workers of Ray: here, or on a cluster (auto)",
    )
    parser.add_argument("--readme", action="store_true", help="write found.md and the READMEs again from the tables, run nothing")
    return parser.parse_args(argv)


def write_readmes(root: Path) -> None:
    """Puts what was found into the READMEs of the experiments and of their folder, where these are."""
    for name in NAMES:
        fill(root / name / "README.md", "found", found_in(root, name))
    fill(root / "README.md", "found", summary(root))


def found_in(root: Path, name: str) -> str:
    """What an experiment found on each model, as Markdown."""
    parts = []
    for path in sorted((root / name / "results").glob("*/found.md")):
        text = path.read_text(encoding="utf-8").strip()
        parts.append(f"### On {path.parent.name}\n\n{text.replace('](', f'](results/{path.parent.name}/')}\n")
    return "\n".join(parts) or f"{NOT_RUN}\n"


def summary(root: Path) -> str:
    """A line per experiment and model: the first paragraph of what it found."""
    rows = []
    for name in NAMES:
        found = [(path.parent.name, _first(path)) for path in sorted((root / name / "results").glob("*/found.md"))]
        rows += [[f"[{name}]({name}/README.md)", *cells] for cells in found or [("", NOT_RUN)]]
    return markdown_table(["experiment", "model", "found"], rows) + "\n"


def _first(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip().split("\n\n")[0].replace("\n", " ")


def fill(page: Path, name: str, text: str) -> None:
    """Puts a text into a page, if the page is there: between the lines ``<!-- name: … -->`` and ``<!-- /name -->``."""
    if page.is_file():
        old = page.read_text(encoding="utf-8")
        write_text(page, block(name).sub(lambda match: f"{match[1]}{text}{match[3]}", old))


def block(name: str) -> re.Pattern[str]:
    """The pattern of a text that ``fill`` puts into a page; its first and last group are the lines around the text."""
    return re.compile(rf"(<!-- {name}: [^\n]* -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
