"""Seconds and memory of a way, and the rate of a large matrix product, on the device that the model lies on."""

import time
from collections.abc import Callable

import torch
from timing import peak

_SIZE, _SIZE_GPU = 2048, 8192
"""Rows and columns of the matrices whose product is timed."""


def measured(way: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds and peak memory in MiB, those that the way itself tells if it does."""
    told: list[object] = []

    def run() -> None:
        told.append(way())

    here = peak_on_gpu(run, device) if device.type == "cuda" else peak(run)
    there = told[0]
    return there if isinstance(there, tuple) else here


def peak_on_gpu(way: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds of a call until the GPU has finished, and by how many MiB of its memory more were held at most meanwhile."""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    start, begun = torch.cuda.memory_allocated(device), time.perf_counter()
    way()
    torch.cuda.synchronize(device)
    return time.perf_counter() - begun, (torch.cuda.max_memory_allocated(device) - start) / 2**20


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product, the best of several."""
    size = _SIZE_GPU if device.type == "cuda" else _SIZE
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return max(2 * size**3 / measured(lambda: torch.mm(a, b) is None, device)[0] for _ in range(8))
