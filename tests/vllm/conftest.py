"""The embedded model in vLLM, where vLLM is installed: in the environment that ``make test-vllm`` makes."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import steerlens as sl

MODEL = "gemma-3-270m"

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; the default is a share of the machine's memory
os.environ.setdefault("VLLM_LENS_STRICT_COMPATIBILITY", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips these tests where vLLM is not installed."""
    for item in items:
        if Path(__file__).parent in item.path.parents and find_spec("vllm") is None:
            item.add_marker(pytest.mark.skip("vLLM is not installed here: run make test-vllm"))


@pytest.fixture(scope="session")
def bridge() -> sl.LensModel:
    """The embedded model in TransformerLens."""
    return sl.load(MODEL, "cpu", "float32")


@pytest.fixture(scope="session")
def in_vllm() -> Iterator[sl.vllm.VllmModel]:
    """The embedded model in vLLM. It is ended after the last test."""
    model = sl.vllm.load(MODEL, "float32", max_model_len=256)
    yield model
    model.llm.llm_engine.engine_core.shutdown()


@pytest.fixture(scope="session")
def items() -> sl.data.Items:
    """Concepts of both kinds in Spanish and English."""
    return sl.data.atlas(["es-ES"]).sample(6)


@pytest.fixture(scope="session")
def vector(bridge: sl.LensModel, items: sl.data.Items) -> sl.steering.SteeringVector:
    """A vector that was taken in TransformerLens."""
    return sl.steering.difference_of_means(bridge, items.english_pairs("es-ES"))
