"""The benchmark's parts that hold without a measured time: blocks of its page, and agreement with float32."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.steering import difference_of_means

ROOT = Path(__file__).parents[2]


def _part(name: str) -> ModuleType:
    """A module of the benchmark, whose folder is no package: its modules import one another as scripts do."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "experiments" / "benchmark" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_device_writes_its_own_block_of_the_page() -> None:
    page, with_block = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8"), _part("page").with_block
    two = with_block(page, "| two cores |\n")
    assert two.count("| two cores |") == 1
    assert with_block(two, "| two cores |\n") == two
    card = with_block(two, "| first |\n", "NVIDIA X, gemma-3-4b")
    assert card.index("## What bounds it") > card.index("| first |") > card.index("| two cores |")
    assert card.count("## NVIDIA X, gemma-3-4b") == 1
    again = with_block(card, "| second |\n", "NVIDIA X, gemma-3-4b")
    assert again == card.replace("| first |", "| second |")
    other = with_block(again, "| third |\n", "NVIDIA Y, gemma-3-4b")
    assert all(line in other for line in ("| two cores |", "| second |", "| third |"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_answers_in_half_precision_are_compared_on_the_same_weights(
    model_folders: dict[str, Path], llama: sl.LensModel, items: Items, dtype: torch.dtype
) -> None:
    vector, asked = difference_of_means(llama, items.english_pairs("es-ES")), items.of(locale="es-ES")
    (found,) = _part("halves").agreements(lambda kind: sl.load(model_folders["llama"], "cpu", kind), asked, vector, [dtype])
    assert found.answers == 4 * len(asked)
    if dtype == torch.float32:
        assert (found.same, found.largest) == (found.answers, 0.0)
    else:
        assert found.same > found.answers / 2
        assert 0 < found.largest < 2
