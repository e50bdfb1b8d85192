"""An exam: items made batches once, so that many plans can be scored on them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.data import Item, Items
from steerlens.errors import PromptError
from steerlens.evaluation.questions import Question, Scoring, ask
from steerlens.models.batches import Row, TokenBatch
from steerlens.models.forward import (
    Recording,
    hooked,
    record,
    residual_gradients,
    residual_hook,
    resume,
    run_blocks,
)
from steerlens.models.lens import LensModel
from steerlens.models.unembedding import Targets, Unembedding
from steerlens.steering import SteeringPlan, Which
from steerlens.steering.edits import steered_tokens

_WORDS_KEPT = 24
"""Numbers that a backward pass keeps per token and block, in multiples of d_model: norms, projections, the MLP's inner layers."""
MEMORY = 2 << 30
"""Bytes that may be kept of one batch, if not told otherwise."""


@dataclass(frozen=True)
class Outcome:
    """How one item was answered."""

    item: Item
    scores: tuple[float, ...]
    """Of each choice: sum of its tokens' log probabilities over the divisor."""

    @property
    def picked(self) -> int:
        """Index of the best choice."""
        return int(np.argmax(self.scores))

    @property
    def hit(self) -> bool:
        """The right answer, or the locale's own, won."""
        return self.picked == self.item.answer

    @property
    def english_centric(self) -> bool:
        """The English locale's answer of a cultural item won, and is not the locale's own."""
        return self.picked == self.item.english_answer != self.item.answer

    @property
    def margin(self) -> float:
        """Score of the answer minus that of the best other choice."""
        return self.scores[self.item.answer] - self.scores[self.runner_up]

    @property
    def runner_up(self) -> int:
        """Index of the best choice that is not the answer."""
        return max((index for index in range(len(self.scores)) if index != self.item.answer), key=self.scores.__getitem__)

    def row(self) -> dict[str, Any]:
        """One line of a result table."""
        item = self.item
        return {
            "locale": item.locale,
            "kind": item.kind,
            "concept": item.concept,
            "hit": self.hit,
            "english_centric": self.english_centric,
            "margin": self.margin,
        }


