"""From the final residuals of a batch to the log probabilities of its choices, and from those of all batches to outcomes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.evaluation.lines import Line
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.questions import Question
from steerlens.models.batches import Row, TokenBatch
from steerlens.models.unembedding import Targets, Unembedding


@dataclass(frozen=True, eq=False)
class Asked:
    """The places of a batch that predict its choices. A place stands once, however many choices go on from it."""

    lines: Int[Tensor, " place"]
    columns: Int[Tensor, " place"]
    targets: Targets
    choices: Int[Tensor, " target"]
    """Which of the batch's choices each target belongs to."""
    counts: tuple[int, ...]
    """Choices of each row."""

    @classmethod
    def of(cls, batch: TokenBatch) -> "Asked":
        """The places of a batch's choices, each once."""
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
        index, tokens, numbers = torch.tensor(asked, device=device).unbind(1)
        return cls(lines, columns, Targets(index, tokens), numbers, tuple(len(row.choices) for row in batch.rows))

    @torch.no_grad()
    def sums(
        self, unembedding: Unembedding, final: Float[Tensor, "line pos d_model"], start: int = 0, copies: int = 1
    ) -> list[list[list[float]]]:
        """Sum of log probabilities of each choice of each row, of each of the copies that ``final`` holds one after another.

        Args:
            start: the column that ``final`` begins with.
        """
        states = final.view(copies, -1, *final.shape[1:])[:, self.lines, self.columns - start].flatten(0, 1)
        ahead = torch.arange(copies, device=final.device)[:, None] * len(self.lines)
        targets = Targets((self.targets.places + ahead).flatten(), self.targets.tokens.repeat(copies))
        return self._summed(unembedding.log_probabilities(states, targets).view(copies, -1))

    def gradient(
        self,
        unembedding: Unembedding,
        start: int,
        weigh: Callable[[list[list[float]]], Float[Tensor, " choice"]],
        final: Float[Tensor, "line pos d_model"],
    ) -> Float[Tensor, "line pos d_model"]:
        """Derivative of the weighted sum of the choices' log probabilities with respect to ``final``.

        Args:
            weigh: the weights of all rows' choices, given the sums of their log probabilities by row.
        """
        lines, columns = self.lines, self.columns - start

        def by_target(values: Tensor) -> Tensor:
            return weigh(self._summed(values[None])[0]).to(values)[self.choices]

        gradient = torch.zeros_like(final)
        gradient[lines, columns] = unembedding.gradient(final[lines, columns], self.targets, by_target)
        return gradient

    def _summed(self, values: Float[Tensor, "copy target"]) -> list[list[list[float]]]:
        sums = torch.zeros(len(values), sum(self.counts), dtype=torch.float64)  # on the CPU: not every device has float64
        return [self._by_row(copy) for copy in sums.index_add_(1, self.choices.cpu(), values.cpu().double()).tolist()]

    def _by_row(self, values: Iterable[float]) -> list[list[float]]:
        each = iter(values)
        return [[next(each) for _ in range(count)] for count in self.counts]


class Sums:
    """Gathers what the batches give, in whatever order, into outcomes in the order of the items."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = questions
        self.left = sum(len(question.row.choices) for question in questions)
        """Choices that were not added yet."""
        self.sums = [[float("nan")] * len(question.row.choices) for question in questions]

    def add(self, part: Iterable[Line], choices: Iterable[list[float]]) -> None:
        """Take the choices' summed log probabilities of one batch's rows."""
        for line, values in zip(part, choices, strict=True):
            self.sums[line.question][line.first : line.first + len(values)] = values
            self.left -= len(values)

    @property
    def complete(self) -> bool:
        """Whether all choices were added."""
        return self.left == 0

    def outcome(self, number: int) -> Outcome:
        """That of one question, all of whose choices were added."""
        question, sums = self.questions[number], self.sums[number]
        return Outcome(question.item, tuple(total / by for total, by in zip(sums, question.divisors, strict=True)))

    def outcomes(self) -> list[Outcome]:
        """One a question, in the questions' order."""
        return [self.outcome(number) for number in range(len(self.questions))]


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
