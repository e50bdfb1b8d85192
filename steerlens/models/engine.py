"""The engine: rows made micro-batches once, so that their choices' log probabilities can be found under many plans."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.models.backends import CachedPass
from steerlens.models.batches import Row, TokenBatch
from steerlens.models.capabilities import check_gradients
from steerlens.models.computed import Computed
from steerlens.models.gradients import residual_gradients
from steerlens.models.lens import LensModel
from steerlens.models.packing import MicroBatch, packed_rows, shared_prefix
from steerlens.models.plain import Steered, add_by_row, choice_weights, plain_answers, plain_gradients, plain_sums
from steerlens.models.plans import Plan
from steerlens.models.resumed import ResumedPasses, sides_of
from steerlens.models.targets import LogProbabilities, Sums, TargetPositions
from steerlens.models.trust import by_trust, derivatives_agree, sums_agree
from steerlens.models.unembedding import Unembedding

_WORDS_KEPT = 24
"""Numbers that a backward pass keeps per token and block, in multiples of d_model: norms, projections, the MLP's inner layers."""
MEMORY = 2 << 30
"""Bytes that may be kept of one batch, if not told otherwise."""
Weigh = Callable[[int, list[float]], list[float]]
"""The weight of each choice of a row, given the row's number and the unsteered log probabilities of its choices."""


