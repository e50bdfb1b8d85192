"""Computes the log probabilities of the choices of all rows from the final residuals of micro-batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.models.batches import Row, TokenBatch
from steerlens.models.packing import PackedRow
from steerlens.models.unembedding import Targets, Unembedding

Sums = list[list[float]]
"""The summed log probability of each choice of each row, in nats."""


@dataclass(frozen=True, eq=False)
class TargetPositions:
    """The places (row and column) in a batch at which the tokens of the answer choices are predicted. Each place is listed once,
    even if several choices continue from the place."""

    lines: Int[Tensor, " place"]
    columns: Int[Tensor, " place"]
    targets: Targets
    choices: Int[Tensor, " target"]
    """The index of each target's choice among all choices of the batch. This tensor is on the CPU."""
    counts: tuple[int, ...]
    """The number of choices of each row."""

    @classmethod
    def of(cls, batch: TokenBatch) -> "TargetPositions":
        """Returns the places of a batch's choices. Each place is listed once."""
        places: dict[tuple[int, int], int] = {}
        asked = [
            (places.setdefault((line, start + at), len(places)), token, number)
            for number, (line, start, choice) in enumerate(
                (line, start, choice)
                for line, (row, start) in enumerate(zip(batch.rows, batch.starts, strict=True))
                for choice in _predictions(row)
            )
            for at, token in choice
        ]
        device = batch.tokens.device
        lines, columns = torch.tensor(list(places), device=device).unbind(1)
        index, tokens, numbers = torch.tensor(asked).unbind(1)
        targets = Targets(index.to(device), tokens.to(device))
        return cls(lines, columns, targets, numbers, tuple(len(row.choices) for row in batch.rows))

    @torch.no_grad()
    def sums(
        self, unembedding: Unembedding, final: Float[Tensor, "line pos d_model"], start: int = 0, copies: int = 1
    ) -> list[Sums]:
        """Returns the summed log probability of each choice of each row, for each copy of the rows in ``final``. In ``final``,
        the copies follow one another.

        Args:
            start: the column of the batch at which ``final`` begins.
        """
        states = final.view(copies, -1, *final.shape[1:])[:, self.lines, self.columns - start].flatten(0, 1)
        ahead = torch.arange(copies, device=final.device)[:, None] * len(self.lines)
        targets = Targets((self.targets.places + ahead).flatten(), self.targets.tokens.repeat(copies))
        return self._summed(unembedding.log_probabilities(states, targets).view(copies, -1))

    @torch.no_grad()
    def shortened(
        self, unembedding: Unembedding, final: Float[Tensor, "line pos d_model"], start: int = 0
    ) -> tuple[Sums, "TargetPositions", Unembedding]:
        """Returns three values: the summed log probabilities at ``final``, these places with renumbered targets, and a shorter
        unembedding. The shorter unembedding contains only the targets and the tokens that are likely at these places.

        Args:
            start: the column of the batch at which ``final`` begins.
        """
        values, short, targets = unembedding.shortened(final[self.lines, self.columns - start], self.targets)
        return self._summed(values[None])[0], replace(self, targets=targets), short

    def gradient(
        self,
        unembedding: Unembedding,
        start: int,
        weigh: Callable[[Sums], Float[Tensor, " choice"]],
        final: Float[Tensor, "line pos d_model"],
    ) -> Float[Tensor, "line pos d_model"]:
        """Returns the derivative of the weighted sum of the choices' log probabilities with respect to ``final``.

        Args:
            weigh: a function that returns the weight of each choice of all rows. Its argument is the summed log probability of
                each choice, row by row.
        """
        lines, columns = self.lines, self.columns - start

        def by_target(values: Tensor) -> Tensor:
            return weigh(self._summed(values[None].cpu())[0])[self.choices].to(values)

        gradient = torch.zeros_like(final)
        gradient[lines, columns] = unembedding.gradient(final[lines, columns], self.targets, by_target)
        return gradient

    def _summed(self, values: Float[Tensor, "copy target"]) -> list[Sums]:
        sums = torch.zeros(len(values), sum(self.counts), dtype=torch.float64)  # on the CPU: not every device has float64
        return [self._by_row(copy) for copy in sums.index_add_(1, self.choices, values.double()).tolist()]

    def _by_row(self, values: Iterable[float]) -> Sums:
        each = iter(values)
        return [[next(each) for _ in range(count)] for count in self.counts]


class LogProbabilities:
    """Collects the summed log probabilities of choices in the order of the rows. The results of micro-batches may be added in any
    order."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.left = sum(len(row.choices) for row in rows)
        """The number of choices that have not been added yet."""
        self.sums: Sums = [[float("nan")] * len(row.choices) for row in rows]
        """The sums by row and choice; NaN for a choice that has not been added yet."""

    def add(self, part: Iterable[PackedRow], choices: Iterable[list[float]]) -> None:
        """Adds the choices' summed log probabilities for the rows of one micro-batch."""
        for packed, values in zip(part, choices, strict=True):
            self.sums[packed.number][packed.first : packed.first + len(values)] = values
            self.left -= len(values)

    @property
    def complete(self) -> bool:
        """Whether the log probabilities of all choices have been added."""
        return self.left == 0


def _predictions(row: Row) -> Iterator[list[tuple[int, int]]]:
    """Yields a list for each choice. The list contains each token of the choice, with the place at which the token is predicted.

    The first token is predicted at the prompt's last token. If several choices begin with the same tokens, these tokens are
    predicted only once, at the places of the first of these choices.
    """
    offset, last = len(row.prompt), len(row.prompt) - 1
    known: dict[tuple[int, ...], int] = {(): last}
    for choice in row.choices:
        places = [known.setdefault(choice[:n], offset + n - 1) for n in range(len(choice))]
        yield list(zip(places, choice, strict=True))
        offset += len(choice)
