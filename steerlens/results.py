"""The results of a study, and the folder in which they are stored."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerlens.activations import ResidualStack
from steerlens.errors import UnknownNameError
from steerlens.evaluation import MEAN, Choices, Chosen, Combinations, Plane, Sweep, power
from steerlens.evaluation.scores import AXES
from steerlens.probing import Separability
from steerlens.scores import shown_score
from steerlens.steering import SteeringPlan, SteeringVector, VectorSet
from steerlens.storage import parsed, read_json, readable_errors, write_text
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

_OPEN = "is not shown to change"
"""The words for a score if the interval of its change includes zero."""


@dataclass(frozen=True, eq=False)
class Study:
    """The results of a study: vectors, sweeps, chosen plans and the plane."""

    manifest: dict[str, Any]
    """A record of how the study was made: versions, model fingerprint, settings, seed, data hash, seconds."""
    separability: Separability
    sweep: Sweep
    """The scores of EN and LOC at every swept layer and strength, on dev."""
    chosen: Choices
    """The plans of EN, LOC and surgical steering that were chosen on dev, and the combinations that were tried for surgical
    steering."""
    plane: Plane
    """The scores of the unsteered model, the explicit prompt, EN, LOC and surgical steering, on test."""
    examples: "pd.DataFrame"
    """The example texts, with the columns locale, kind, concept, question, answer, method and text."""
    vectors: VectorSet

    def plan(self, method: str, locale: str) -> SteeringPlan:
        """Returns the chosen plan of a method for one locale.

        Args:
            method: ``EN``, ``LOC`` or ``surgical``.
            locale: a locale of the study.

        Raises:
            UnknownNameError: the study has no plan for this method or locale.
        """
        if method not in self.chosen:
            raise UnknownNameError("method", method, self.chosen)
        return self.chosen[method].plan(locale)

    def summary(self, locale: str | None = None) -> "pd.DataFrame":
        """Returns the test results of each method in one ``locale``, as text with intervals. ``None`` gives the mean over
        locales. The method ``side_effects`` returns the side effects."""
        return self.plane.summaries(locale)[0]

    def side_effects(self, locale: str | None = None) -> "pd.DataFrame":
        """Returns the side effects of each method on test in one ``locale``, as text with intervals. ``None`` gives the mean over
        locales. The table is empty if the study did not measure side effects."""
        return self.plane.summaries(locale)[1]

    def plot(self) -> "Figure":
        """Draws the transfer-localization plane on test. Other results of the study draw other figures, for example
        ``sweep.heatmap()`` and ``separability.plot()``."""
        return self.plane.plot()

    def found(self) -> list[str]:
        """Returns the findings on test as sentences. There is one sentence for each method. The sentence names the scores that
        the method raises or lowers, and the scores that are not shown to change. A score is raised or lowered if the interval of
        its change excludes zero. Methods that steer come first. The last sentence names the smallest changes that these items can
        detect."""
        frame = self.plane.frame[(self.plane.frame["locale"] == MEAN) & (self.plane.frame["control"] == "")]
        ordered = sorted(self.chosen.items(), key=lambda one: not one[1].steps)
        sentences = [_said(name, own, frame[frame["method"] == name].set_index("score")) for name, own in ordered]
        told = power(self.plane).frame
        steered = [name for name, own in self.chosen.items() if own.steps]
        told = told[(told["locale"] == MEAN) & told["method"].isin(steered) & (told["spread"] > 0)]  # 0: no answer changed
        if len(told):
            least = (100 * told.groupby("score", sort=False)["detectable"].max()).round(1)
            listed = " and ".join(f"{score} by {points} points" for score, points in least.items())
            sentences.append(
                f"With these items, a change of {listed} would be detected (its interval excludes zero) in four of five runs."
            )
        return sentences

    def report(self, path: str | Path) -> Path:
        """Writes a self-contained HTML report.

        Raises:
            FileError: the file cannot be written.
        """
        from steerlens.report import write_report

        return write_report(self, path)

    def save(self, folder: str | Path) -> Path:
        """Writes everything except the residuals to a folder: Parquet, JSON and safetensors.

        Raises:
            FileError: the folder cannot be written.
        """
        kept = Folder.ready(folder)
        for name in ("separability", "sweep", "plane", "examples", "manifest", "vectors"):
            kept.write(name, getattr(self, name))
        kept.write("surgical", self.chosen.tried)
        kept.write("chosen", list(self.chosen.values()))
        for method, choice in self.chosen.items():
            for locale, plan in choice.plans().items():
                kept.write(f"plans/{method}-{locale}", plan)
        return kept.path

    @classmethod
    def load(cls, folder: str | Path) -> "Study":
        """Reads a study that ``save`` or ``run_study(out=...)`` wrote.

        Raises:
            FileError: the folder lacks a file, or a file is truncated or has another version.
        """
        path = Path(folder)
        manifest, chosen = (read_json(path / f"{name}.json", "Run the study again.") for name in ("manifest", "chosen"))
        examples = ResultTable.load(path / "examples.parquet").frame
        vectors = VectorSet.load(path / "vectors.safetensors")
        listed = parsed(chosen, tuple[dict[str, Any], ...], str(path / "chosen.json"))
        each = {one.name: one for one in (Chosen.from_dict(own, str(path / "chosen.json"), vectors) for own in listed)}
        return cls(
            manifest,
            Separability.load(path / "separability.parquet"),
            Sweep.load(path / "sweep.parquet"),
            Choices(each, Combinations.load(path / "surgical.parquet")),
            Plane.load(path / "plane.parquet"),
            examples,
            vectors,
        )


def _said(name: str, choice: Chosen, rows: "pd.DataFrame") -> str:
    """Returns a sentence on one method: its effect on test, or why the model stays unsteered."""
    method = name[0].upper() + name[1:]
    if not choice.steps:
        return f"{method}: {choice.explained()}."
    effects: dict[str, list[str]] = {"raises": [], "lowers": [], _OPEN: []}
    for score, row in rows[rows["change"].notna()].iterrows():
        word = "raises" if row["low"] > 0 else "lowers" if row["high"] < 0 else _OPEN
        effects[word].append(_changed(str(score), row) if word != _OPEN or score in AXES else _title(str(score)))
    return f"{method} steering ({choice}) {_listed([f'{word} {_listed(names)}' for word, names in effects.items() if names])}."


def _listed(words: Sequence[str]) -> str:
    """Returns words with commas and a final "and"."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def _title(score: str) -> str:
    title = shown_score(score).title
    return f"the {title}" if title.endswith("rate") else title


