"""An exam: items made batches once, so that many plans can be scored on them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import groupby

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from steerlens.data import Item, Items
from steerlens.errors import PromptError
from steerlens.evaluation.answers import Asked, Sums
from steerlens.evaluation.lines import Line, lines_of, shared_prefix
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.questions import Scoring, ask
from steerlens.models.batches import TokenBatch
from steerlens.models.forward import hooked, residual_hook, run_blocks
from steerlens.models.gradients import residual_gradients
from steerlens.models.lens import LensModel
from steerlens.models.recording import KeyValues, Recording, attending, record, resume
from steerlens.models.unembedding import Unembedding
from steerlens.steering import SteeringPlan, Which
from steerlens.steering.edits import leaves_prompt, steered_tokens

_WORDS_KEPT = 24
"""Numbers that a backward pass keeps per token and block, in multiples of d_model: norms, projections, the MLP's inner layers."""
MEMORY = 2 << 30
"""Bytes that may be kept of one batch, if not told otherwise."""

Part = list[Line]
"""The rows of a batch."""


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
        model.check_unembedding()
        self.model, self.memory = model, memory
        self.questions = [ask(model, item, scoring or Scoring()) for item in items]
        lines = [line for number, question in enumerate(self.questions) for line in lines_of(number, question.row, model)]
        rows = [line.row for line in lines]
        self._prefix = shared_prefix(rows, model)
        self._parts: list[Part] = [
            [lines[i] for i in indices]
            for indices in model.batches_of_rows([row.after(len(self._prefix)) for row in rows], batch_size)
        ]
        self._base: list[Outcome] | None = None

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def n_batches(self) -> int:
        """Batches that the items fill."""
        return len(self._parts)

    @property
    def base(self) -> list[Outcome]:
        """Every item's outcome unsteered, scored once."""
        if self._base is None:
            self._base = self.score()
        return self._base

    @torch.no_grad()
    def score(self, plan: SteeringPlan | None = None) -> list[Outcome]:
        """Every item's choices scored in full passes, steered by a plan if one is given. A prefix that all items share runs once.

        Raises:
            FingerprintError: the plan belongs to another model.
        """
        if plan is not None:
            plan.check(self.model)
        sums, tl = Sums(self.questions), self.model.tl
        with hooked(tl, plan.hooks(self.model) if plan else []):
            before = self._run_prefix() if plan else self._before
            for part, batch in self._batches():
                with attending(tl, before, 0):
                    final = run_blocks(tl, batch)
                sums.add(part, Asked.of(batch).sums(self._unembedding, final)[0])
        return sums.outcomes()

    def sweep(self, plans: Sequence[SteeringPlan]) -> Iterator[tuple[int, list[Outcome] | None]]:
        """Every item scored under every plan. Blocks below a plan's first layer run once for all plans, and so do the tokens
        before a prompt's last one where no plan steers them.

        Yields:
            The plan's index and ``None`` after each batch of it, for progress; and with its outcomes after the last.
        """
        for plan in plans:
            plan.check(self.model)
        sums, base = [Sums(self.questions) for _ in plans], Sums(self.questions)
        for number, (part, batch) in enumerate(self._batches(), 1):
            asked, is_last, is_first = Asked.of(batch), number == len(self._parts), True
            for recording, some in self._recordings(batch, plans):
                if is_first and self._base is None:
                    base.add(part, asked.sums(self._unembedding, recording.final, recording.start)[0])
                    self._base = base.outcomes() if is_last else None
                is_first = False
                for stack in self._stacks(recording, plans, some):
                    final = self._steered(recording, [plans[index] for index in stack])
                    answers = asked.sums(self._unembedding, final, recording.start, len(stack))
                    for index, choices in zip(stack, answers, strict=True):
                        sums[index].add(part, choices)
                        yield index, sums[index].outcomes() if is_last else None

    def gradients(self, layers: Sequence[int], tokens: Which) -> Float[Tensor, "layer item d_model"]:
        """Derivative of each item's margin with respect to a vector added after each layer at the steered tokens.

        The margin is the answer's score less that of the choice that is the best other unsteered.

        Args:
            layers: block indices; the derivatives stand in ascending order.
            tokens: which tokens would be steered.

        Raises:
            LayerError: a layer that the model does not have.
        """
        layers = self.model.layers(layers)
        out = torch.zeros(len(layers), len(self), self.model.d_model)
        onward = leaves_prompt(tokens) and self.model.reuses_keys
        before = self._before if onward else {}
        base = self._base_as_it_comes()
        for part, batch in self._small_batches(shared=onward):
            start, asked = batch.last if onward else 0, Asked.of(batch)
            recording = record(self.model.tl, batch, layers[:1], start, before)
            weigh = partial(self._weights, part, base)
            final_gradient = partial(asked.gradient, self._unembedding, start, weigh)
            found = residual_gradients(self.model.tl, recording, layers, final_gradient)
            steered = steered_tokens(batch.roles[:, start:], tokens).float()
            numbers = torch.tensor([line.question for line in part])
            for at, layer in enumerate(layers):
                out[at].index_add_(0, numbers, einsum(found[layer].float(), steered, "b pos d, b pos -> b d").cpu())
        self._base = self._base or (base.outcomes() if base else None)
        return out

    @cached_property
    def _unembedding(self) -> Unembedding:
        return Unembedding.of(self.model.tl)

    # Batches

    def _batches(self) -> Iterator[tuple[Part, TokenBatch]]:
        for part in self._parts:
            yield part, self._batch(part)

    def _batch(self, part: Part, *, shared: bool = True) -> TokenBatch:
        cut = len(self._prefix) if shared else 0
        return self.model.batch([line.row.after(cut) for line in part], "aligned")

    def _small_batches(self, *, shared: bool) -> Iterator[tuple[Part, TokenBatch]]:
        """The batches, cut so that what a backward pass needs of every block fits the memory."""
        token_bytes = _WORDS_KEPT * self.model.n_layers * self.model.d_model * self.model.dtype.itemsize
        for part in self._parts:
            longest = max(line.row.onward if shared else len(line.row) for line in part)
            rows = max(1, self.memory // (token_bytes * longest))
            for at in range(0, len(part), rows):
                yield part[at : at + rows], self._batch(part[at : at + rows], shared=shared)

    def _base_as_it_comes(self) -> Sums | None:
        """Gathers the unsteered outcomes from passes that are run anyway, if they are still wanted and each item is one row."""
        if self._base is None and sum(map(len, self._parts)) == len(self):
            return Sums(self.questions)
        _ = self.base  # scored now, not in the middle of another pass, whose hooks would see it
        return None

    def _weights(self, part: Part, base: Sums | None, choices: list[list[float]]) -> Float[Tensor, " choice"]:
        """What each choice of each row counts in its item's margin, given the choices' sums of log probabilities unsteered."""
        if base is not None:
            base.add(part, choices)
        weights: list[float] = []
        for line in part:
            question = self.questions[line.question]
            outcome = base.outcome(line.question) if base else self.base[line.question]
            of = {outcome.item.answer: 1.0, outcome.runner_up: -1.0}
            held = range(line.first, line.first + len(line.row.choices))
            weights.extend(of.get(choice, 0.0) / question.divisors[choice] for choice in held)
        return torch.tensor(weights)

    # The prefix that all rows share

    @cached_property
    def _before(self) -> KeyValues:
        """The prefix's keys and values, unsteered."""
        return self._run_prefix()

    def _prefix_batch(self) -> TokenBatch:
        return self.model.batch([replace(self.model.row(self._prefix), ends=False)])

    @torch.no_grad()
    def _run_prefix(self) -> KeyValues:
        with attending(self.model.tl, None, len(self._prefix)) as kept:
            if self._prefix:
                run_blocks(self.model.tl, self._prefix_batch())
        return kept

    @cached_property
    def _prefix_recording(self) -> Recording:
        return record(self.model.tl, self._prefix_batch(), self.model.layers())

    def _steered_prefix(self, plans: Sequence[SteeringPlan]) -> KeyValues:
        """Keys and values of the prefix, a row for each plan."""
        recording, first = self._prefix_recording, _first(plans[0])
        residual, hooks = _edited(plans, recording.residuals[first], recording.batch.roles)
        with hooked(self.model.tl, hooks):
            _, kept = resume(self.model.tl, recording, first, residual, keep=len(self._prefix))
        return kept

    # Passes that go on from a recorded one

    def _recordings(self, batch: TokenBatch, plans: Sequence[SteeringPlan]) -> Iterator[tuple[Recording, list[int]]]:
        """Recorded passes of a batch, each with as many layers as fit the memory, and the plans that begin at one of them."""
        for onward in (True, False):
            own = [i for i, plan in enumerate(plans) if (plan.leaves_prompt and self.model.reuses_keys) == onward]
            start = batch.last if onward else 0
            word = self._word(len(batch.rows))
            keys = 2 * start * word * self.model.n_layers
            fit = max(1, (self.memory - keys) // (word * (batch.tokens.shape[1] - start)))
            layers = sorted({_first(plans[index]) for index in own})
            for at in range(0, len(layers), fit):
                some = layers[at : at + fit]
                yield (
                    record(self.model.tl, batch, [layer for layer in some if layer >= 0], start, self._before),
                    [index for index in own if _first(plans[index]) in some],
                )

    def _stacks(self, recording: Recording, plans: Sequence[SteeringPlan], some: Sequence[int]) -> Iterator[list[int]]:
        """Plans that begin at one layer, as many at once as keep the device busy."""
        rows, columns, _ = recording.final.shape
        seen = 4 * self._word(rows) * (recording.batch.tokens.shape[1] + len(self._prefix))  # keys and values of a block, twice
        size = max(1, min(self.model.token_budget // (rows * columns), self.memory // seen))

        def first(index: int) -> int:
            return _first(plans[index])

        for _, group in groupby(sorted(some, key=first), key=first):
            together = list(group)
            for at in range(0, len(together), size):
                yield together[at : at + size]

    def _word(self, rows: int) -> int:
        """Bytes of a residual of each row at one token."""
        return rows * self.model.d_model * self.model.dtype.itemsize

    @torch.no_grad()
    def _steered(self, recording: Recording, plans: Sequence[SteeringPlan]) -> Float[Tensor, "line pos d_model"]:
        """Final residuals of the batch under each plan, one after another."""
        first, before = _first(plans[0]), None
        if first < 0:
            return recording.final.repeat(len(plans), 1, 1)
        if self._prefix and recording.start == 0:
            before = self._steered_prefix(plans)
        residual, hooks = _edited(plans, recording.residuals[first], recording.batch.roles[:, recording.start :])
        with hooked(self.model.tl, hooks):
            return resume(self.model.tl, recording, first, residual, before, a_copy_each=before is not None)[0]


def _edited(plans: Sequence[SteeringPlan], residual: Tensor, roles: Tensor) -> tuple[Tensor, list]:
    """The residual after the plans' first layer as each leaves it, one after another, and hooks for the layers above."""

    def edit(stacked: Tensor, hook: object, layer: int) -> Tensor:  # noqa: ARG001 (TransformerLens passes the hook point)
        return torch.cat([plan.edit(layer, part, roles) for plan, part in zip(plans, stacked.chunk(len(plans)), strict=True)])

    first, *above = sorted({layer for plan in plans for layer in plan.layers})
    edited = torch.cat([plan.edit(first, residual, roles) for plan in plans])
    return edited, [(residual_hook(layer), partial(edit, layer=layer)) for layer in above]


def _first(plan: SteeringPlan) -> int:
    """The lowest layer that a plan edits; -1 if it edits none."""
    return plan.layers[0] if plan.layers else -1
