"""The engine puts rows into micro-batches once. The engine then computes the log probabilities of the rows' choices under many
plans."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial

import torch

from steerlens.models.backends import CachedPass
from steerlens.models.batches import Row, TokenBatch
from steerlens.models.computed import Computed
from steerlens.models.halving import halved, in_halves
from steerlens.models.lens import LensModel
from steerlens.models.packing import MicroBatch, PackedRow, packed_rows, shared_prefix
from steerlens.models.plain import plain_answers, plain_sums
from steerlens.models.plans import Plan
from steerlens.models.resumed import ResumedPasses, sides_of
from steerlens.models.targets import LogProbabilities, Sums, TargetPositions
from steerlens.models.trust import by_trust, sums_agree
from steerlens.models.unembedding import Unembedding

MEMORY = 2 << 30
"""The default number of bytes that may be kept for one batch."""


class Engine:
    """Runs rows under any plan. Each row is a prompt with its choices."""

    def __init__(
        self,
        model: LensModel,
        rows: Sequence[Row],
        *,
        batch_size: int | None = None,
        memory: int = MEMORY,
        short: bool = False,
        plans: int = 1,
    ) -> None:
        """Puts the rows into micro-batches.

        Args:
            model: the model through which the rows are run.
            rows: prompts with their choices, at least one row.
            batch_size: the number of rows at once; ``None`` chooses the number for the device.
            memory: the number of bytes that may be kept for one batch. A sweep keeps the batch's residuals, and a backward pass
                keeps values of all blocks. Layers that do not fit into this memory are cached in additional passes.
            short: whether a sweep's plans are scored with logits over a short list of tokens. The list contains the likely tokens
                of the unsteered pass, and the tokens of the choices. The unsteered scores use all logits. If cached passes are
                not trusted, all scores use all logits.
            plans: the number of plans that sweeps will have. The batches depend on this number.

        Raises:
            ModelError: the architecture computes its logits in a way that cannot be reproduced token by token.
        """
        model.check_unembedding()
        self.model, self.rows, self.memory, self.batch_size, self.short = model, tuple(rows), memory, batch_size, short
        packed = [each for number, row in enumerate(rows) for each in packed_rows(number, row, model)]
        self.packed = any(len(each.row.choices) > 1 for each in packed)
        self.kept = Computed(model)
        self.resumed = ResumedPasses(model, shared_prefix([each.row for each in packed], model), memory, self.kept)
        left = [each.row.after(len(self.prefix)) for each in packed]
        self.parts: list[MicroBatch] = [[packed[i] for i in some] for some in model.batches_of_rows(left, batch_size, plans)]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def prefix(self) -> tuple[int, ...]:
        """The tokens with which all rows begin. The shared prefix runs separately, and only once."""
        return self.resumed.prefix

    @property
    def n_batches(self) -> int:
        """The number of micro-batches that the rows fill."""
        return len(self.parts)

    @property
    def base(self) -> Sums:
        """The log probabilities of all choices without a plan, computed once for the model's current hooks and weights."""
        self.kept.refresh()
        return self.kept("base", self.log_probabilities)

    @torch.no_grad()
    def log_probabilities(self, plan: Plan | None = None) -> Sums:
        """Returns the summed log probability of every choice from full passes, steered by a plan if one is given. A prefix that
        all rows share runs once.

        Raises:
            FingerprintError: the plan belongs to another model.
        """
        if plan is not None:
            plan.check(self.model)
        self.kept.refresh()
        answers = by_trust(
            self.model,
            ("scores", self.packed, bool(self.prefix), plan is not None),
            lambda: list(self._whole(plan)),
            lambda: [self._plain(part, plan) for part in self.parts],
            lambda found: self._same(self.parts[0], found[0], plan),
        )
        gathered = LogProbabilities(self.rows)
        for part, choices in zip(self.parts, answers, strict=True):
            gathered.add(part, choices)
        return gathered.sums

    def _whole(self, plan: Plan | None) -> Iterator[Sums]:
        """Yields the log probabilities of each micro-batch, from full passes."""
        backend, before, unembedding = self.model.backend, None if plan else self.resumed.before, self.unembedding
        with backend.hooked(plan.hooks(self.model) if plan else []):
            before = self.resumed.run_prefix() if before is None else before

            def run(part: Sequence[PackedRow]) -> Sums:
                batch = self.batch(part)
                with backend.attending(before, 0) if before else nullcontext():
                    final = backend.final(batch)
                return TargetPositions.of(batch).sums(unembedding, final)[0]

            for part in self.parts:
                yield [row for _, rows in in_halves(self.model, run, part) for row in rows]

    def sweep(self, plans: Sequence[Plan]) -> Iterator[tuple[int, Sums | None]]:
        """Runs every row under every plan. Blocks below a plan's first layer run once for all plans. If no plan steers the tokens
        before a prompt's last token, these tokens also run once for all plans.

        Yields:
            The plan's index and ``None`` after each micro-batch of the plan, so that progress can be shown. When all
                micro-batches are finished, the plan's index is yielded with the log probabilities.

        Raises:
            FingerprintError: a plan belongs to another model.
        """
        for plan in plans:
            plan.check(self.model)
        sums, base = [LogProbabilities(self.rows) for _ in plans], LogProbabilities(self.rows)
        self.kept.refresh()
        wanted, version = "base" not in self.kept, self.kept.version
        for part in self.parts:
            self.kept.refresh()  # the caller may have changed hooks or weights between two batches
            for some, index, choices in self._swept(part, plans):
                if index is not None:
                    sums[index].add(some, choices)
                    yield index, sums[index].sums if sums[index].complete else None
                elif wanted and not base.complete:
                    base.add(some, choices)
        if wanted and base.complete and self.kept.version == version:
            self.kept.put("base", base.sums)

    def _swept(self, part: MicroBatch, plans: Sequence[Plan]) -> Iterator[tuple[MicroBatch, int | None, Sums]]:
        """Yields rows of a micro-batch, the index of a plan, and the log probabilities of the rows under this plan. The index is
        ``None`` for the unsteered model, which comes first."""
        is_first = True
        for onward in (True, False):
            own = [i for i, plan in enumerate(plans) if (plan.leaves_prompt and self.model.reuses_keys) == onward]
            if own:
                for some, index, choices in self._swept_in_halves(part, plans, own, onward):
                    if is_first or index is not None:
                        yield some, index, choices
                is_first = False

    def _swept_in_halves(
        self, part: MicroBatch, plans: Sequence[Plan], own: list[int], onward: bool
    ) -> Iterator[tuple[MicroBatch, int | None, Sums]]:
        """Yields rows, a plan's index and log probabilities, as ``_swept`` does. Either all of the plans leave the prompt
        unchanged, or all of the plans may change the prompt. The plans continue from a cached pass. If this pass does not fit
        into the memory, the rows run in two halves."""
        found = self._by_trust(part, plans, own, onward)
        try:
            first = next(found)
        except torch.OutOfMemoryError:
            if len(part) < 2:
                raise
        else:
            yield part, *first
            for index, choices in found:
                yield part, index, choices
            return
        for half in halved(self.model, part):
            yield from self._swept_in_halves(list(half), plans, own, onward)

    def _by_trust(
        self, part: MicroBatch, plans: Sequence[Plan], own: list[int], onward: bool
    ) -> Iterator[tuple[int | None, Sums]]:
        """Yields the log probabilities of a micro-batch: from cached passes if cached passes are trusted, and otherwise from full
        passes."""
        batch = self.batch(part)
        resumed = partial(self._from_cached, batch, TargetPositions.of(batch), plans, own, onward)
        way = ("sweeps", self.packed, len(part) > 1, bool(self.prefix), onward, *sides_of([plans[i] for i in own]))
        if self.model.pads_left and self.model.trusted.get(way):
            yield from resumed(short=self.short)
            return
        compared = by_trust(
            self.model,
            way,
            lambda: list(resumed()),
            lambda: [(i, self._plain(part, plans[i])) for i in own],
            partial(self._all_same, part, plans),
            possible=self.model.backend.capabilities.cached_passes,
        )
        # the first batch uses a short list too, so that its numbers are the same in every process
        yield from resumed(short=True) if self.short and self.model.trusted.get(way) else compared

    def _from_cached(
        self, batch: TokenBatch, asked: TargetPositions, plans: Sequence[Plan], own: list[int], onward: bool, short: bool = False
    ) -> Iterator[tuple[int | None, Sums]]:
        """Yields the log probabilities of a micro-batch from passes that continue from cached passes. With ``short``, the plans
        are scored with logits over a short list of tokens."""
        run: Callable[[CachedPass, Sequence[int]], list[Sums]] | None = None
        for cached, some in self.resumed.cached_passes(batch, plans, own, onward):
            if run is None:
                unsteered, places, unembedding = self._unsteered(asked, cached, short)
                yield None, unsteered
                run = partial(self._steered_sums, places, unembedding, plans)
            for stack in self.resumed.stacks(cached, plans, some):
                for fitting, sums in in_halves(self.model, partial(run, cached), stack):
                    yield from zip(fitting, sums, strict=True)

    def _unsteered(self, asked: TargetPositions, cached: CachedPass, short: bool) -> tuple[Sums, TargetPositions, Unembedding]:
        """Returns the unsteered log probabilities of a cached pass, and the target positions and the unembedding for scoring the
        plans."""
        if short:
            return asked.shortened(self.unembedding, cached.final, cached.start)
        return asked.sums(self.unembedding, cached.final, cached.start)[0], asked, self.unembedding

    def _steered_sums(
        self, places: TargetPositions, unembedding: Unembedding, plans: Sequence[Plan], cached: CachedPass, stack: Sequence[int]
    ) -> list[Sums]:
        """Returns the log probabilities under some plans, which are given by index."""
        final = self.resumed.steered(cached, [plans[index] for index in stack])
        return places.sums(unembedding, final, cached.start, len(stack))

    # The plain way

    def _plain(self, part: MicroBatch, plan: Plan | None) -> Sums:
        return plain_answers(self.model, self.rows, part, plan, self.batch_size)

    def _same(self, part: MicroBatch, found: Sums, plan: Plan | None) -> bool:
        """Returns whether some log probabilities of a micro-batch equal the log probabilities from full passes of one row each.
        The first and last choices of the longest and the shortest row are compared."""
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
        """Returns whether a sweep's summed log probabilities are correct. The sums of the unsteered model, the first plan, the
        last plan and the plan with the most layers are checked."""
        indices = [index for index, _ in found if index is not None]
        most = max(indices, key=lambda index: len(plans[index].layers))
        wanted = dict.fromkeys((None, indices[0], indices[-1], most))
        answers = dict(found)
        return all(self._same(part, answers[at], None if at is None else plans[at]) for at in wanted if at in answers)

    # Batches

    @property
    def unembedding(self) -> Unembedding:
        """The function from final residuals to logits, with the model's current weights."""
        return self.kept("unembedding", self.model.backend.unembedding)

    def batch(self, part: Sequence[PackedRow], *, shared: bool = True) -> TokenBatch:
        """Returns packed rows as one batch. With ``shared``, the batch does not contain the shared prefix, which runs
        separately."""
        cut = len(self.prefix) if shared else 0
        return self.model.batch([packed.row.after(cut) for packed in part], "aligned")
