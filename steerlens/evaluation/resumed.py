"""Passes over an exam's batches that go on from recorded ones: blocks below a plan's first layer run once for all plans, the
tokens before a prompt's last one once where no plan steers them, and a prefix that all rows share once for all batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.evaluation.kept import Kept
from steerlens.models.batches import TokenBatch
from steerlens.models.forward import hooked, residual_hook, run_blocks
from steerlens.models.lens import LensModel
from steerlens.models.recording import KeyValues, Recording, attending, record, resume
from steerlens.steering import SteeringPlan


@dataclass(frozen=True, eq=False)
class Resumed:
    """Recorded passes of a model's batches, and passes that go on from them under plans."""

    model: LensModel
    prefix: tuple[int, ...]
    """Tokens that all rows begin with and that run apart; the rows of batches are without them."""
    memory: int
    """Bytes that may be kept of a batch."""
    kept: Kept

    def recordings(
        self, batch: TokenBatch, plans: Sequence[SteeringPlan], own: list[int], onward: bool
    ) -> Iterator[tuple[Recording, list[int]]]:
        """Recorded passes of a batch, each with as many layers as fit the memory, and the plans that begin at one of them."""
        start = batch.last if onward else 0
        word = self._word(len(batch.rows))
        keys = 2 * start * word * self.model.n_layers
        fit = max(1, (self.memory - keys) // (word * (batch.tokens.shape[1] - start)))
        layers, before = sorted({first_layer(plans[index]) for index in own}), self.before
        for at in range(0, len(layers), fit):
            some = layers[at : at + fit]
            yield (
                record(self.model.tl, batch, [layer for layer in some if layer >= 0], start, before),
                [index for index in own if first_layer(plans[index]) in some],
            )

    def stacks(self, recording: Recording, plans: Sequence[SteeringPlan], some: Sequence[int]) -> Iterator[list[int]]:
        """Plans that begin at one layer, as many at once as keep the device busy."""
        rows, columns, _ = recording.final.shape
        seen = 4 * self._word(rows) * (recording.batch.tokens.shape[1] + len(self.prefix))  # keys and values of a block, twice
        size = max(1, min(self.model.token_budget // (rows * columns), self.memory // seen))

        def first(index: int) -> int:
            return first_layer(plans[index])

        for _, group in groupby(sorted(some, key=first), key=first):
            together = list(group)
            for at in range(0, len(together), size):
                yield together[at : at + size]

    def _word(self, rows: int) -> int:
        """Bytes of a residual of each row at one token."""
        return rows * self.model.d_model * self.model.dtype.itemsize

    @torch.no_grad()
    def steered(self, recording: Recording, plans: Sequence[SteeringPlan]) -> Float[Tensor, "line pos d_model"]:
        """Final residuals of the batch under each plan, one after another."""
        first, before = first_layer(plans[0]), None
        if first < 0:
            return recording.final.repeat(len(plans), 1, 1)
        if self.prefix and recording.start == 0:
            before = self._steered_prefix(plans)
        residual, hooks = _edited(plans, recording.residuals[first], recording.batch.roles[:, recording.start :])
        with hooked(self.model.tl, hooks):
            return resume(self.model.tl, recording, first, residual, before, a_copy_each=before is not None)[0]

    @property
    def before(self) -> KeyValues:
        """The same, run once for the hooks and weights that the model has now."""
        kept: KeyValues = self.kept("prefix", self.run_prefix)
        return kept

    def _prefix_batch(self) -> TokenBatch:
        return self.model.batch([replace(self.model.row(self.prefix), ends=False)])

    @torch.inference_mode(False)
    @torch.no_grad()
    def run_prefix(self) -> KeyValues:
        """Keys and values of the prefix under the hooks that are on the model."""
        with attending(self.model.tl, None, len(self.prefix)) as kept:
            if self.prefix:
                run_blocks(self.model.tl, self._prefix_batch())
        return kept

    @property
    def _prefix_recording(self) -> Recording:
        kept: Recording = self.kept("prefix recording", lambda: record(self.model.tl, self._prefix_batch(), self.model.layers()))
        return kept

    def _steered_prefix(self, plans: Sequence[SteeringPlan]) -> KeyValues:
        """Keys and values of the prefix, a row for each plan."""
        recording, first = self._prefix_recording, first_layer(plans[0])
        residual, hooks = _edited(plans, recording.residuals[first], recording.batch.roles)
        with hooked(self.model.tl, hooks):
            _, kept = resume(self.model.tl, recording, first, residual, keep=len(self.prefix))
        return kept


def _edited(plans: Sequence[SteeringPlan], residual: Tensor, roles: Tensor) -> tuple[Tensor, list]:
    """The residual after the plans' first layer as each leaves it, one after another, and hooks for the layers above."""

    def edit(stacked: Tensor, hook: object, layer: int) -> Tensor:  # noqa: ARG001 (TransformerLens passes the hook point)
        return torch.cat([plan.edit(layer, part, roles) for plan, part in zip(plans, stacked.chunk(len(plans)), strict=True)])

    first, *above = sorted({layer for plan in plans for layer in plan.layers})
    edited = torch.cat([plan.edit(first, residual, roles) for plan in plans])
    return edited, [(residual_hook(layer), partial(edit, layer=layer)) for layer in above]


def sides_of(plans: Sequence[SteeringPlan]) -> tuple[bool, bool, bool]:
    """What makes another computation of a sweep: plans that begin at several layers, several at one layer, plans of several."""
    firsts = [first_layer(plan) for plan in plans]
    return len(set(firsts)) > 1, len(set(firsts)) < len(firsts), any(len(plan.layers) > 1 for plan in plans)


def first_layer(plan: SteeringPlan) -> int:
    """The lowest layer that a plan edits; -1 if it edits none."""
    return plan.layers[0] if plan.layers else -1
