"""Runs forward passes that continue from cached passes, so that shared computations run only once. The blocks below a steering
plan's first layer run once for all plans. If no plan steers the tokens before a prompt's last token, these tokens run once for
all plans. A prefix that all rows share runs once for all batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.models.backends import CachedPass, KeyValues
from steerlens.models.batches import TokenBatch
from steerlens.models.computed import Computed
from steerlens.models.hooks import Hook, residual_hook
from steerlens.models.lens import LensModel
from steerlens.models.plans import Plan


@dataclass(frozen=True, eq=False)
class ResumedPasses:
    """Computes cached forward passes of batches, and steered passes that continue from the cached passes."""

    model: LensModel
    prefix: tuple[int, ...]
    """The tokens at the beginning of all rows. This shared prefix runs separately, so the rows of a batch do not contain it."""
    memory: int
    """The largest number of bytes of cached values for one batch."""
    kept: Computed

    def cached_passes(
        self, batch: TokenBatch, plans: Sequence[Plan], own: list[int], onward: bool
    ) -> Iterator[tuple[CachedPass, list[int]]]:
        """Yields cached passes of a batch. Each pass contains the residuals of as many layers as fit into the memory. Each pass
        is yielded with the indices of the plans whose first layer is in the pass."""
        start = batch.last if onward else 0
        word = self._word(len(batch.rows))
        keys = 2 * start * word * self.model.n_layers
        fit = max(1, (self.memory - keys) // (word * (batch.tokens.shape[1] - start)))
        layers, before = sorted({first_layer(plans[index]) for index in own}), self.before
        for at in range(0, len(layers), fit):
            some = layers[at : at + fit]
            yield (
                self.model.backend.cached_pass(batch, [layer for layer in some if layer >= 0], start, before),
                [index for index in own if first_layer(plans[index]) in some],
            )

    def stacks(self, cached: CachedPass, plans: Sequence[Plan], some: Sequence[int]) -> Iterator[list[int]]:
        """Yields groups of plan indices, ordered by the plans' first layers. A group is as large as the token budget and the
        memory allow."""
        rows, columns, _ = cached.final.shape
        seen = 4 * self._word(rows) * (cached.batch.tokens.shape[1] + len(self.prefix))  # keys and values of a block, twice
        size = max(1, min(self.model.token_budget // (rows * columns), self.memory // seen))
        ordered = sorted(some, key=lambda index: first_layer(plans[index]))
        yield from (ordered[at : at + size] for at in range(0, len(ordered), size))

    def _word(self, rows: int) -> int:
        """Returns the number of bytes that the residuals of all rows take at one layer and one token position."""
        return rows * self.model.d_model * self.model.dtype.itemsize

    @torch.no_grad()
    def steered(self, cached: CachedPass, plans: Sequence[Plan]) -> Float[Tensor, "row pos d_model"]:
        """Returns the final residuals of the batch under each plan, one plan after another. Plans with a lower first layer come
        first.

        The plans run through the blocks together. The rows of each plan join at the plan's first layer.
        """
        edited = [plan for plan in plans if plan.layers]
        unsteered = cached.final.repeat(len(plans) - len(edited), 1, 1)
        if not edited:
            return unsteered
        before = self._steered_prefix(edited) if self.prefix and cached.start == 0 else None
        entering, hooks = _entering(edited, cached)
        with self.model.backend.hooked(hooks):
            final, _ = self.model.backend.resume(cached, entering, before, a_copy_each=before is not None)
        return torch.cat([unsteered, final])

    @property
    def before(self) -> KeyValues:
        """Keys and values of the prefix, computed once for the model's current hooks and weights."""
        kept: KeyValues = self.kept("prefix", self.run_prefix)
        return kept

    def _prefix_batch(self) -> TokenBatch:
        return self.model.batch([replace(self.model.row(self.prefix), ends=False)])

    @torch.inference_mode(False)
    @torch.no_grad()
    def run_prefix(self) -> KeyValues:
        """Computes keys and values of the prefix with the model's current hooks."""
        if not self.prefix:
            return {}
        with self.model.backend.attending(None, len(self.prefix)) as kept:
            self.model.backend.final(self._prefix_batch())
        return kept

    @property
    def _prefix_pass(self) -> CachedPass:
        kept: CachedPass = self.kept("prefix pass", self._run_prefix_whole)
        return kept

    def _run_prefix_whole(self) -> CachedPass:
        return self.model.backend.cached_pass(self._prefix_batch(), self.model.layers())

    def _steered_prefix(self, plans: Sequence[Plan]) -> KeyValues:
        """Returns the keys and values of the prefix under the plans. At each block, the keys and values have one row for each
        plan whose first layer is below the block."""
        cached = self._prefix_pass
        entering, hooks = _entering(plans, cached)
        with self.model.backend.hooked(hooks):
            _, kept = self.model.backend.resume(cached, entering, keep=len(self.prefix))
        return kept


def _entering(plans: Sequence[Plan], cached: CachedPass) -> tuple[dict[int, Tensor], list[Hook]]:
    """Returns the residuals after each plan's first layer, changed by that plan, and hooks for the plans' other layers.

    Args:
        plans: the plans in the order of their first layers, lowest first.
        cached: a pass with the residuals after the first layers of the plans.
    """
    roles = cached.batch.roles[:, cached.start :]

    def edit(stacked: Tensor, hook: object, layer: int) -> Tensor:  # noqa: ARG001 (TransformerLens passes the hook point)
        parts, own = torch.split(stacked, len(roles)), roles.to(stacked.device)  # the rows of the plans that begin below
        return torch.cat([plan.edit(layer, part, own) for plan, part in zip(plans, parts, strict=False)])

    entering = {}
    for layer, together in groupby(plans, key=first_layer):
        residual = cached.residuals[layer]
        own = roles.to(residual.device)
        entering[layer] = torch.cat([plan.edit(layer, residual, own) for plan in together])
    above = sorted({layer for plan in plans for layer in plan.layers[1:]})
    return entering, [(residual_hook(layer), partial(edit, layer=layer)) for layer in above]


def sides_of(plans: Sequence[Plan]) -> tuple[bool, bool, bool]:
    """Returns the properties of a sweep that change how it is computed: whether plans begin at several layers, whether several
    plans begin at one layer, and whether a plan has several layers."""
    firsts = [first_layer(plan) for plan in plans]
    return len(set(firsts)) > 1, len(set(firsts)) < len(firsts), any(len(plan.layers) > 1 for plan in plans)


def first_layer(plan: Plan) -> int:
    """Returns the lowest layer that a plan edits; -1 if it edits none."""
    return plan.layers[0] if plan.layers else -1