def _changed(score: str, row: "pd.Series") -> str:
    """Returns the name of a score with its change and the interval of the change."""
    known = shown_score(score)
    change, low, high = (known.factor * row[column] for column in ("change", "low", "high"))
    digits = 1 if known.factor > 1 else 2
    return f"{_title(score)} ({change:+.{digits}f} {known.change_unit} [{low:+.{digits}f}, {high:+.{digits}f}])"


@dataclass(frozen=True)
class Folder:
    """A folder for results. Each result is written to a separate file as soon as the result is available."""

    path: Path

    @classmethod
    def ready(cls, path: str | Path) -> "Folder":
        """Writes a test file to the folder, and returns the folder. The test prevents that a long run fails at its end because
        the folder cannot be written.

        Raises:
            FileError: the folder cannot be made or written to.
        """
        folder = Path(path)
        with readable_errors(folder, "write"):
            write_text(folder / ".writable", "").unlink(missing_ok=True)  # a second process in the folder may have removed it
        return cls(folder)

    def write(self, name: str, result: Any) -> Path:
        """Writes one result as Parquet, JSON or safetensors, depending on the kind of result.

        Raises:
            FileError: the file cannot be written.
        """
        import pandas as pd

        target = self.path / name
        if isinstance(result, ResidualStack | SteeringVector | VectorSet | SteeringPlan):
            return result.save(target.with_name(f"{target.name}.safetensors"))
        if isinstance(result, ResultTable):
            return result.save(target.with_suffix(".parquet"))
        if isinstance(result, pd.DataFrame):
            return ResultTable(result).save(target.with_suffix(".parquet"))
        content = [item.to_dict() for item in result] if isinstance(result, Sequence) else result
        return write_text(target.with_suffix(".json"), json.dumps(content, indent=2, ensure_ascii=False) + "\n")
