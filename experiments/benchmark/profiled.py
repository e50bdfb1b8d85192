"""Where the time of the exact sweep goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from jobs import Way
from torch.profiler import ProfilerActivity, profile, record_function

from steerlens.models.unembedding import Unembedding

_PRODUCTS = ("aten::mm", "aten::bmm", "aten::addmm")


def profiled(way: Way) -> dict[str, float]:
    """Shares of the processor's time: matrix products, and the unembedding with its exponentials."""
    with _marked(), profile(activities=[ProfilerActivity.CPU]) as found:
        way()
    events = found.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    products = sum(event.self_cpu_time_total for event in events if event.key in _PRODUCTS)
    unembedding = sum(event.cpu_time_total for event in events if event.key == "unembedding")
    return {"matrix products": products / total, "unembedding": unembedding / total}


@contextmanager
def _marked() -> Iterator[None]:
    original = Unembedding.log_probabilities

    def marked(self: Unembedding, *args: torch.Tensor) -> torch.Tensor:
        with record_function("unembedding"):
            return original(self, *args)

    with patch.object(Unembedding, "log_probabilities", marked):
        yield


def sentence(shares: dict[str, float], places: float) -> str:
    """The same in words."""
    return (
        f"Of the exact sweep's time {shares['matrix products']:.0%} go to matrix products (`torch.profiler`), and "
        f"{shares['unembedding']:.0%} to the unembedding: {places:.0f} places an item and cell."
    )
