"""The logit lens (nostalgebraist 2020): reads the answers that the model would give if it ended after a layer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.data import Item, Items, locale
from steerlens.data.splits import group_of
from steerlens.errors import PromptError, UnknownNameError
from steerlens.models.batches import Row, TokenBatch
from steerlens.models.lens import LensModel
from steerlens.models.unembedding import Targets
from steerlens.progress import SHOW_FROM, progress
from steerlens.statistics import cluster_counts, percentile_interval
from steerlens.steering import SteeringPlan
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure

ANSWERS = ("factual", "local", "English-centric")
UNSTEERED, STEERED, CHANGE = "unsteered", "steered", "change"


@dataclass(frozen=True, eq=False)
class LogitLens(ResultTable):
    """The log probability of an answer's first token, read at every layer.

    Columns: locale, layer, answer (``factual``; for cultural items ``local`` and ``English-centric``), steering (``unsteered``,
    ``steered``, ``change``: steered minus unsteered), log_probability (in nats, mean over items) with its 95% interval low and
    high, probability (mean), first (share of items for which no choice begins with a more probable token), n (concepts).
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("locale", "layer", "answer", "steering", "log_probability", "low", "high", "probability", "first", "n"),
    )

    def plot(self, locale: str | None = None, score: str = "log_probability") -> "Figure":
        """Draws every answer by layer for one locale, unsteered and steered.

        Args:
            locale: the locale that is drawn; ``None`` takes the first locale of the table.
            score: ``log_probability`` (nats), ``probability`` or ``first``.

        Raises:
            UnknownNameError: the table does not have the locale or the score.
        """
        from steerlens.plotting import lens_lines

        scores = ("log_probability", "probability", "first")
        if score not in scores:
            raise UnknownNameError("score", score, scores)
        return lens_lines(self.frame, self.having("locale", locale or self.frame["locale"].iloc[0]), score)


