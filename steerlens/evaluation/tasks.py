"""Tasks: units of work that hold no model, so that they can be run anywhere, kept on disk when they end, and not run again.

A task says what is to be done with a model; ``run`` does it, as a pure function of the task and the model. Its result is a frame,
which Parquet keeps exactly.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import Item, Items, Prompt
from steerlens.evaluation.attribution import attributions
from steerlens.evaluation.outcomes import Outcome, Writing
from steerlens.evaluation.questions import ask, expected_text, prompt_of
from steerlens.evaluation.scorer import Scorer
from steerlens.evaluation.texts import nats_per_token
from steerlens.evaluation.writing import written
from steerlens.fingerprint import Fingerprint
from steerlens.models.engine import MEMORY
from steerlens.models.lens import LensModel
from steerlens.models.pooling import Positions, described
from steerlens.progress import progress
from steerlens.provenance import provenance
from steerlens.settings import Scoring
from steerlens.steering import SteeredTokens, SteeringPlan, SteeringVector
from steerlens.steering.code import code_digest

if TYPE_CHECKING:
    import pandas as pd

Report = Callable[[float], None]
"""Called with the number of items that were done since the last call."""


_PROMPTS = 128
"""The prompts of one task of capture."""


class Task(ABC):
    """A unit of work without a model in it."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of items that are run, each under each plan."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Returns everything that the result depends on beside the model and what it reads, as JSON values."""

    @abstractmethod
    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens that the model is given: they hold what locales, templates and the tokenizer make of the task.

        Args:
            model: the model.
        """

    @abstractmethod
    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Does the work with a model.

        Args:
            model: the model.
            report: is told of progress.
        """

    def digest(self, model: LensModel) -> str:
        """Returns the SHA-256 of the task, the model and the packages' versions: the name of its result on disk.

        Args:
            model: the model that it is for.
        """
        of_model = {name: value for name, value in model.fingerprint.to_dict().items() if name != "name"}
        content = {"task": type(self).__name__, "model": of_model, "read": self.read(model), **self.described()}
        return hashlib.sha256(json.dumps(provenance(**content), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class ScoringTask(Task):
    """Items scored unsteered and under some plans."""

    items: tuple[Item, ...]
    plans: tuple[SteeringPlan, ...] = ()
    scoring: Scoring = field(default_factory=Scoring)
    batch_size: int | None = None
    memory: int = MEMORY

    @property
    def size(self) -> int:
        """The items, times the plans and unsteered."""
        return len(self.items) * max(1, len(self.plans))

    def described(self) -> dict[str, Any]:
        """Returns the items, the plans and the scoring."""
        return {
            "items": Items(self.items).digest(), "plans": [_described(plan) for plan in self.plans],
            "scoring": asdict(self.scoring), "batch_size": self.batch_size,
        }  # fmt: skip

    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens of each item's prompt and choices.

        Args:
            model: the model.
        """
        return _asked(model, self.items, self.scoring)

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns a row for each plan (-1: unsteered) and item, with the scores of its choices."""
        import pandas as pd

        scorer = Scorer(model, self.items, self.scoring, batch_size=self.batch_size, memory=self.memory)
        found: dict[int, Sequence[Outcome]] = {}
        for index, outcomes in scorer.sweep(self.plans):
            report(len(scorer) / scorer.n_batches)
            if outcomes is not None:
                found[index] = outcomes
        found[-1] = scorer.base  # a sweep has scored it on its way
        if not self.plans:
            report(len(scorer))
        rows = [(index, at, list(o.scores)) for index in sorted(found) for at, o in enumerate(found[index])]
        return pd.DataFrame(rows, columns=["plan", "item", "scores"])

    def outcomes(self, result: "pd.DataFrame") -> list[list[Outcome]]:
        """Returns the outcomes of a result: unsteered first, then those of every plan."""
        ordered: list[list[Outcome]] = [[] for _ in range(1 + len(self.plans))]
        for plan, item, scores in zip(result["plan"], result["item"], result["scores"], strict=True):
            ordered[plan + 1].append(Outcome(self.items[item], tuple(map(float, scores))))
        return ordered


@dataclass(frozen=True, eq=False)
class SlopeTask(Task):
    """The derivative of every item's margin along vectors, from one pass forward and one backward."""

    items: tuple[Item, ...]
    vectors: tuple[tuple[SteeringVector, tuple[int, ...]], ...]
    """Each with the layers that it is wanted at."""
    tokens: SteeredTokens
    scoring: Scoring = field(default_factory=Scoring)
    batch_size: int | None = None
    memory: int = MEMORY

    @property
    def size(self) -> int:
        """The items."""
        return len(self.items)

    def described(self) -> dict[str, Any]:
        """Returns the items, the vectors at their layers and the scoring."""
        plans = [_described(vector.at(layers, 1.0, self.tokens)) for vector, layers in self.vectors]
        own = {"items": Items(self.items).digest(), "plans": plans, "names": [vector.name for vector, _ in self.vectors]}
        return {**own, "scoring": asdict(self.scoring), "batch_size": self.batch_size}

    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens of each item's prompt and choices.

        Args:
            model: the model.
        """
        return _asked(model, self.items, self.scoring)

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns a row for each vector and layer, with the slope of each item."""
        import pandas as pd

        scorer = Scorer(model, self.items, self.scoring, batch_size=self.batch_size, memory=self.memory)
        found = attributions(scorer, self.vectors, self.tokens)
        report(len(scorer))
        rows = [(name, layer, own.tolist()) for name, one in found.items() for layer, own in one.slopes.items()]
        return pd.DataFrame(rows, columns=["vector", "layer", "slopes"])

    def slopes(self, result: "pd.DataFrame") -> dict[str, dict[int, np.ndarray]]:
        """Returns the slopes of a result by vector and layer."""
        found: dict[str, dict[int, np.ndarray]] = {}
        for vector, layer, slopes in zip(result["vector"], result["layer"], result["slopes"], strict=True):
            found.setdefault(vector, {})[int(layer)] = np.array(slopes, dtype=np.float32)
        return found


