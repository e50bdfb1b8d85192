"""What a study found, and the folder it is kept in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerlens.activations import ResidualStack
from steerlens.evaluation import Chosen, Plane, Sweep
from steerlens.evaluation.searching.specs import VectorSet
from steerlens.probing import Separability
from steerlens.steering import SteeringPlan, SteeringVector
from steerlens.storage import field_of, parsed, read_json, write_text
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that a run of the whole chain found."""

    manifest: dict[str, Any]
    """Versions, model fingerprint, settings, seed, data hash, seconds."""
    separability: Separability
    sweep: Sweep
    """EN and LOC at every swept layer and strength, on dev."""
    surgical: Sweep
    """The combinations that surgical steering was chosen from, on dev."""
    chosen: tuple[Chosen, ...]
    plane: Plane
    """Unsteered, explicit prompt, EN, LOC and surgical, on test."""
    examples: "pd.DataFrame"
    """Columns: locale, kind, concept, question, answer, method, text."""
    vectors: VectorSet
    plans: dict[str, dict[str, SteeringPlan]]
    """``plans["surgical"]["es-ES"]``."""

    def summary(self, locale: str = "mean") -> "pd.DataFrame":
        """The test results of each method, as text with intervals."""
        return self.plane.summary(locale)

    def plot(self) -> "Figure":
        """The transfer-localization plane on test. Its parts draw the rest: ``sweep.heatmap()``, ``separability.plot()``."""
        return self.plane.plot()

    def report(self, path: str | Path) -> Path:
        """Writes a self-contained HTML report.

        Raises:
            FileError: the file cannot be written.
        """
        from steerlens.report import write_report

        return write_report(self, path)

    def save(self, folder: str | Path) -> Path:
        """Writes everything but the residuals to a folder: Parquet, JSON and safetensors.

        Raises:
            FileError: the folder cannot be written.
        """
        kept = Folder.ready(folder)
        for name in ("separability", "sweep", "surgical", "chosen", "plane", "examples", "manifest"):
            kept.write(name, getattr(self, name))
        for locale, own in self.vectors.items():
            for vector in own.values():
                kept.write(f"vectors/{vector.name}-{locale}", vector)
        for method, own_plans in self.plans.items():
            for locale, plan in own_plans.items():
                kept.write(f"plans/{method}-{locale}", plan)
        return kept.path

    @classmethod
    def load(cls, folder: str | Path) -> "Study":
        """Reads a study that ``save`` or ``run_study(out=...)`` wrote.

        Raises:
            FileError: the folder lacks a file, or one is truncated or of another version.
        """
        path = Path(folder)
        manifest, chosen = (read_json(path / f"{name}.json", "Run the study again.") for name in ("manifest", "chosen"))
        examples = ResultTable.load(path / "examples.parquet").frame
        locales = field_of(manifest, ["settings", "locales"], tuple[str, ...], str(path / "manifest.json"))
        listed = parsed(chosen, tuple[dict[str, Any], ...], str(path / "chosen.json"))
        choices = tuple(Chosen.from_dict(one, str(path / "chosen.json")) for one in listed)
        return cls(
            manifest,
            Separability.load(path / "separability.parquet"),
            Sweep.load(path / "sweep.parquet"),
            Sweep.load(path / "surgical.parquet"),
            choices,
            Plane.load(path / "plane.parquet"),
            examples,
            {x: {v: SteeringVector.load(path / f"vectors/{v}-{x}.safetensors") for v in ("EN", "LOC")} for x in locales},
            {
                m: {x: SteeringPlan.load(path / f"plans/{m}-{x}.safetensors") for x in locales}
                for m in (choice.method for choice in choices)
            },
        )


@dataclass(frozen=True)
class Folder:
    """Where results are written, one file each, as soon as they are there."""

    path: Path

    @classmethod
    def ready(cls, path: str | Path) -> "Folder":
        """A folder that was just written to, so that hours of work do not end at a closed door.

        Raises:
            FileError: it cannot be made or written to.
        """
        folder = Path(path)
        write_text(folder / ".writable", "").unlink()
        return cls(folder)

    def write(self, name: str, result: Any) -> Path:
        """Writes one result in the format of its kind: Parquet, JSON or safetensors.

        Raises:
            FileError: the file cannot be written.
        """
        import pandas as pd

        target = self.path / name
        if isinstance(result, ResidualStack | SteeringVector | SteeringPlan):
            return result.save(target.with_name(f"{target.name}.safetensors"))
        if isinstance(result, ResultTable):
            return result.save(target.with_suffix(".parquet"))
        if isinstance(result, pd.DataFrame):
            return ResultTable(result).save(target.with_suffix(".parquet"))
        content = [item.to_dict() for item in result] if isinstance(result, Sequence) else result
        return write_text(target.with_suffix(".json"), json.dumps(content, indent=2, ensure_ascii=False) + "\n")
