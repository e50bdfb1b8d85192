"""Tasks that generate texts, measure how well texts are predicted, and read the residual streams of prompts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import Item, Items, Prompt
from steerlens.evaluation.outcomes import Writing
from steerlens.evaluation.questions import expected_text, prompt_of
from steerlens.evaluation.tasks import Report, Task, plan_digests
from steerlens.evaluation.texts import nats_per_token
from steerlens.evaluation.writing import written
from steerlens.fingerprint import Fingerprint
from steerlens.models.lens import LensModel
from steerlens.models.pooling import Positions, described
from steerlens.progress import progress
from steerlens.settings import Scoring
from steerlens.steering import SteeringPlan

if TYPE_CHECKING:
    import pandas as pd

_PROMPTS = 128
"""The largest number of prompts in one task that reads residual streams."""


@dataclass(frozen=True, eq=False)
class WritingTask(Task):
    """The task of generating texts after the prompts of items, with a plan or with the unsteered model."""

    items: tuple[Item, ...]
    plan: SteeringPlan | None
    max_new_tokens: int
    batch_size: int | None = None
    scoring: Scoring = field(default_factory=Scoring)
    """The scoring, which determines how the items are presented."""
    stop: tuple[str, ...] = ()
    """Texts at which a generated text ends. The stop text itself is left out."""

    @property
    def size(self) -> int:
        """Returns the number of items in the task."""
        return len(self.items)

    def described(self) -> dict[str, Any]:
        """Returns a description of the items, the scoring, the plan, the largest length and the stop texts."""
        own = {"items": Items(self.items).digest(), "plan": plan_digests(self.plan), "max_new_tokens": self.max_new_tokens}
        return {**own, "scoring": asdict(self.scoring), "batch_size": self.batch_size, "stop": list(self.stop)}

    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens of each item's prompt.

        Args:
            model: the model whose tokenizer is used.
        """
        return [model.tokenizer.ids(prompt_of(item, self.scoring)) for item in self.items]

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns one row for each item, with the generated text and its tokens."""
        import pandas as pd

        found = written(model, Items(self.items), self.plan, self.max_new_tokens, self.batch_size, self.scoring, self.stop)
        report(len(self.items))
        return pd.DataFrame([(one.text, list(one.tokens)) for one in found], columns=["text", "tokens"])

    def writings(self, result: "pd.DataFrame") -> list[Writing]:
        """Returns the generated texts from a result of ``run``."""
        each = zip(self.items, result["text"], result["tokens"], strict=True)
        return [Writing(item, text, tuple(map(int, tokens)), expected_text(item, self.scoring)) for item, text, tokens in each]


@dataclass(frozen=True, eq=False)
class ReadingTask(Task):
    """The task of measuring how well a model predicts texts, with a plan or unsteered."""

    texts: tuple[str, ...]
    plan: SteeringPlan | None
    batch_size: int | None = None

    @property
    def size(self) -> int:
        """Returns the number of texts in the task."""
        return len(self.texts)

    def described(self) -> dict[str, Any]:
        """Returns a description of the texts and the plan."""
        return {"texts": list(self.texts), "plan": plan_digests(self.plan), "batch_size": self.batch_size}

    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens of each text.

        Args:
            model: the model whose tokenizer is used.
        """
        return list(map(model.tokenizer.ids, self.texts))

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns one row for each text, with its mean negative log probability in nats per token."""
        import pandas as pd

        nats = nats_per_token(model, self.texts, self.plan, batch_size=self.batch_size)
        report(len(self.texts))
        return pd.DataFrame({"nats": nats})


@dataclass(frozen=True, eq=False)
class ResidualTask(Task):
    """The task of reading the residual streams of prompts at all layers."""

    prompts: tuple[Prompt, ...]
    positions: Positions = "last"
    batch_size: int | None = None

    @property
    def size(self) -> int:
        """Returns the number of prompts in the task."""
        return len(self.prompts)

    def described(self) -> dict[str, Any]:
        """Returns a description of the prompts and of the token position that is read."""
        texts = [prompt.text for prompt in self.prompts]
        return {"prompts": texts, "positions": described(self.positions), "batch_size": self.batch_size}

    def read(self, model: LensModel) -> list[Any]:
        """Returns the tokens of each prompt.

        Args:
            model: the model whose tokenizer is used.
        """
        return list(map(model.tokenizer.ids, self.prompts))

    def run(self, model: LensModel, report: Report) -> "pd.DataFrame":
        """Returns one row for each prompt, with its residuals ``[layer, d_model]`` as bytes of float32."""
        import pandas as pd

        stack = model.residuals(self.prompts, positions=self.positions, batch_size=self.batch_size)
        report(len(self.prompts))
        return pd.DataFrame({"residuals": [own.contiguous().numpy().tobytes() for own in stack.residuals.unbind(1)]})

    def residuals(self, result: "pd.DataFrame", fingerprint: Fingerprint) -> Float[Tensor, "layer prompt d_model"]:
        """Returns the residuals ``[layer, prompt, d_model]`` from a result of ``run``."""
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
    """Returns the residual streams of prompts at all layers. The prompts are divided into tasks, which ``results`` runs.

    Args:
        model: the model whose residual streams are read.
        prompts: the prompts whose residual streams are read.
        positions: the token position that is read.
        batch_size: the number of prompts in a batch; ``None`` takes a number that suits the device.
        results: a function that runs tasks, such as ``Running.results``.
    """
    given = tuple(prompts)
    tasks = [ResidualTask(given[at : at + _PROMPTS], positions, batch_size) for at in range(0, len(given), _PROMPTS)]
    with progress(len(given), "Residuals", "prompt") as bar:
        parts = [
            task.residuals(result, model.fingerprint) for task, result in zip(tasks, results(tasks, model, bar), strict=True)
        ]
    return ResidualStack(torch.cat(parts, dim=1), model.layers(), given, described(positions), model.fingerprint)