class Engine:
    """Rows, each a prompt with its choices, ready to be run under any plan."""

    def __init__(self, model: LensModel, rows: Sequence[Row], *, batch_size: int | None = None, memory: int = MEMORY) -> None:
        """Makes the rows micro-batches.

        Args:
            model: the model that runs them.
            rows: prompts with their choices, at least one row.
            batch_size: rows at once; chosen for the device for ``None``.
            memory: bytes that a sweep may keep of a batch's residuals, and a backward pass of its blocks. Layers that do not fit
                are cached in further passes.

        Raises:
            ModelError: the architecture computes its logits in a way that cannot be reproduced token by token.
        """
        model.check_unembedding()
        self.model, self.rows, self.memory, self.batch_size = model, tuple(rows), memory, batch_size
        packed = [each for number, row in enumerate(rows) for each in packed_rows(number, row, model)]
        self._packed = any(len(each.row.choices) > 1 for each in packed)
        self._kept = Computed(model)
        self._resumed = ResumedPasses(model, shared_prefix([each.row for each in packed], model), memory, self._kept)
        left = [each.row.after(len(self.prefix)) for each in packed]
        self._parts: list[MicroBatch] = [[packed[i] for i in some] for some in model.batches_of_rows(left, batch_size)]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def prefix(self) -> tuple[int, ...]:
        """Tokens that all rows begin with and that run apart, once."""
        return self._resumed.prefix

    @property
    def n_batches(self) -> int:
        """Micro-batches that the rows fill."""
        return len(self._parts)

    @property
    def base(self) -> Sums:
        """The log probabilities without a plan of this engine's, found once for the hooks and weights that the model has now."""
        self._kept.refresh()
        return self._kept("base", self.log_probabilities)

    @torch.no_grad()
    def log_probabilities(self, plan: Plan | None = None) -> Sums:
        """The summed log probability of every choice in full passes, steered by a plan if one is given. A prefix that all rows
        share runs once.

        Raises:
            FingerprintError: the plan belongs to another model.
        """
        if plan is not None:
            plan.check(self.model)
        self._kept.refresh()
        answers = by_trust(
            self.model,
            ("scores", self._packed, bool(self.prefix), plan is not None),
            lambda: list(self._whole(plan)),
            lambda: [self._plain(part, plan) for part in self._parts],
            lambda found: self._same(self._parts[0], found[0], plan),
        )
        gathered = LogProbabilities(self.rows)
        for part, choices in zip(self._parts, answers, strict=True):
            gathered.add(part, choices)
        return gathered.sums

    def _whole(self, plan: Plan | None) -> Iterator[Sums]:
        """The log probabilities of each micro-batch, from full passes."""
        backend, before, unembedding = self.model.backend, None if plan else self._resumed.before, self._unembedding
        with backend.hooked(plan.hooks(self.model) if plan else []):
            before = self._resumed.run_prefix() if before is None else before
            for _, batch in self._batches():
                with backend.attending(before, 0) if before else nullcontext():
                    final = backend.final(batch)
                yield TargetPositions.of(batch).sums(unembedding, final)[0]

    def sweep(self, plans: Sequence[Plan]) -> Iterator[tuple[int, Sums | None]]:
        """Every row under every plan. Blocks below a plan's first layer run once for all plans, and so do the tokens before a
        prompt's last one where no plan steers them.

        Yields:
            The plan's index and ``None`` after each micro-batch of it, for progress; with the log probabilities after the last.

        Raises:
            FingerprintError: a plan belongs to another model.
        """
        for plan in plans:
            plan.check(self.model)
        sums, base = [LogProbabilities(self.rows) for _ in plans], LogProbabilities(self.rows)
        self._kept.refresh()
        wanted, version = "base" not in self._kept, self._kept.version
        for number, (part, batch) in enumerate(self._batches(), 1):
            self._kept.refresh()  # between two batches the caller may have done anything
            is_last = number == len(self._parts)
            for index, choices in self._swept(part, batch, plans):
                if index is not None:
                    sums[index].add(part, choices)
                    yield index, sums[index].sums if is_last else None
                elif wanted:
                    base.add(part, choices)
        if wanted and base.complete and self._kept.version == version:
            self._kept.put("base", base.sums)

    def _swept(self, part: MicroBatch, batch: TokenBatch, plans: Sequence[Plan]) -> Iterator[tuple[int | None, Sums]]:
        """Plans by index, ``None`` for unsteered, each with the log probabilities of a micro-batch."""
        asked, is_first = TargetPositions.of(batch), True
        for onward in (True, False):
            own = [i for i, plan in enumerate(plans) if (plan.leaves_prompt and self.model.reuses_keys) == onward]
            if not own:
                continue
            resumed = partial(self._from_cached, batch, asked, plans, own, onward)
            several = len(batch.rows) > 1
            way = ("sweeps", self._packed, several, bool(self.prefix), onward, *sides_of([plans[i] for i in own]))
            found = (
                resumed()
                if self.model.pads_left and self.model.trusted.get(way)
                else by_trust(
                    self.model,
                    way,
                    lambda resumed=resumed: list(resumed()),  # type: ignore[misc]
                    lambda own=own: [(i, self._plain(part, plans[i])) for i in own],  # type: ignore[misc]
                    partial(self._all_same, part, plans),
                    possible=self.model.backend.capabilities.cached_passes,
                )
            )
            yield from (pair for pair in found if is_first or pair[0] is not None)
            is_first = False

    def _from_cached(
        self, batch: TokenBatch, asked: TargetPositions, plans: Sequence[Plan], own: list[int], onward: bool
    ) -> Iterator[tuple[int | None, Sums]]:
        """The same from passes that go on from cached ones."""
        is_first, unembedding = True, self._unembedding
        for cached, some in self._resumed.cached_passes(batch, plans, own, onward):
            if is_first:
                yield None, asked.sums(unembedding, cached.final, cached.start)[0]
            is_first = False
            for stack in self._resumed.stacks(cached, plans, some):
                final = self._resumed.steered(cached, [plans[index] for index in stack])
                yield from zip(stack, asked.sums(unembedding, final, cached.start, len(stack)), strict=True)

    # The plain way

    def _plain(self, part: MicroBatch, plan: Plan | None) -> Sums:
        return plain_answers(self.model, self.rows, part, plan, self.batch_size)

    def _same(self, part: MicroBatch, found: Sums, plan: Plan | None) -> bool:
        """Whether the log probabilities of a micro-batch are those of whole passes of one row each: the first and last choice of
        its longest and its shortest row."""
        lengths = [len(packed.row) for packed in part]
        places = [
            (at, choice)
            for at in sorted({lengths.index(max(lengths)), lengths.index(min(lengths))})
            for choice in sorted({0, len(part[at].row.choices) - 1})
        ]
        choices = [(part[at].number, part[at].first + choice) for at, choice in places]
        plain = plain_sums(self.model, self.rows, choices, plan, 1)
        return sums_agree(self.model, [found[at][choice] for at, choice in places], [plain[choice] for choice in choices])

    def _all_same(self, part: MicroBatch, plans: Sequence[Plan], found: list[tuple[int | None, Sums]]) -> bool:
        """Says whether a sweep's unsteered sums, and those of the first plan, the last, and the one of most layers, are right."""
        indices = [index for index, _ in found if index is not None]
        most = max(indices, key=lambda index: len(plans[index].layers))
        wanted = dict.fromkeys((None, indices[0], indices[-1], most))
        answers = dict(found)
        return all(self._same(part, answers[at], None if at is None else plans[at]) for at in wanted if at in answers)

    # Derivatives

    @torch.inference_mode(False)
    def gradients(
        self, layers: Sequence[int], steered: Steered, weigh: Weigh, *, leaves_prompt: bool
    ) -> Float[Tensor, "layer row d_model"]:
        """Derivative of each row's weighted sum of log probabilities with respect to a vector added after each layer.

        Args:
            layers: block indices; the derivatives stand in ascending order.
            steered: the tokens that the vector would be added at.
            weigh: the weights of a row's choices, which may depend on its log probabilities unsteered.
            leaves_prompt: no token before the prompt's last one is steered.

        Raises:
            LayerError: a layer that the model does not have.
            ModelError: the backend does not differentiate.
        """
        check_gradients(self.model)
        self._kept.refresh()
        layers = self.model.layers(layers)
        onward = leaves_prompt and self.model.reuses_keys

        def plain(numbers: Sequence[int], batch_size: int | None) -> Tensor:
            base = self.base
            weights, rows = [weigh(n, base[n]) for n in numbers], [self.rows[n] for n in numbers]
            return plain_gradients(self.model, rows, weights, layers, steered, batch_size)

        def same(found: Tensor) -> bool:
            at = max(range(len(self)), key=lambda number: len(self.rows[number]))
            return derivatives_agree(self.model, found[:, at : at + 1], plain([at], 1))

        return by_trust(
            self.model,
            ("gradients", self._packed, bool(self.prefix) and onward, onward),
            lambda: self._cached_gradients(layers, steered, weigh, onward=onward),
            lambda: plain(range(len(self)), self.batch_size),
            same,
            possible=self.model.backend.capabilities.cached_passes,
        )

    def _cached_gradients(
        self, layers: Sequence[int], steered: Steered, weigh: Weigh, *, onward: bool
    ) -> Float[Tensor, "layer row d_model"]:
        """The derivatives from passes that go on from cached ones."""
        out = torch.zeros(len(layers), len(self), self.model.d_model)
        before = self._resumed.before if onward else {}
        base = self._base_as_it_comes()
        for part, batch in self._small_batches(shared=onward):
            start, asked = batch.last if onward else 0, TargetPositions.of(batch)
            cached: CachedPass = self.model.backend.cached_pass(batch, layers[:1], start, before)
            final_gradient = partial(asked.gradient, self._unembedding, start, partial(_weights, part, base, weigh))
            found = residual_gradients(self.model.backend, cached, layers, final_gradient)
            add_by_row(out, found, part, layers, steered(batch.roles[:, start:]).float())
        if isinstance(base, LogProbabilities):
            self._kept.put("base", base.sums)
        return out

    def _base_as_it_comes(self) -> LogProbabilities | Sums:
        """The unsteered log probabilities, or what gathers them from passes that are run anyway, where each row is one."""
        if "base" not in self._kept and sum(map(len, self._parts)) == len(self):
            return LogProbabilities(self.rows)
        return self.base  # found now, not in the middle of another pass, whose hooks would see it

    # Batches

    @property
    def _unembedding(self) -> Unembedding:
        return self._kept("unembedding", self.model.backend.unembedding)

    def _batches(self) -> Iterator[tuple[MicroBatch, TokenBatch]]:
        for part in self._parts:
            yield part, self._batch(part)

    def _batch(self, part: MicroBatch, *, shared: bool = True) -> TokenBatch:
        cut = len(self.prefix) if shared else 0
        return self.model.batch([packed.row.after(cut) for packed in part], "aligned")

    def _small_batches(self, *, shared: bool) -> Iterator[tuple[MicroBatch, TokenBatch]]:
        """The micro-batches, cut so that what a backward pass needs of every block fits the memory."""
        token_bytes = _WORDS_KEPT * self.model.n_layers * self.model.d_model * self.model.dtype.itemsize
        for part in self._parts:
            longest = max(packed.row.onward if shared else len(packed.row) for packed in part)
            rows = max(1, self.memory // (token_bytes * longest))
            for at in range(0, len(part), rows):
                yield part[at : at + rows], self._batch(part[at : at + rows], shared=shared)


def _weights(part: MicroBatch, base: LogProbabilities | Sums, weigh: Weigh, choices: Sums) -> Float[Tensor, " choice"]:
    """The weights of a micro-batch's choices, by the unsteered log probabilities, of which ``choices`` may be the first news."""
    if isinstance(base, LogProbabilities):
        base.add(part, choices)
    sums = base.sums if isinstance(base, LogProbabilities) else base
    return choice_weights(part, {packed.number: weigh(packed.number, sums[packed.number]) for packed in part})
