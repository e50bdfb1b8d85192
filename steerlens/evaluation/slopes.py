"""The derivatives of items' margins along vectors, for all locales and kinds, in as few passes as memory allows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from steerlens.data import Item, Items
from steerlens.evaluation.attribution import Attribution, joined, slopes_along
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.running import Running
from steerlens.evaluation.scorer import Scorer
from steerlens.evaluation.tasks import Report, Task, asked_tokens, plan_digests
from steerlens.models.engine import MEMORY
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.settings import Scoring
from steerlens.steering import SteeredTokens, SteeringVector

if TYPE_CHECKING:
    import pandas as pd

_ITEMS = 512
"""The number of items of one task. It is enough to use any device fully, and small enough that the derivatives need little
memory."""
Wanted = tuple[tuple[SteeringVector, tuple[int, ...]], ...]
"""Vectors, each with the requested layers."""
K = TypeVar("K")


@dataclass(frozen=True, eq=False)
class SlopePart:
    """Items, and the vectors along which the derivatives of their margins are computed."""

    items: tuple[Item, ...]
    vectors: Wanted


@dataclass(frozen=True, eq=False)
class Slopes:
    """The results of one forward and one backward pass on the items of a part."""

    base: list[Outcome]
    """The unsteered outcomes."""
    of: dict[str, Attribution]
    """The slopes by the vector's name."""


@dataclass(frozen=True, eq=False)
class SlopeTask(Task):
    """Computes the unsteered outcome of every item, and the derivatives of its margin along vectors, from one forward and one
    backward pass."""

    parts: tuple[SlopePart, ...]
    tokens: SteeredTokens
    scoring: Scoring = field(default_factory=Scoring)
    batch_size: int | None = None
    memory: int = MEMORY

    @property
    def items(self) -> list[Item]:
        """Returns the items of all parts."""
        return [item for part in self.parts for item in part.items]

    @property
    def size(self) -> int:
        """Returns the number of items."""
        return len(self.items)

    def described(self) -> dict[str, Any]:
        """Returns the items and the vectors at their layers, part by part, and the scoring."""
        parts = [
            {
                "items": Items(part.items).digest(),
                "plans": [plan_digests(vector.at(layers, 1.0, self.tokens)) for vector, layers in part.vectors],
                "names": [vector.name for vector, _ in part.vectors],
            }
            for part in self.parts
        ]
        return {"parts": parts, "scoring": asdict(self.scoring), "batch_size": self.batch_size}

    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens of each item's prompt and choices.

        Args:
            model: the model.
        """
        return asked_tokens(model, self.items, self.scoring)

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns one row for each item: its choices' scores, and its slopes along its part's vectors, layer by layer."""
        import pandas as pd

        scorer = Scorer(model, self.items, self.scoring, batch_size=self.batch_size, memory=self.memory)
        every = sorted({layer for part in self.parts for _, layers in part.vectors for layer in layers})
        gradients = scorer.gradients(every, self.tokens, report)
        at, slopes = 0, []
        for part in self.parts:
            own = dict(zip(every, gradients[:, at : at + len(part.items)], strict=True))
            slopes += _by_item([slopes_along(vector, layers, own) for vector, layers in part.vectors])
            at += len(part.items)
        return pd.DataFrame({"scores": [list(outcome.scores) for outcome in scorer.base], "slopes": slopes})

    def slopes(self, result: "pd.DataFrame") -> list[Slopes]:
        """Returns the slopes in a result, part by part."""
        rows = zip(result["scores"], result["slopes"], strict=True)
        return [_read(part, [next(rows) for _ in part.items]) for part in self.parts]


def slopes_of(
    parts: Mapping[K, SlopePart],
    model: LensModel,
    running: Running,
    tokens: SteeredTokens,
    scoring: Scoring,
    batch_size: int | None = None,
    memory: int = MEMORY,
) -> dict[K, Slopes]:
    """Returns the results of one forward and one backward pass on the items of each part.

    Parts run together, whatever their locale and kind. With solved examples, parts run by locale, since the items of one locale
    begin with the same examples.

    Args:
        parts: the parts, by any key.
        model: the model.
        running: how tasks are run.
        tokens: the tokens that would be steered.
        scoring: how choices are presented and compared.
        batch_size: the number of items in a batch; chosen for the device for ``None``.
        memory: the number of bytes that a backward pass may keep.
    """
    keys, tasks = [], []
    for some in _together(parts, apart=bool(scoring.examples)):
        keys.append([key for key, _ in some])
        tasks.append(SlopeTask(tuple(part for _, part in some), tokens, scoring, batch_size, memory))
    found: dict[K, list[Slopes]] = {}
    with progress(sum(task.size for task in tasks), "Attribution", "item") as bar:
        for task, own, result in zip(tasks, keys, running.results(tasks, model, bar), strict=True):
            for key, slopes in zip(own, task.slopes(result), strict=True):
                found.setdefault(key, []).append(slopes)
    return {key: _joined(pieces) for key, pieces in found.items()}


def _together(parts: Mapping[K, SlopePart], *, apart: bool) -> Iterator[list[tuple[K, SlopePart]]]:
    """Yields the parts of one task after another. A part that is too large for one task is split."""
    for _, own in groupby(parts.items(), key=lambda each: each[1].items[0].locale if apart else ""):
        items = [(key, item) for key, part in own for item in part.items]
        for at in range(0, len(items), _ITEMS):
            pieces = groupby(items[at : at + _ITEMS], key=lambda each: each[0])
            yield [(key, SlopePart(tuple(item for _, item in some), parts[key].vectors)) for key, some in pieces]


def _by_item(slopes: Sequence[Mapping[int, np.ndarray]]) -> list[list[float]]:
    """Returns each item's slopes along all vectors, layer by layer."""
    return np.stack([own for one in slopes for own in one.values()], axis=1).tolist()


def _read(part: SlopePart, rows: Sequence[tuple[Any, Any]]) -> Slopes:
    base = [Outcome(item, tuple(map(float, scores))) for item, (scores, _) in zip(part.items, rows, strict=True)]
    columns = iter(np.array([list(slopes) for _, slopes in rows], dtype=np.float32).T)
    of = {vector.name: Attribution({layer: next(columns) for layer in layers}) for vector, layers in part.vectors}
    return Slopes(base, of)


def _joined(pieces: Sequence[Slopes]) -> Slopes:
    """Returns the results for a whole part, from those of its pieces."""
    of = {name: joined([piece.of[name] for piece in pieces]) for name in pieces[0].of}
    return Slopes([outcome for piece in pieces for outcome in piece.base], of)
