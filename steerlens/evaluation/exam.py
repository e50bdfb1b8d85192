"""An exam: items made batches once, so that many plans can be scored on them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.data import Item, Items
from steerlens.errors import PromptError
from steerlens.evaluation.questions import Question, Scoring, ask
from steerlens.models.batches import Row, TokenBatch
from steerlens.models.forward import Recording, hooked, log_probabilities, record, residual_hook, resume, run_blocks
from steerlens.models.lens import LensModel
from steerlens.steering import SteeringPlan

_PLACES = 128
"""Tokens whose logits are held at once: 128 × 262,144 float32 logits are 134 MB."""


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
        others = [score for index, score in enumerate(self.scores) if index != self.item.answer]
        return self.scores[self.item.answer] - max(others)

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
        self, model: LensModel, items: Items | Sequence[Item], scoring: Scoring | None = None, *, batch_size: int | None = None
    ) -> None:
        if not items:
            raise PromptError("no items given: expected at least one to score.")
        self.model = model
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

    @torch.no_grad()
    def sweep(self, plans: Sequence[SteeringPlan]) -> Iterator[tuple[int, list[Outcome] | None]]:
        """Every item scored under every plan; blocks below a plan's first layer run once for all plans.

        Yields:
            The plan's index and ``None`` after each batch of it, for progress; and with its outcomes after the last.
        """
        for plan in plans:
            plan.check(self.model)
        layers = sorted({plan.layers[0] for plan in plans})
        sums = [_Sums(self.questions) for _ in plans]
        for number, (part, batch) in enumerate(self._batches(), 1):
            recording = record(self.model.tl, batch, layers)
            for index, plan in enumerate(plans):
                sums[index].add(part, self._choices(batch, self._resumed(recording, plan)))
                yield index, sums[index].outcomes() if number == len(self._parts) else None

    @property
    def n_batches(self) -> int:
        """Batches that the items fill."""
        return len(self._parts)

    def _batches(self) -> Iterator[tuple[list[tuple[int, Row]], TokenBatch]]:
        for part in self._parts:
            yield part, self.model.batch([row for _, row in part])

    def _resumed(self, recording: Recording, plan: SteeringPlan) -> Tensor:
        first, *above = plan.layers
        residual = plan.edit(first, recording.residuals[first], recording.batch.roles)
        hooks = [hook for hook in plan.hooks() if hook[0] in {residual_hook(layer) for layer in above}]
        with hooked(self.model.tl, hooks):
            return resume(self.model.tl, recording, first, residual)

    def _choices(self, batch: TokenBatch, final: Float[Tensor, "batch pos d_model"]) -> list[list[float]]:
        """Sum of log probabilities of each row's choices, from one unembedding of the places that predict them."""
        places, targets = [], []
        for line, (row, start) in enumerate(zip(batch.rows, batch.starts, strict=True)):
            for at, token in _predictions(row):
                places.append((line, start + at))
                targets.append(token)
        lines, positions = torch.tensor(places, device=final.device).unbind(1)
        wanted = torch.tensor(targets, device=final.device)
        values = iter(log_probabilities(self.model.tl, final[lines, positions], wanted, _PLACES).tolist())
        return [[sum(next(values) for _ in choice) for choice in row.choices] for row in batch.rows]


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


def _predictions(row: Row) -> Iterator[tuple[int, int]]:
    """Where each token of each choice is predicted, and the token: the first of a choice at the prompt's last token."""
    offset = len(row.prompt)
    for choice in row.choices:
        for number, token in enumerate(choice):
            yield (len(row.prompt) if number == 0 else offset + number) - 1, token
        offset += len(choice)


def _rows(row: Row, model: LensModel) -> list[Row]:
    """One packed row, or a row per choice where the model's attention window is too short to see a packed one whole."""
    if model.attention_window is None or len(row) <= model.attention_window:
        return [row]
    return [Row(row.prompt, (choice,), row.has_bos) for choice in row.choices]