class Exam:
    """Items of one or more locales, ready to be scored under any plan."""

    def __init__(
        self,
        model: LensModel,
        items: Items | Sequence[Item],
        scoring: Scoring | None = None,
        *,
        batch_size: int | None = None,
        memory: int = MEMORY,
    ) -> None:
        """Makes the items batches.

        Args:
            scoring: how choices are put and compared; the defaults for ``None``.
            batch_size: items at once; chosen for the device for ``None``.
            memory: bytes that a sweep may keep of a batch's residuals, and a backward pass of its blocks. Layers that do not fit
                are recorded in further passes.

        Raises:
            PromptError: no items, or one that cannot be asked.
            ModelError: the architecture computes its logits in a way that cannot be reproduced token by token.
        """
        if not items:
            raise PromptError("no items given: expected at least one to score.")
        self.model, self.memory = model, memory
        self.questions = [ask(model, item, scoring or Scoring()) for item in items]
        rows = [(number, part) for number, question in enumerate(self.questions) for part in _rows(question.row, model)]
        self._parts: list[list[tuple[int, Row]]] = [
            [rows[i] for i in indices] for indices in model.batches([len(row) for _, row in rows], batch_size)
        ]
        model.check_unembedding()

    def __len__(self) -> int:
        return len(self.questions)

    @torch.no_grad()
    def score(self, plan: SteeringPlan | None = None) -> list[Outcome]:
        """Every item's choices scored in full passes, steered by a plan if one is given.

        Raises:
            FingerprintError: the plan belongs to another model.
        """
        if plan is not None:
            plan.check(self.model)
        sums = _Sums(self.questions)
        for part, batch in self._batches():
            with hooked(self.model.tl, plan.hooks() if plan else []):
                final = run_blocks(self.model.tl, batch)
            sums.add(part, self._choices(batch, final))
        return sums.outcomes()

    @cached_property
    def _unembedding(self) -> Unembedding:
        return Unembedding.of(self.model.tl)

    @cached_property
    def base(self) -> list[Outcome]:
        """Every item's outcome unsteered, scored once."""
        return self.score()

    @torch.no_grad()
    def sweep(self, plans: Sequence[SteeringPlan]) -> Iterator[tuple[int, list[Outcome] | None]]:
        """Every item scored under every plan; blocks below a plan's first layer run once for all plans.

        Yields:
            The plan's index and ``None`` after each batch of it, for progress; and with its outcomes after the last.
        """
        for plan in plans:
            plan.check(self.model)
        sums = [_Sums(self.questions) for _ in plans]
        for number, (part, batch) in enumerate(self._batches(), 1):
            for recording, some in self._recordings(batch, plans):
                for index in some:
                    sums[index].add(part, self._choices(batch, self._resumed(recording, plans[index])))
                    yield index, sums[index].outcomes() if number == len(self._parts) else None

    def _recordings(self, batch: TokenBatch, plans: Sequence[SteeringPlan]) -> Iterator[tuple[Recording, list[int]]]:
        """Recorded passes of a batch, each with as many layers as fit the memory, and the plans that begin at one of them."""
        layers = sorted({_first(plan) for plan in plans})
        layer_bytes = batch.tokens.numel() * self.model.d_model * self.model.dtype.itemsize
        fit = max(1, self.memory // layer_bytes)
        for at in range(0, len(layers), fit):
            some = layers[at : at + fit]
            yield (
                record(self.model.tl, batch, [layer for layer in some if layer >= 0]),
                [index for index, plan in enumerate(plans) if _first(plan) in some],
            )

    def gradients(self, layers: Sequence[int], tokens: Which) -> Float[Tensor, "layer item d_model"]:
        """Derivative of each item's margin with respect to a vector added after each layer at the steered tokens.

        The margin is the answer's score less that of the choice that is the best other unsteered.

        Args:
            layers: block indices, ascending.
            tokens: which tokens would be steered.
        """
        out = torch.zeros(len(layers), len(self), self.model.d_model)
        for part, batch in self._small_batches():
            asked = _Asked.of(batch)
            weights = torch.tensor(self._weights(part), device=batch.tokens.device).repeat_interleave(
                torch.tensor(asked.lengths, device=batch.tokens.device)
            )
            found = residual_gradients(self.model.tl, batch, layers, partial(self._final_gradient, asked, weights))
            steered = steered_tokens(batch.roles, tokens).float()
            numbers = [number for number, _ in part]
            for at, layer in enumerate(layers):
                out[at].index_add_(0, torch.tensor(numbers), einsum(found[layer].float(), steered, "b pos d, b pos -> b d").cpu())
        return out

    def _small_batches(self) -> Iterator[tuple[list[tuple[int, Row]], TokenBatch]]:
        """The batches, cut so that what a backward pass needs of every block fits the memory."""
        token_bytes = _WORDS_KEPT * self.model.n_layers * self.model.d_model * self.model.dtype.itemsize
        for part in self._parts:
            rows = max(1, self.memory // (token_bytes * max(len(row) for _, row in part)))
            for at in range(0, len(part), rows):
                yield part[at : at + rows], self.model.batch([row for _, row in part[at : at + rows]])

    def _weights(self, part: Sequence[tuple[int, Row]]) -> list[float]:
        """What each choice of each row counts in its item's margin."""
        weights: list[float] = []
        for number, row in part:
            question, outcome = self.questions[number], self.base[number]
            of = {question.row.choices[outcome.item.answer]: 1.0 / question.divisors[outcome.item.answer]}
            of[question.row.choices[outcome.runner_up]] = -1.0 / question.divisors[outcome.runner_up]
            weights.extend(of.get(choice, 0.0) for choice in row.choices)
        return weights

    def _final_gradient(self, asked: "_Asked", weights: Tensor, final: Tensor) -> Tensor:
        places = self._unembedding.gradient(final[asked.lines, asked.positions], asked.targets, weights.to(final.device))
        gradient = torch.zeros_like(final)
        gradient[asked.lines, asked.positions] = places
        return gradient

    @property
    def n_batches(self) -> int:
        """Batches that the items fill."""
        return len(self._parts)

    def _batches(self) -> Iterator[tuple[list[tuple[int, Row]], TokenBatch]]:
        for part in self._parts:
            yield part, self.model.batch([row for _, row in part])

    def _resumed(self, recording: Recording, plan: SteeringPlan) -> Tensor:
        if not plan.layers:
            return recording.final
        first, *above = plan.layers
        residual = plan.edit(first, recording.residuals[first], recording.batch.roles)
        hooks = [hook for hook in plan.hooks() if hook[0] in {residual_hook(layer) for layer in above}]
        with hooked(self.model.tl, hooks):
            return resume(self.model.tl, recording, first, residual)

    def _choices(self, batch: TokenBatch, final: Float[Tensor, "batch pos d_model"]) -> list[list[float]]:
        """Sum of log probabilities of each row's choices."""
        asked = _Asked.of(batch)
        values = iter(
            Unembedding.of(self.model.tl).log_probabilities(final[asked.lines, asked.positions], asked.targets).tolist()
        )
        sums = iter([sum(next(values) for _ in range(length)) for length in asked.lengths])
        return [[next(sums) for _ in row.choices] for row in batch.rows]


@dataclass(frozen=True, eq=False)
class _Asked:
    """The places of a batch that predict its choices. A place stands once, however many choices go on from it."""

    lines: Int[Tensor, " place"]
    positions: Int[Tensor, " place"]
    targets: Targets
    lengths: tuple[int, ...]
    """Tokens of each choice of each row, in order."""

    @classmethod
    def of(cls, batch: TokenBatch) -> "_Asked":
        """The places of a batch's choices, each once."""
        places: dict[tuple[int, int], int] = {}
        asked = [
            [(places.setdefault((line, start + at), len(places)), token) for at, token in choice]
            for line, (row, start) in enumerate(zip(batch.rows, batch.starts, strict=True))
            for choice in _predictions(row)
        ]
        device = batch.tokens.device
        lines, positions = torch.tensor(list(places), device=device).unbind(1)
        index, tokens = torch.tensor([pair for choice in asked for pair in choice], device=device).unbind(1)
        return cls(lines, positions, Targets(index, tokens), tuple(map(len, asked)))


class _Sums:
    """Gathers what the batches give, in whatever order, into outcomes in the order of the items."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = questions
        self.sums: list[list[float]] = [[] for _ in questions]

    def add(self, part: Iterable[tuple[int, Row]], choices: Iterable[list[float]]) -> None:
        """Take the choices' summed log probabilities of one batch's rows."""
        for (number, _), values in zip(part, choices, strict=True):
            self.sums[number].extend(values)

    def outcomes(self) -> list[Outcome]:
        """One a question, in the questions' order."""
        return [
            Outcome(q.item, tuple(total / by for total, by in zip(sums, q.divisors, strict=True)))
            for q, sums in zip(self.questions, self.sums, strict=True)
        ]


def _first(plan: SteeringPlan) -> int:
    """The lowest layer that a plan edits; -1 if it edits none."""
    return plan.layers[0] if plan.layers else -1


def _predictions(row: Row) -> Iterator[list[tuple[int, int]]]:
    """For each choice, where each of its tokens is predicted, and the token.

    The first is predicted at the prompt's last token, and what two choices begin with alike at the first of them.
    """
    offset, last = len(row.prompt), len(row.prompt) - 1
    known: dict[tuple[int, ...], int] = {(): last}
    for choice in row.choices:
        places = [known.setdefault(choice[:n], offset + n - 1) for n in range(len(choice))]
        yield list(zip(places, choice, strict=True))
        offset += len(choice)


def _rows(row: Row, model: LensModel) -> list[Row]:
    """One packed row, or a row per choice where the model's attention window is too short to see a packed one whole."""
    if model.attention_window is None or len(row) <= model.attention_window:
        return [row]
    return [Row(row.prompt, (choice,), row.has_bos) for choice in row.choices]
