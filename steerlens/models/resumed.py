"""Passes over micro-batches that continue from cached ones: blocks below a plan's first layer run once for all plans, the tokens
before a prompt's last one once where no plan steers them, and a prefix that all rows share once for all batches."""

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
    """Cached passes of a model's batches, and passes that continue from them under plans."""

    model: LensModel
    prefix: tuple[int, ...]
    """Tokens that all rows begin with and that run apart; the rows of batches are without them."""
    memory: int
    """Bytes that may be kept of a batch."""
    kept: Computed

    def cached_passes(
        self, batch: TokenBatch, plans: Sequence[Plan], own: list[int], onward: bool
    ) -> Iterator[tuple[CachedPass, list[int]]]:
        """Cached passes of a batch, each with as many layers as fit the memory, and the plans that begin at one of them."""
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
        """Plans by the layer at which they begin, as many at once as keep the device busy."""
        rows, columns, _ = cached.final.shape
        seen = 4 * self._word(rows) * (cached.batch.tokens.shape[1] + len(self.prefix))  # keys and values of a block, twice
        size = max(1, min(self.model.token_budget // (rows * columns), self.memory // seen))
        ordered = sorted(some, key=lambda index: first_layer(plans[index]))
        yield from (ordered[at : at + size] for at in range(0, len(ordered), size))

    def _word(self, rows: int) -> int:
        """Bytes of a residual of each row at one token."""
        return rows * self.model.d_model * self.model.dtype.itemsize

    @torch.no_grad()
    def steered(self, cached: CachedPass, plans: Sequence[Plan]) -> Float[Tensor, "row pos d_model"]:
        """Final residuals of the batch under each plan, one after another; plans that begin lower come first.

        The plans climb the blocks together, each from its first layer on.
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
        """The same, run once for the hooks and weights that the model has now."""
        kept: KeyValues = self.kept("prefix", self.run_prefix)
        return kept

    def _prefix_batch(self) -> TokenBatch:
        return self.model.batch([replace(self.model.row(self.prefix), ends=False)])

    @torch.inference_mode(False)
    @torch.no_grad()
    def run_prefix(self) -> KeyValues:
        """Keys and values of the prefix under the hooks that are on the model."""
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
        """Keys and values of the prefix, by block a row for each plan that begins below it."""
        cached = self._prefix_pass
        entering, hooks = _entering(plans, cached)
        with self.model.backend.hooked(hooks):
            _, kept = self.model.backend.resume(cached, entering, keep=len(self.prefix))
        return kept


def _entering(plans: Sequence[Plan], cached: CachedPass) -> tuple[dict[int, Tensor], list[Hook]]:
    """The residuals after the plans' first layers as each plan leaves them, and hooks for their other layers.

    Args:
        plans: by the layer at which they begin, lowest first.
        cached: a pass with the residuals after these layers.
    """
    roles = cached.batch.roles[:, cached.start :]

    def edit(stacked: Tensor, hook: object, layer: int) -> Tensor:  # noqa: ARG001 (TransformerLens passes the hook point)
        parts, own = torch.split(stacked, len(roles)), roles.to(stacked.device)  # of the plans that begin below
        return torch.cat([plan.edit(layer, part, own) for plan, part in zip(plans, parts, strict=False)])

    entering = {}
    for layer, together in groupby(plans, key=first_layer):
        residual = cached.residuals[layer]
        own = roles.to(residual.device)
        entering[layer] = torch.cat([plan.edit(layer, residual, own) for plan in together])
    above = sorted({layer for plan in plans for layer in plan.layers[1:]})
    return entering, [(residual_hook(layer), partial(edit, layer=layer)) for layer in above]


def sides_of(plans: Sequence[Plan]) -> tuple[bool, bool, bool]:
    """What makes another computation of a sweep: plans that begin at several layers, several at one layer, plans of several."""
    firsts = [first_layer(plan) for plan in plans]
    return len(set(firsts)) > 1, len(set(firsts)) < len(firsts), any(len(plan.layers) > 1 for plan in plans)


def first_layer(plan: Plan) -> int:
    """The lowest layer that a plan edits; -1 if it edits none."""
    return plan.layers[0] if plan.layers else -1
