"""The order in which examples are learned. The order depends only on the seed, even if a run is interrupted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steerlens.alignment.examples import Encoded
from steerlens.alignment.objectives import Example, Stream


@dataclass(frozen=True)
class Batch:
    """The examples of one training pass."""

    stream: int
    """The index of the method's stream to which the examples belong."""
    examples: tuple[Example, ...]
    kept: tuple[Encoded, ...] = ()
    """Prompts whose residuals should keep their component along the LOC direction."""


class Batches(Sequence[Batch]):
    """All batches of a run, in order. The training steps use each stream in turn. When all examples of a stream have been used,
    the stream is shuffled again.

    All batches of one training step belong to the same stream, so their gradients come from the same loss.
    """

    def __init__(
        self, streams: Sequence[Stream], kept: Sequence[Encoded], *, steps: int, size: int, accumulate: int, seed: int
    ) -> None:
        """Draws the order of the examples.

        Args:
            streams: the streams of examples that the method returns.
            kept: prompts whose residuals should keep their component along the LOC direction. The sequence can be empty.
            steps: the number of training steps.
            size: the number of examples in a batch.
            accumulate: the number of batches in a training step.
            seed: the seed of the order.
        """
        self._streams, self._kept, self._size, self._accumulate, self._n = streams, kept, size, accumulate, steps * accumulate
        each = -(-steps // len(streams)) * accumulate * size
        rng = np.random.default_rng(seed)
        self._orders = [_shuffled(len(stream), each, rng) for stream in streams]
        self._kept_order = _shuffled(len(kept), self._n * size, rng) if kept else []

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, at):  # type: ignore[no-untyped-def]
        """Returns the batch at an index."""
        if not 0 <= at < self._n:
            raise IndexError(at)
        update, within = divmod(at, self._accumulate)
        stream = update % len(self._streams)
        start = ((update // len(self._streams)) * self._accumulate + within) * self._size
        chosen = self._orders[stream][start : start + self._size]
        kept = self._kept_order[at * self._size : (at + 1) * self._size]
        return Batch(stream, tuple(self._streams[stream][i] for i in chosen), tuple(self._kept[i] for i in kept))


def _shuffled(n: int, length: int, rng: np.random.Generator) -> list[int]:
    """Returns ``length`` indices below ``n``. Each index occurs once in a random order, then once in a new random order, and so
    on."""
    rounds = -(-length // n)
    return [int(i) for _ in range(rounds) for i in rng.permutation(n)][:length]