@dataclass(frozen=True, eq=False)
class WritingTask(Task):
    """What a model writes after items' prompts, steered by a plan or unsteered."""

    items: tuple[Item, ...]
    plan: SteeringPlan | None
    max_new_tokens: int
    batch_size: int | None = None
    scoring: Scoring = field(default_factory=Scoring)
    """How the items are put."""

    @property
    def size(self) -> int:
        """The items."""
        return len(self.items)

    def described(self) -> dict[str, Any]:
        """Returns the items, how they are put, the plan and the length."""
        own = {"items": Items(self.items).digest(), "plan": _described(self.plan), "max_new_tokens": self.max_new_tokens}
        return {**own, "scoring": asdict(self.scoring), "batch_size": self.batch_size}

    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens of each item's prompt.

        Args:
            model: the model.
        """
        return [model.tokenizer.ids(prompt_of(item, self.scoring)) for item in self.items]

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns a row for each item with its text and the text's tokens."""
        import pandas as pd

        found = written(model, Items(self.items), self.plan, self.max_new_tokens, self.batch_size, self.scoring)
        report(len(self.items))
        return pd.DataFrame([(one.text, list(one.tokens)) for one in found], columns=["text", "tokens"])

    def writings(self, result: "pd.DataFrame") -> list[Writing]:
        """Returns the texts of a result."""
        each = zip(self.items, result["text"], result["tokens"], strict=True)
        return [Writing(item, text, tuple(map(int, tokens)), expected_text(item, self.scoring)) for item, text, tokens in each]


@dataclass(frozen=True, eq=False)
class ReadingTask(Task):
    """How well a model predicts texts, steered by a plan or unsteered."""

    texts: tuple[str, ...]
    plan: SteeringPlan | None
    batch_size: int | None = None

    @property
    def size(self) -> int:
        """The texts."""
        return len(self.texts)

    def described(self) -> dict[str, Any]:
        """Returns the texts and the plan."""
        return {"texts": list(self.texts), "plan": _described(self.plan), "batch_size": self.batch_size}

    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens of each text.

        Args:
            model: the model.
        """
        return list(map(model.tokenizer.ids, self.texts))

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns a row for each text with its nats per token."""
        import pandas as pd

        nats = nats_per_token(model, self.texts, self.plan, batch_size=self.batch_size)
        report(len(self.texts))
        return pd.DataFrame({"nats": nats})


@dataclass(frozen=True, eq=False)
class ResidualTask(Task):
    """The residual streams of some prompts at all layers."""

    prompts: tuple[Prompt, ...]
    positions: Positions = "last"
    batch_size: int | None = None

    @property
    def size(self) -> int:
        """The prompts."""
        return len(self.prompts)

    def described(self) -> dict[str, Any]:
        """Returns the prompts and where they are read."""
        texts = [prompt.text for prompt in self.prompts]
        return {"prompts": texts, "positions": described(self.positions), "batch_size": self.batch_size}

    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens of each prompt.

        Args:
            model: the model.
        """
        return list(map(model.tokenizer.ids, self.prompts))

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns a row for each prompt with its residuals ``[layer, d_model]`` as bytes of float32."""
        import pandas as pd

        stack = model.residuals(self.prompts, positions=self.positions, batch_size=self.batch_size)
        report(len(self.prompts))
        return pd.DataFrame({"residuals": [own.contiguous().numpy().tobytes() for own in stack.residuals.unbind(1)]})

    def residuals(self, result: "pd.DataFrame", fingerprint: Fingerprint) -> Float[Tensor, "layer prompt d_model"]:
        """Returns the residuals of a result."""
        shape = (fingerprint.n_layers, fingerprint.d_model)
        each = [torch.from_numpy(np.frombuffer(own, dtype=np.float32).reshape(shape).copy()) for own in result["residuals"]]
        return torch.stack(each, dim=1)


def captured(
    model: LensModel,
    prompts: Sequence[Prompt],
    positions: Positions,
    batch_size: int | None,
    results: Callable[[Sequence[Task], LensModel, Any], Iterator["pd.DataFrame"]],
) -> ResidualStack:
    """Returns the residual streams of prompts at all layers, captured in tasks.

    Args:
        model: the model.
        prompts: what is read.
        positions: where it is read.
        batch_size: prompts at once; chosen for the device for ``None``.
        results: runs tasks, as ``Running.results`` does.
    """
    given = tuple(prompts)
    tasks = [ResidualTask(given[at : at + _PROMPTS], positions, batch_size) for at in range(0, len(given), _PROMPTS)]
    with progress(len(given), "Residuals", "prompt") as bar:
        parts = [
            task.residuals(result, model.fingerprint) for task, result in zip(tasks, results(tasks, model, bar), strict=True)
        ]
    return ResidualStack(torch.cat(parts, dim=1), model.layers(), given, described(positions), model.fingerprint)


def _asked(model: LensModel, items: Sequence[Item], scoring: Scoring) -> list[Any]:
    rows = [ask(model, item, scoring).row for item in items]
    return [[row.prompt, row.choices] for row in rows]


def _described(plan: SteeringPlan | None) -> list[str]:
    """Returns the digests of a plan and of the code of its edits."""
    return [] if plan is None else [plan.digest(), *(code_digest(type(step.edit)) for step in plan.steps)]
