"""Model cards. A model card describes the vectors in a repository on the hub."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steerlens.errors import SettingsError
from steerlens.fingerprint import Fingerprint
from steerlens.provenance import provenance
from steerlens.tables import ResultTable, markdown_table

LIBRARY = "steerlens"
_TAGS = ("steerlens", "steering-vectors", "activation-steering", "interpretability")
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
"""A pattern for the licence identifiers of the hub, such as ``mit`` or ``cc-by-4.0``."""
_PLANE = ("method", "locale", "score", "n", "value", "change", "low", "high")


@dataclass(frozen=True)
class ModelCard:
    """The card of an artifact on the hub."""

    kind: str
    """The kind of artifact, such as ``steering plan``."""
    file: str
    """The name of the file that contains the artifact."""
    class_name: str
    """The name of the class that loads the artifact, such as ``SteeringPlan``."""
    usage: Sequence[str]
    """The lines of Python that show how to use the artifact. The lines use the variables ``artifact`` and ``model``."""
    header: Sequence[str]
    """The names of the columns of the table that shows the artifact's contents."""
    rows: Sequence[Sequence[Any]]
    """The rows of the table that shows the artifact's contents."""
    digest: str
    """The SHA-256 digest of the artifact's content."""
    fingerprint: Fingerprint
    """The fingerprint of the model for which the artifact was made."""
    license: str
    """The identifier of the artifact's licence on the hub."""
    base_model: str
    """The hub name of the model for which the artifact was made."""
    load_name: str
    """The argument with which ``sl.load`` loads the model."""
    languages: Sequence[str] = ()
    """The languages for which the artifact was made, as ISO 639 codes."""
    plane: ResultTable | None = None
    """The measured effects of the artifact, as a plane, or ``None``."""
    notes: str = ""
    """The author's own text, in Markdown."""

    def __post_init__(self) -> None:
        if not isinstance(self.license, str) or not _LICENCE.fullmatch(self.license):
            raise SettingsError(
                f"license={self.license!r} given: expected a licence identifier of the Hugging Face hub, such as 'mit', "
                "'apache-2.0' or 'cc-by-4.0'. For a licence that the hub does not list, give 'other'."
            )
        if self.plane is not None:
            if "model" not in self.plane.meta:
                raise SettingsError(
                    "the given plane does not say on which model it was measured: expected a plane that sl.evaluation.plane made."
                )
            self.plane.check(model=self.fingerprint.to_dict())
            missing = [name for name in _PLANE if name not in self.plane.frame.columns]
            if missing:
                raise SettingsError(
                    f"the given plane lacks the columns {', '.join(missing)}: expected a plane that sl.evaluation.plane made."
                )

    def text(self, repo_id: str) -> str:
        """Returns the card as Markdown, with the YAML header of the hub.

        Args:
            repo_id: the repository, as ``user/name``.
        """
        parts = [self._header(), self._what(repo_id), self._use(repo_id), self._results(), self._provenance(), self._licence()]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _header(self) -> str:
        from huggingface_hub import ModelCardData

        data = ModelCardData(
            license=self.license,
            library_name=LIBRARY,
            base_model=self.base_model,
            language=list(self.languages) or None,
            tags=list(_TAGS),
        )
        return f"---\n{data.to_yaml().strip()}\n---"

    def _what(self, repo_id: str) -> str:
        link = f"[{self.base_model}](https://huggingface.co/{self.base_model})"
        table = _table(self.header, self.rows)
        about = f"A {self.kind} for {link}, made with steerlens {self._versions()['steerlens']}. It changes the residual stream"
        return "\n\n".join(
            [
                f"# {_cell(repo_id)}",
                f"{about} after the blocks in the table, while the model runs. The weights are not changed.",
                table,
                *([self.notes.strip()] if self.notes.strip() else []),
            ]
        )

    def _use(self, repo_id: str) -> str:
        lines = [
            "import steerlens as sl",
            "",
            f"model = sl.load({self.load_name!r}, dtype={self.fingerprint.dtype.partition(',')[0]!r})",
            *self._processed(),
            f"artifact = sl.steering.{self.class_name}.load({repo_id!r}, revision=None)  # or a commit, to pin it",
            *self.usage,
        ]
        said = (
            f"The file is `{self.file}`: safetensors with a JSON header. Reading the file runs no code. The file cannot be used "
            "with another model, other weights (for example quantized weights) or another dtype."
        )
        return "\n".join(["## Use", "", "```python", *lines, "```", "", said])

    def _processed(self) -> list[str]:
        """Returns the lines of code that process the weights after loading, so the residual stream is the same as when the
        artifact was made."""
        processing = self.fingerprint.weight_processing
        if processing == "none":
            return []
        if processing == "compatibility":
            return ["model.tl.enable_compatibility_mode()"]
        return [f"# made with a HookedTransformer ({_cell(processing)}): give sl.load one that was loaded in the same way"]

    def _results(self) -> str:
        if self.plane is None:
            return ""
        frame = self.plane.frame
        shown = frame[frame["control"] == ""] if "control" in frame else frame
        rows = [
            [
                row.method,
                row.locale,
                row.score,
                row.n,
                f"{row.value:.3f}",
                f"{row.change:+.3f}",
                f"{row.low:+.3f} to {row.high:+.3f}",
            ]
            for row in shown.itertuples()
        ]
        said = (
            "The table shows the change against the unsteered model, paired item by item, with the 95% interval over concepts "
            "(percentile bootstrap). The file `plane.parquet` contains the complete table with the controls, and a record of how "
            "the table was made."
        )
        methods = self.plane.meta.get("methods", {}).items()
        names = [name for name, own in methods if any(self.digest[:12] in told for told in own.values())]
        if names:
            said += f" This {self.kind} is the method {', '.join(map(_cell, names))}."
        return "\n\n".join(["## Results", said, _table(["method", "locale", "score", "n", "value", "change", "interval"], rows)])

    def _provenance(self) -> str:
        own = {f"the model's {name}": value for name, value in self.fingerprint.to_dict().items()}
        versions = ", ".join(f"{name} {version}" for name, version in self._versions().items())
        rows = [["SHA-256 of the content", self.digest], *own.items(), ["versions", versions]]
        if self.plane is not None and "items" in self.plane.meta:
            rows.append(["digest of the items of the results", self.plane.meta["items"]])
        return "\n\n".join(["## Provenance", _table(["", ""], rows)])

    def _licence(self) -> str:
        return f"## Licence\n\nThis repository: `{self.license}`. The model that is steered has a separate licence."

    def _versions(self) -> dict[str, str]:
        return dict(provenance()["versions"])


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return markdown_table(map(_cell, header), [[_cell(cell) for cell in row] for row in rows])


def _cell(value: Any) -> str:
    """Returns a value as the text of a table cell. Line ends, bars, HTML and links are removed or escaped, so the text is shown
    literally."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return re.sub(r"([\\|`*\[\]<>])", r"\\\1", " ".join(text.split()))
