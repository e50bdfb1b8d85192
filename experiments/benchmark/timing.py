"""Seconds and memory of a call. Imports nothing that either environment lacks."""

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path


def peak(way: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call, and by how many MiB the process grew at most meanwhile, looked at every 5 ms."""
    _give_back()
    grown, done, start = [0.0], threading.Event(), _resident()

    def watch() -> None:
        while not done.wait(0.005):
            grown[0] = max(grown[0], _resident() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    way()
    seconds = time.perf_counter() - begun
    done.set()
    watcher.join()
    return seconds, grown[0]


def _give_back() -> None:
    """Freed memory that the allocator holds goes back, so that what the next call takes is seen."""
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