def logit_lens(
    model: LensModel,
    items: Items | Sequence[Item],
    plan: SteeringPlan | Mapping[str, SteeringPlan] | None = None,
    *,
    layers: Sequence[int] | int | None = None,
    batch_size: int | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> LogitLens:
    """Reads the probability of each answer's first token after each block, at the prompt's last token.

    The answers are the factual, the local and the English-centric answer. The residual after a block goes through the final norm
    and the unembedding as if no further block followed. Only the first token of an answer is read, so answers that begin with the
    same token cannot be distinguished. A cultural item counts only if its local answer and its English answer exist and begin
    with different tokens. At the last layer, the probabilities are the model's own output probabilities. Early layers are not
    trained to be unembedded. So compare different answers at one layer, and do not compare one answer across layers.

    Args:
        model: the model that is read.
        items: factual and cultural items; cultural items are asked implicitly.
        plan: one plan for all locales, or a plan by locale. With a plan, every number is given unsteered, steered, and as a
            paired change.
        layers: block indices; ``None`` means all blocks.
        batch_size: the number of prompts in one forward pass; ``None`` chooses the number for the device.
        draws: the number of resamples of concepts, for the intervals.
        seed: the seed of the resamples.

    Raises:
        PromptError: no item has answers that can be distinguished by their first tokens.
        UnknownNameError: there is no plan for a locale.
        FingerprintError: a plan belongs to another model.
        LayerError: the model does not have a layer.
        ModelError: the architecture computes its logits in a way that cannot be reproduced.
    """
    import pandas as pd

    model.check_unembedding()
    wanted, asked = model.layers(layers), [question for item in items if (question := _asked(model, item))]
    if not asked:
        raise PromptError(
            "no given item has answers that begin with different tokens: expected at least one such item. Give factual items "
            "or other cultural items."
        )
    frames = []
    for code in dict.fromkeys(question.item.locale for question in asked):
        own = [question for question in asked if question.item.locale == code]
        runs = {UNSTEERED: _read(model, own, wanted, None, batch_size)}
        if plan is not None:
            runs[STEERED] = _steered(model, own, wanted, _plan_of(plan, code), batch_size, runs[UNSTEERED])
        frames += [row for answer in ANSWERS for row in _rows(own, answer, wanted, runs, draws, seed)]
    return LogitLens(pd.DataFrame(frames, columns=list(LogitLens.columns)))


@dataclass(frozen=True)
class _Question:
    """An item, given as the tokens of its prompt and the first token of each choice."""

    item: Item
    row: Row
    tokens: tuple[int, ...]

    def index(self, answer: str) -> int | None:
        """Returns the index of the choice that is the given answer; ``None`` if items of this kind do not have this answer."""
        if (answer == "factual") != (self.item.kind == "factual"):
            return None
        return self.item.english_answer if answer == "English-centric" else self.item.answer


def _asked(model: LensModel, item: Item) -> _Question | None:
    """Returns the question; ``None`` if its answers do not begin with different tokens."""
    space = locale(item.locale).space
    ids, choices = model.tokenizer.split(item.prompt().text, [space + choice for choice in item.choices])
    question = _Question(item, model.row(ids), tuple(choice[0] for choice in choices))
    if item.kind == "factual":
        return question
    english = item.english_answer
    return question if english is not None and question.tokens[english] != question.tokens[item.answer] else None


def _plan_of(plan: SteeringPlan | Mapping[str, SteeringPlan], code: str) -> SteeringPlan:
    if isinstance(plan, SteeringPlan):
        return plan
    if code not in plan:
        raise UnknownNameError("locale", code, plan, "Give a plan for every locale of the items, or one plan for all.")
    return plan[code]


@torch.no_grad()
def _read(
    model: LensModel, asked: Sequence[_Question], layers: Sequence[int], plan: SteeringPlan | None, batch_size: int | None
) -> list[Float[Tensor, "layer choice"]]:
    """Returns the log probabilities of every choice's first token after each block."""
    steering: AbstractContextManager[Any] = nullcontext() if plan is None else plan.applied(model)
    found: list[Tensor] = [torch.empty(0)] * len(asked)
    with steering, progress(len(asked), "Logit lens", "prompt", show=len(asked) >= SHOW_FROM) as bar:
        for indices in model.batches([len(question.row) for question in asked], batch_size):
            own = [asked[i] for i in indices]
            batch = model.batch([question.row for question in own])
            values = iter(_unembedded(model, batch, layers, [question.tokens for question in own]))
            for i, question in zip(indices, own, strict=True):
                width = len(question.tokens)
                found[i] = torch.tensor([[next(values) for _ in range(width)] for _ in layers])
            bar.update(len(indices))
    return found


def _steered(
    model: LensModel,
    asked: Sequence[_Question],
    layers: Sequence[int],
    plan: SteeringPlan,
    batch_size: int | None,
    unsteered: list[Tensor],
) -> list[Float[Tensor, "layer choice"]]:
    """Returns the log probabilities of every choice's first token under a plan. Layers below the plan's first layer do not
    change, so they are not read again."""
    plan.check(model)
    above = [layer for layer in layers if layer >= min(plan.layers, default=model.n_layers)]
    if not above:
        return unsteered
    read, below = _read(model, asked, above, plan, batch_size), len(layers) - len(above)
    return [torch.cat([before[:below], after]) for before, after in zip(unsteered, read, strict=True)]


@torch.no_grad()
def _unembedded(model: LensModel, batch: TokenBatch, layers: Sequence[int], tokens: Sequence[tuple[int, ...]]) -> list[float]:
    """Returns the log probabilities in one list, ordered by prompt, layer and token."""
    lines = torch.arange(len(tokens), device=batch.tokens.device)
    last = torch.tensor([start + len(row) - 1 for start, row in zip(batch.starts, batch.rows, strict=True)]).to(lines)
    seen = model.backend.residuals_after(batch, layers, lambda own: own[lines.to(own.device), last.to(own.device)])
    places = torch.stack([seen[layer] for layer in layers], dim=1).flatten(0, 1)  # [prompt x layer, d_model]
    each = [(line * len(layers) + at, token) for line, own in enumerate(tokens) for at in range(len(layers)) for token in own]
    where, which = torch.tensor(each, device=places.device).unbind(1)
    final = model.backend.final_norm(places[None])[0]
    return model.backend.unembedding().log_probabilities(final, Targets(where, which)).tolist()


def _rows(
    asked: Sequence[_Question],
    answer: str,
    layers: Sequence[int],
    runs: dict[str, list[Tensor]],
    draws: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yields the rows of the table for one answer."""
    own = [(i, index) for i, question in enumerate(asked) if (index := question.index(answer)) is not None]
    if not own:
        return
    concepts = [group_of(asked[i].item.concept) for i, _ in own]
    weights = torch.from_numpy(cluster_counts(concepts, draws=draws, seed=seed)).float()
    means = weights / weights.sum(1, keepdim=True)
    logs = {name: torch.stack([values[i][:, index] for i, index in own]) for name, values in runs.items()}
    firsts = {name: torch.stack([_leads(values[i], index) for i, index in own]) for name, values in runs.items()}
    chances = {name: values.exp() for name, values in logs.items()}
    if STEERED in runs:
        for read in (logs, firsts, chances):
            read[CHANGE] = read[STEERED] - read[UNSTEERED]
    common = {"locale": asked[0].item.locale, "answer": answer, "n": len(set(concepts))}
    for steering, values in logs.items():
        low, high = percentile_interval((means @ values).numpy(), nan_policy="omit")
        scores = {"log_probability": values.mean(0), "probability": chances[steering].mean(0), "first": firsts[steering].mean(0)}
        for at, layer in enumerate(layers):
            numbers = {name: float(score[at]) for name, score in scores.items()}
            yield {**common, "layer": layer, "steering": steering, **numbers, "low": float(low[at]), "high": float(high[at])}


def _leads(values: Float[Tensor, "layer choice"], index: int) -> Float[Tensor, " layer"]:
    """Returns 1 for each layer at which no other choice has a more probable first token, and otherwise 0."""
    return (values[:, index] >= values.amax(dim=1)).float()
