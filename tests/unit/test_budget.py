"""How many tokens a batch may hold is measured once for a kind of model and GPU, kept, and halved where it was too much."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import steerlens as sl
from steerlens.models import budget, halving
from steerlens.models.budget import Memory, memory_of, remember_halving, token_budget

PER_TOKEN, FIXED = 1000, 5_000_000


class FakeGpu:
    """Memory that a pass takes by its tokens, and something that every pass takes; passes are counted, and run nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int, holds: int = 1 << 40) -> None:
        self.passes: list[int] = []
        self.free, self.holds = free, holds
        monkeypatch.setattr(budget, "_trial", self._pass)

    @property
    def memory(self) -> Memory:
        return Memory("a GPU", lambda: self.free, self._taken)

    def _pass(self, _: object, tokens: int) -> None:
        if tokens > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.passes.append(tokens)

    def _taken(self, run: Callable[[], None]) -> int:
        run()
        return FIXED + PER_TOKEN * self.passes[-1]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(budget, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_a_cpu_has_a_constant_and_no_file(llama: sl.LensModel, folder: Path) -> None:
    cpu = memory_of(torch.device("cpu"))
    assert cpu is None
    assert token_budget(llama, cpu) == 2048
    remember_halving(llama, cpu)
    assert not folder.exists()


@pytest.mark.parametrize(("tokens", "expected"), [(10, 2048), (5_000, 2048), (30_000, 8192), (33_000, 16384), (1 << 30, 65536)])
def test_half_of_what_fits(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch, tokens: int, expected: int) -> None:
    """Half of the tokens that fit, as a power of two: from two small passes, whatever the memory, and what all passes take."""
    gpu = FakeGpu(monkeypatch, tokens * PER_TOKEN)
    assert token_budget(llama, gpu.memory) == expected
    assert max(gpu.passes) <= 4096


def test_it_is_measured_once_for_a_kind_of_model(
    llama: sl.LensModel, loaded: dict[str, sl.LensModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = FakeGpu(monkeypatch, 33_000 * PER_TOKEN)
    token_budget(llama, gpu.memory)
    passes = len(gpu.passes)
    gpu.free *= 2  # another program ended
    assert token_budget(llama, gpu.memory) == 32768
    assert len(gpu.passes) == passes
    token_budget(loaded["gpt2"], gpu.memory)
    assert len(gpu.passes) == 2 * passes
    token_budget(llama, Memory("another GPU", gpu.memory.free, gpu.memory.taken))
    assert len(gpu.passes) == 3 * passes
    token_budget(llama, gpu.memory)
    assert len(gpu.passes) == 3 * passes  # the others did not take its place


def test_a_memory_that_does_not_hold_the_measured_passes(
    llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert token_budget(llama, FakeGpu(monkeypatch, 10, holds=2000).memory) == 2048
    assert not folder.exists()  # the next time there may be more


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', "null", "\x00", "not measured"])
def test_a_file_that_is_damaged_is_measured_anew(
    llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch, folder: Path, content: str
) -> None:
    gpu = FakeGpu(monkeypatch, 33_000 * PER_TOKEN)
    token_budget(llama, gpu.memory)
    (file,) = folder.iterdir()
    whole = json.loads(file.read_text())
    file.write_text(json.dumps({name: [0, "a"] for name in whole}) if content == "not measured" else content)
    gpu.passes.clear()
    assert token_budget(llama, gpu.memory) == 16384
    assert gpu.passes
    assert json.loads(file.read_text()) == whole


def test_a_folder_that_cannot_be_written_is_no_error(
    llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(budget, "cache_folder", lambda: tmp_path / "file" / "cache")
    gpu = FakeGpu(monkeypatch, 33_000 * PER_TOKEN)
    assert token_budget(llama, gpu.memory) == 16384
    remember_halving(llama, gpu.memory)
    assert token_budget(llama, gpu.memory) == 16384


def test_a_halving_is_remembered_up_to_a_limit(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu(monkeypatch, 1 << 50)
    monkeypatch.setattr(halving, "memory_of", lambda _: gpu.memory)
    monkeypatch.setitem(llama.__dict__, "token_budget", token_budget(llama, gpu.memory))
    halving.halved(llama, [1, 2])
    assert llama.token_budget == token_budget(llama, gpu.memory) == 32768
    for _ in range(9):
        halving.halved(llama, [1, 2])
    assert llama.token_budget < 2048
    assert token_budget(llama, gpu.memory) == 8192  # a batch size of one's own may have been the cause


def test_the_trial_runs_as_many_tokens(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Size] = []
    monkeypatch.setattr(type(llama.backend), "final", lambda _, batch: seen.append(batch.tokens.shape))
    budget._trial(llama, 1024)
    monkeypatch.setattr(llama.backend, "context", 16)
    budget._trial(llama, 1024)
    assert seen == [(16, 64), (64, 16)]
