"""Computes the derivatives of items' margins along vectors, for all locales and kinds, in as few passes as the memory
allows."""

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
"""The largest number of items of one task. The number is large enough to use any device fully, and small enough that the
derivatives need little memory."""
Wanted = tuple[tuple[SteeringVector, tuple[int, ...]], ...]
"""Vectors, each with the layers at which derivatives are requested."""
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
    """The outcomes of the unsteered model."""
    of: dict[str, Attribution]
    """The derivatives of the margins along each vector, by the vector's name."""


@dataclass(frozen=True, eq=False)
class SlopeTask(Task):
    """The task that computes the unsteered outcome of every item, and the derivatives of the item's margin along vectors. The
    task needs one forward and one backward pass."""

    parts: tuple[SlopePart, ...]
    tokens: SteeredTokens
    scoring: Scoring = field(default_factory=Scoring)
    batch_size: int | None = None
    memory: int = MEMORY

    @property
    def items(self) -> list[Item]:
        """Returns the items of all parts of the task."""
        return [item for part in self.parts for item in part.items]

    @property
    def size(self) -> int:
        """Returns the number of items in the task."""
        return len(self.items)

    def described(self) -> dict[str, Any]:
        """Returns a description of the items and vectors of each part, and of the scoring."""
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
            model: the model whose tokenizer is used.
        """
        return asked_tokens(model, self.items, self.scoring)

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns one row for each item, with the scores of the item's choices and the item's slopes. There is one slope for
        each vector of the item's part at each layer of the vector."""
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
        """Returns the slopes of each part from a result of ``run``."""
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

    Parts of all locales and kinds are run together. If the scoring has solved examples, each locale is run separately,
    because the items of one locale begin with the same examples.

    Args:
        parts: the items and vectors of each part, by a key of any kind.
        model: the model whose margins are differentiated.
        running: the executor that runs tasks, and the folder for results.
        tokens: the tokens at which the vectors are added.
        scoring: how choices are presented and scored.
        batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
        memory: the largest number of bytes that a backward pass may keep.
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
    """Yields the parts of each task. A part that is too large for one task is split."""
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
    """Returns the results for a whole part from the results of its pieces."""
    of = {name: joined([piece.of[name] for piece in pieces]) for name in pieces[0].of}
    return Slopes([outcome for piece in pieces for outcome in piece.base], of)
