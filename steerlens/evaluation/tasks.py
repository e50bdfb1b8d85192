"""Tasks that are run with a model, such as scoring items. A task does not contain the model, so it can run in any process. The
result of a task can be stored so that the task is not run again.

The result of the method ``run`` depends only on the task and the model. The result is a data frame, which Parquet stores
exactly.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from steerlens.data import Item, Items
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.questions import ask
from steerlens.evaluation.scorer import Scorer
from steerlens.models.engine import MEMORY
from steerlens.models.lens import LensModel
from steerlens.provenance import provenance
from steerlens.settings import Scoring
from steerlens.steering import SteeringPlan
from steerlens.steering.code import code_digest

if TYPE_CHECKING:
    import pandas as pd

Report = Callable[[float], None]
"""The type of a function that is called with the number of items done since the last call."""


class Task(ABC):
    """The base class of tasks, which are run with a model but do not contain the model."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of items that are run, times the number of plans."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Returns everything that the result depends on, except the model and its input tokens, as JSON values."""

    @abstractmethod
    def read(self, model: LensModel) -> list[Any]:
        """Returns the input tokens of the model. The digest contains the input tokens, because the tokens depend on locales,
        templates and the tokenizer.

        Args:
            model: the model whose tokenizer is used.
        """

    @abstractmethod
    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Runs the task with a model, and returns the result.

        Args:
            model: the model with which the task is run.
            report: a function that is called with the number of items done since the last call.
        """

    def digest(self, model: LensModel) -> str:
        """Returns the SHA-256 of the task, the model and the packages' versions. The SHA-256 is the file name of the task's
        stored result.

        Args:
            model: the model with which the task runs.
        """
        of_model = {name: value for name, value in model.fingerprint.to_dict().items() if name != "name"}
        content = {"task": type(self).__name__, "model": of_model, "read": self.read(model), **self.described()}
        return hashlib.sha256(json.dumps(provenance(**content), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class ScoringTask(Task):
    """The task of scoring items with the unsteered model and under some plans."""

    items: tuple[Item, ...]
    plans: tuple[SteeringPlan, ...] = ()
    scoring: Scoring = field(default_factory=Scoring)
    batch_size: int | None = None
    memory: int = MEMORY
    short: bool = False
    """Whether the logits of plans are computed for only a part of the vocabulary."""

    @property
    def size(self) -> int:
        """Returns the number of items, multiplied by the number of plans if there are plans."""
        return len(self.items) * max(1, len(self.plans))

    def described(self) -> dict[str, Any]:
        """Returns a description of the items, the plans and the scoring."""
        return {
            "items": Items(self.items).digest(), "plans": [plan_digests(plan) for plan in self.plans],
            "scoring": asdict(self.scoring), "batch_size": self.batch_size, "short": self.short,
        }  # fmt: skip

    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens of each item's prompt and choices.

        Args:
            model: the model whose tokenizer is used.
        """
        return asked_tokens(model, self.items, self.scoring)

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns one row for each plan and item, with the scores of the item's choices. The plan number -1 stands for the
        unsteered model."""
        import pandas as pd

        scorer = Scorer(
            model,
            self.items,
            self.scoring,
            batch_size=self.batch_size,
            memory=self.memory,
            short=self.short,
            plans=len(self.plans),
        )
        found: dict[int, Sequence[Outcome]] = {}
        for index, outcomes in scorer.sweep(self.plans):
            report(len(scorer) / scorer.n_batches)
            if outcomes is not None:
                found[index] = outcomes
        found[-1] = scorer.base  # the sweep has already scored the unsteered model
        if not self.plans:
            report(len(scorer))
        rows = [(index, at, list(o.scores)) for index in sorted(found) for at, o in enumerate(found[index])]
        return pd.DataFrame(rows, columns=["plan", "item", "scores"])

    def outcomes(self, result: "pd.DataFrame") -> list[list[Outcome]]:
        """Returns the outcomes from a result of ``run``. The unsteered outcomes come first, followed by the outcomes of every
        plan."""
        ordered: list[list[Outcome]] = [[] for _ in range(1 + len(self.plans))]
        for plan, item, scores in zip(result["plan"], result["item"], result["scores"], strict=True):
            ordered[plan + 1].append(Outcome(self.items[item], tuple(map(float, scores))))
        return ordered


def asked_tokens(model: LensModel, items: Sequence[Item], scoring: Scoring) -> list[Any]:
    """Returns the tokens of each item's prompt and choices."""
    rows = [ask(model, item, scoring).row for item in items]
    return [[row.prompt, row.choices] for row in rows]


def plan_digests(plan: SteeringPlan | None) -> list[str]:
    """Returns the digests of a plan and of the code of its edits."""
    return [] if plan is None else [plan.digest(), *(code_digest(type(step.edit)) for step in plan.steps)]
