"""The embedded real model, loaded once. Its conversion is kept in the cache folder, as for a user."""

import os

import pytest
import torch

import steerlens as sl

_CORES = torch.get_num_threads()


@pytest.fixture(scope="session")
def gemma() -> sl.LensModel:
    """Gemma 3 270M, on all cores that the processes of the tests leave to each: the tiny models' tests run on one."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    torch.set_num_threads(max(1, (os.cpu_count() or _CORES) // processes))
    return sl.load("gemma-3-270m")


@pytest.fixture(scope="session")
def split() -> sl.data.Split:
    """The atlas in Spanish and Korean, and English."""
    return sl.data.atlas(["es-ES", "ko-KR"]).split(seed=0)


@pytest.fixture(scope="session")
def stack(gemma: sl.LensModel, split: sl.data.Split) -> sl.ResidualStack:
    """Every layer's residuals at the last token of 24 concepts' prompts of each kind."""
    return gemma.residuals(split.train.sample(24).prompts())
