"""An exam: items made batches once, so that many plans can be scored on them."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.data import Item, Items
from steerlens.errors import PromptError
from steerlens.evaluation.answers import Asked, Sums
from steerlens.evaluation.kept import Kept
from steerlens.evaluation.lines import Line, lines_of, shared_prefix
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.plain import add_by_item, margin_weights, plain_answers, plain_gradients, plain_sums
from steerlens.evaluation.questions import ask
from steerlens.evaluation.resumed import Resumed, sides_of
from steerlens.evaluation.trust import by_trust, derivatives_agree, sums_agree
from steerlens.models.batches import TokenBatch
from steerlens.models.forward import hooked, run_blocks
from steerlens.models.gradients import residual_gradients
from steerlens.models.lens import LensModel
from steerlens.models.recording import attending, record
from steerlens.models.unembedding import Unembedding
from steerlens.settings import Scoring
from steerlens.steering import SteeredTokens, SteeringPlan
from steerlens.steering.tokens import leaves_prompt, steered_tokens

_WORDS_KEPT = 24
"""Numbers that a backward pass keeps per token and block, in multiples of d_model: norms, projections, the MLP's inner layers."""
MEMORY = 2 << 30
"""Bytes that may be kept of one batch, if not told otherwise."""

Part = list[Line]
"""The rows of a batch."""
Answers = list[list[float]]
"""The summed log probabilities of the choices of each row of a batch."""


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
        self._packed = any(len(line.row.choices) > 1 for line in lines)
        rows = [line.row for line in lines]
        self.kept = Kept(model)
        self.resumed = Resumed(model, shared_prefix(rows, model), memory, self.kept)
        self._prefix = self.resumed.prefix
        self._parts: list[Part] = [
            [lines[i] for i in indices]
            for indices in model.batches_of_rows([row.after(len(self._prefix)) for row in rows], batch_size)
        ]
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def n_batches(self) -> int:
        """Batches that the items fill."""
        return len(self._parts)

    @property
    def base(self) -> list[Outcome]:
        """Every item's outcome without a plan of this exam's, scored once for the hooks and weights that the model has now."""
        self.kept.refresh()
        return list(self.kept("base", self.score))

    @torch.no_grad()
    def score(self, plan: SteeringPlan | None = None) -> list[Outcome]:
        """Every item's choices scored in full passes, steered by a plan if one is given. A prefix that all items share runs once.

        Raises:
            FingerprintError: the plan belongs to another model.
        """
        if plan is not None:
            plan.check(self.model)
        self.kept.refresh()
        way = ("scores", self._packed, bool(self._prefix), plan is not None)
        answers = by_trust(
            self.model,
            way,
            lambda: list(self._whole(plan)),
            lambda: [self._plain(part, plan) for part in self._parts],
            lambda found: self._same(self._parts[0], found[0], plan),
        )
        sums = Sums(self.questions)
        for part, choices in zip(self._parts, answers, strict=True):
            sums.add(part, choices)
        return sums.outcomes()

    def _whole(self, plan: SteeringPlan | None) -> Iterator[Answers]:
        """The answers of each batch, from full passes."""
        before, unembedding = None if plan else self.resumed.before, self._unembedding
        with hooked(self.model.tl, plan.hooks(self.model) if plan else []):
            before = self.resumed.run_prefix() if before is None else before
            for _, batch in self._batches():
                with attending(self.model.tl, before, 0):
                    final = run_blocks(self.model.tl, batch)
                yield Asked.of(batch).sums(unembedding, final)[0]

    def sweep(self, plans: Sequence[SteeringPlan]) -> Iterator[tuple[int, list[Outcome] | None]]:
        """Every item scored under every plan. Blocks below a plan's first layer run once for all plans, and so do the tokens
        before a prompt's last one where no plan steers them.

        Yields:
            The plan's index and ``None`` after each batch of it, for progress; and with its outcomes after the last.
        """
        for plan in plans:
            plan.check(self.model)
        sums, base = [Sums(self.questions) for _ in plans], Sums(self.questions)
        self.kept.refresh()
        wanted, version = "base" not in self.kept, self.kept.version
        for number, (part, batch) in enumerate(self._batches(), 1):
            self.kept.refresh()  # between two batches the caller may have done anything
            is_last = number == len(self._parts)
            for index, choices in self._swept(part, batch, plans):
                if index is not None:
                    sums[index].add(part, choices)
                    yield index, sums[index].outcomes() if is_last else None
                elif wanted:
                    base.add(part, choices)
        if wanted and base.complete and self.kept.version == version:
            self.kept.put("base", base.outcomes())

    def _swept(self, part: Part, batch: TokenBatch, plans: Sequence[SteeringPlan]) -> Iterator[tuple[int | None, Answers]]:
        """Plans by index, ``None`` for unsteered, each with the answers of a batch."""
        asked, is_first = Asked.of(batch), True
        for onward in (True, False):
            own = [i for i, plan in enumerate(plans) if (plan.leaves_prompt and self.model.reuses_keys) == onward]
            if not own:
                continue
            resumed = partial(self._resumed, batch, asked, plans, own, onward)
            several = len(batch.rows) > 1
            way = ("sweeps", self._packed, several, bool(self._prefix), onward, *sides_of([plans[i] for i in own]))
            found = (
                resumed()
                if self.model.pads_left and self.model.trusted.get(way)
                else by_trust(
                    self.model,
                    way,
                    lambda resumed=resumed: list(resumed()),  # type: ignore[misc]
                    lambda own=own: [(i, self._plain(part, plans[i])) for i in own],  # type: ignore[misc]
                    partial(self._all_same, part, plans),
                )
            )
            yield from (pair for pair in found if is_first or pair[0] is not None)
            is_first = False

    def _resumed(
        self, batch: TokenBatch, asked: Asked, plans: Sequence[SteeringPlan], own: list[int], onward: bool
    ) -> Iterator[tuple[int | None, Answers]]:
        """The same from passes that go on from recorded ones."""
        is_first, unembedding = True, self._unembedding
        for recording, some in self.resumed.recordings(batch, plans, own, onward):
            if is_first:
                yield None, asked.sums(unembedding, recording.final, recording.start)[0]
            is_first = False
            for stack in self.resumed.stacks(recording, plans, some):
                final = self.resumed.steered(recording, [plans[index] for index in stack])
                yield from zip(stack, asked.sums(unembedding, final, recording.start, len(stack)), strict=True)

    # The plain way

    def _plain(self, part: Part, plan: SteeringPlan | None) -> Answers:
        return plain_answers(self.model, self.questions, part, plan, self.batch_size)

    def _same(self, part: Part, answers: Answers, plan: SteeringPlan | None) -> bool:
        """Whether the answers of a batch are those of whole passes of one row each: the first and last choice of its longest and
        its shortest row."""
        rows = [len(line.row) for line in part]
        places = [
            (at, choice)
            for at in sorted({rows.index(max(rows)), rows.index(min(rows))})
            for choice in sorted({0, len(part[at].row.choices) - 1})
        ]
        choices = [(part[at].question, part[at].first + choice) for at, choice in places]
        plain = plain_sums(self.model, self.questions, choices, plan, 1)
        return sums_agree(self.model, [answers[at][choice] for at, choice in places], [plain[choice] for choice in choices])

    def _all_same(self, part: Part, plans: Sequence[SteeringPlan], found: list[tuple[int | None, Answers]]) -> bool:
        """Of a sweep's answers: the unsteered ones, and those of the first plan, the last, and the one of most layers."""
        indices = [index for index, _ in found if index is not None]
        most = max(indices, key=lambda index: len(plans[index].layers))
        wanted = dict.fromkeys((None, indices[0], indices[-1], most))
        answers = dict(found)
        return all(self._same(part, answers[at], None if at is None else plans[at]) for at in wanted if at in answers)

    @torch.inference_mode(False)
    def gradients(self, layers: Sequence[int], tokens: SteeredTokens) -> Float[Tensor, "layer item d_model"]:
        """Derivative of each item's margin with respect to a vector added after each layer at the steered tokens.

        The margin is the answer's score less that of the choice that is the best other unsteered.

        Args:
            layers: block indices; the derivatives stand in ascending order.
            tokens: which tokens would be steered.

        Raises:
            LayerError: a layer that the model does not have.
        """
        self.kept.refresh()
        layers = self.model.layers(layers)
        onward = leaves_prompt(tokens) and self.model.reuses_keys
        plain = partial(plain_gradients, self.model, layers=layers, tokens=tokens)

        def same(found: Tensor) -> bool:
            at = max(range(len(self)), key=lambda number: len(self.questions[number].row))
            expected = plain([self.questions[at]], [self.base[at]], batch_size=1)
            return derivatives_agree(self.model, found[:, at : at + 1], expected)

        return by_trust(
            self.model,
            ("gradients", self._packed, bool(self._prefix) and onward, onward),
            lambda: self._resumed_gradients(layers, tokens, onward),
            lambda: plain(self.questions, self.base, batch_size=self.batch_size),
            same,
        )

    def _resumed_gradients(
        self, layers: Sequence[int], tokens: SteeredTokens, onward: bool
    ) -> Float[Tensor, "layer item d_model"]:
        """The derivatives from passes that go on from recorded ones."""
        out = torch.zeros(len(layers), len(self), self.model.d_model)
        before = self.resumed.before if onward else {}
        base = self._base_as_it_comes()
        for part, batch in self._small_batches(shared=onward):
            start, asked = batch.last if onward else 0, Asked.of(batch)
            recording = record(self.model.tl, batch, layers[:1], start, before)
            weigh = partial(self._weights, part, base)
            final_gradient = partial(asked.gradient, self._unembedding, start, weigh)
            found = residual_gradients(self.model.tl, recording, layers, final_gradient)
            add_by_item(out, found, part, layers, steered_tokens(batch.roles[:, start:], tokens).float())
        if isinstance(base, Sums):
            self.kept.put("base", base.outcomes())
        return out

    @property
    def _unembedding(self) -> Unembedding:
        return self.kept("unembedding", lambda: Unembedding.of(self.model.tl))

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

    def _base_as_it_comes(self) -> Sums | list[Outcome]:
        """The unsteered outcomes, or what gathers them from passes that are run anyway, where each item is one row."""
        if "base" not in self.kept and sum(map(len, self._parts)) == len(self):
            return Sums(self.questions)
        return self.base  # scored now, not in the middle of another pass, whose hooks would see it

    def _weights(self, part: Part, base: Sums | list[Outcome], choices: Answers) -> Float[Tensor, " choice"]:
        if isinstance(base, Sums):
            base.add(part, choices)
            known = {line.question: base.outcome(line.question) for line in part}
            return margin_weights(part, self.questions, known, choices)
        return margin_weights(part, self.questions, base, choices)
