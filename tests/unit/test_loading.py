"""Models from every kind of place, and clear words for those that cannot be had."""

import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from places import HERE
from transformers import PreTrainedModel

import steerlens as sl
from steerlens.errors import FileError, ModelError, SettingsError, UnknownNameError
from steerlens.models import cache_folder, loading
from steerlens.models.backends import BridgeBackend
from steerlens.models.cache import cached
from steerlens.models.embedded import EMBEDDED, file_sha256


def test_folder_and_bridge_are_the_same_model(model_folders: dict[str, Path], loaded: dict[str, sl.LensModel]) -> None:
    again = sl.load(str(model_folders["llama"]), **HERE)
    assert again.fingerprint == replace(loaded["llama"].fingerprint, name=again.name)
    wrapped = sl.load(again.tl)
    assert wrapped.tl is again.tl
    assert not wrapped.fingerprint.differences(again.fingerprint)
    assert wrapped.fingerprint.differences(loaded["qwen2"].fingerprint)


def test_threads_load_one_after_another(model_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers changes its classes while it reads a model; two at once would leave them changed for the whole process."""
    tie, read, both = PreTrainedModel.tie_weights, loading.hugging_face, threading.Barrier(2)

    def slowly(*given: Any, **named: Any) -> Any:
        with suppress(threading.BrokenBarrierError):  # nobody comes: the other thread waits for its turn
            both.wait(0.5)
        return read(*given, **named)

    monkeypatch.setattr(loading, "hugging_face", slowly)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: sl.load(model_folders["gpt2"], **HERE), range(2))
    assert both.broken
    assert PreTrainedModel.tie_weights is tie
    assert not first.fingerprint.differences(second.fingerprint)


def test_dtype_and_device(model_folders: dict[str, Path]) -> None:
    half = sl.load(model_folders["llama"], dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert half.residuals(["Hello"]).residuals.dtype == torch.float32
    assert "dtype" in half.fingerprint.differences(sl.load(model_folders["llama"], **HERE).fingerprint)[1]
    with pytest.raises(UnknownNameError, match="Did you mean"):
        sl.load(model_folders["llama"], dtype="float23")
    with pytest.raises(SettingsError, match="cannot be used here"):
        sl.load(model_folders["llama"], device="cuda:99")


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean gemma-3-270m"):
        sl.load("gemma-3-270")
    with pytest.raises(ModelError, match="no file or folder"):
        sl.load("./nowhere")
    with pytest.raises(ModelError, match="HookedTransformer, which TransformerLens had up to version 3"):
        sl.load(torch.nn.Linear(2, 2))


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnknownNameError, match="could not be loaded"):
        sl.load("nobody/nothing-at-all")


def test_a_folder_that_is_not_there_is_named_before_the_hub_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(UnknownNameError, match="could not be loaded"):
        sl.load("models/mine")
    assert "no folder mine in models" in caplog.text


def test_broken_folders(model_folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        sl.load(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(model_folders["llama"], broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        sl.load(broken)


def test_broken_gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEERLENS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(ModelError, match="is not a GGUF file"):
        sl.load(tmp_path / "text.gguf")
    (tmp_path / "cut.gguf").write_bytes(b"GGUF" + bytes([3, 0, 0, 0, 9]))
    with pytest.raises(ModelError, match="may be truncated"):
        sl.load(tmp_path / "cut.gguf")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STEERLENS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "steerlens"
    monkeypatch.setenv("STEERLENS_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


def test_killed_conversion_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEERLENS_CACHE", str(tmp_path))
    script = (
        "import os, signal\nfrom steerlens.models.cache import cached\n"
        "def build(folder):\n    (folder / 'half').write_text('x')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "cached('model', build)"
    )
    killed = subprocess.run([sys.executable, "-c", script], env={**os.environ, "STEERLENS_CACHE": str(tmp_path)}, check=False)
    assert killed.returncode != 0
    assert (tmp_path / ".model.part" / "half").exists()
    assert not (tmp_path / "model").exists()

    def build(folder: Path) -> None:
        assert not list(folder.iterdir())
        (folder / "whole").write_text("weights")

    assert (cached("model", build) / "whole").read_text() == "weights"
    assert not (tmp_path / ".model.part").exists()
    (tmp_path / "model" / "whole").write_text("wei")  # cut short by something else: built again
    assert (cached("model", build) / "whole").read_text() == "weights"


def test_failed_conversion_is_cleaned_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEERLENS_CACHE", str(tmp_path))

    def full_disk(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(FileError, match="No space left on device"):
        cached("model", full_disk)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_embedded_parts_are_checked_before_use(tmp_path: Path) -> None:
    module = tmp_path / "steerlens_test_part"
    (module / "data").mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "data" / "part").write_bytes(b"GGUF tampered with")
    sys.path.insert(0, str(tmp_path))
    try:
        fake = replace(EMBEDDED["gemma-3-270m"], parts=(("steerlens_test_part", "part"),))
        with pytest.raises(ModelError, match="expected a5fd3b62"):
            fake.join(tmp_path / "joined")
        assert not (tmp_path / "joined").exists()
        good = replace(fake, sha256=file_sha256(module / "data" / "part"))
        good.join(tmp_path / "joined")
        assert (tmp_path / "joined").read_bytes() == b"GGUF tampered with"
        with pytest.raises(ModelError, match=r"pip install 'steerlens\[demo\]'"):
            replace(fake, parts=(("no_such_module", "part"),)).join(tmp_path / "joined")
    finally:
        sys.path.remove(str(tmp_path))


def test_encoder_decoder_is_refused(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama.tl.original_model.config, "is_encoder_decoder", True, raising=False)
    with pytest.raises(ModelError, match="decoder-only"):
        sl.load(llama.tl)


def test_a_model_of_several_sequences_of_blocks_is_refused(llama: sl.LensModel) -> None:
    """As HRM text, of which TransformerLens shows no ``blocks``."""
    bridge = SimpleNamespace(original_model=llama.tl.original_model, tokenizer=llama.tl.tokenizer)
    with pytest.raises(ModelError, match="mine is a LlamaForCausalLM, which is not a single sequence of blocks"):
        BridgeBackend(bridge, "mine")


def test_config_is_json(model_folders: dict[str, Path]) -> None:
    assert json.loads((model_folders["gemma3"] / "config.json").read_text())["model_type"] == "gemma3_text"
