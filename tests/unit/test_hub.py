"""Plans and vectors for the Hugging Face hub: folders, cards, uploads, and reading a pinned revision. Nothing is sent."""

import logging
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pandas as pd
import pytest
import torch
import yaml
from huggingface_hub import ModelCard

import steerlens as sl
from steerlens.errors import FileError, SettingsError
from steerlens.evaluation import Plane
from steerlens.steering import SteeringPlan, SteeringVector, VectorSet

COMMIT, OTHER = "a" * 40, "b" * 40
GIVEN: dict[str, Any] = {"license": "mit", "base_model": "google/gemma-3-270m"}


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel) -> VectorSet:
    generator = torch.Generator().manual_seed(0)
    own = [
        SteeringVector(torch.randn(2, 32, generator=generator), (1, 2), llama.fingerprint, name, locale, n=7)
        for name in ("EN", "LOC")
        for locale in ("es-ES", "ko-KR")
    ]
    return VectorSet(own)


@pytest.fixture
def plan(vectors: VectorSet) -> SteeringPlan:
    return vectors["EN", "es-ES"].at(1, 0.5) + vectors["LOC", "es-ES"].at(2, 2.0)


def _plane(plan: SteeringPlan) -> Plane:
    row = {"method": "mine", "locale": "mean", "score": "transfer", "n": 8, "value": 0.5, "change": 0.25, "low": 0.1, "high": 0.4}
    described = {"mine": {"es-ES": f"weights …, {plan} ({plan.digest()[:12]}), implicit prompt"}}
    meta = {"model": plan.fingerprint.to_dict(), "methods": described, "items": "0123"}
    return Plane(pd.DataFrame([row]).assign(control=""), meta)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, in a folder of the test, without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def _cached(cache: Path, artifact: Any, *, commit: str = COMMIT, main: str = COMMIT, name: str = "someone--surgical") -> Path:
    """Puts what ``push_to_hub`` uploads into the cache as huggingface_hub does: blobs, links to them by commit, and refs."""
    written = artifact.save_for_hub(cache / "written", **GIVEN)
    repository = cache / f"models--{name}"
    snapshot = repository / "snapshots" / commit
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    for file in written.iterdir():
        blob = repository / "blobs" / f"{commit}-{file.name}"
        file.rename(blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    (repository / "refs" / "main").write_text(main)
    return snapshot


def test_a_folder_for_the_hub_is_read_again(plan: SteeringPlan, vectors: VectorSet, tmp_path: Path) -> None:
    folder = plan.save_for_hub(tmp_path / "plan", plane=_plane(plan), **GIVEN)
    assert {file.name for file in folder.iterdir()} == {"plan.safetensors", "README.md", "plane.parquet"}
    assert SteeringPlan.load(folder).digest() == plan.digest()
    assert SteeringPlan.load(folder / "plan.safetensors").digest() == plan.digest()
    assert Plane.load(folder / "plane.parquet").frame["change"][0] == 0.25
    again = VectorSet.load(vectors.save_for_hub(tmp_path / "set", **GIVEN))
    assert again.digest() == vectors.digest()
    assert again.source == ""


def test_the_card_says_what_it_is(plan: SteeringPlan, vectors: VectorSet, tmp_path: Path) -> None:
    folder = plan.save_for_hub(tmp_path / "plan", plane=_plane(plan), notes="Taken with **care**.", repo_id="me/mine", **GIVEN)
    card = ModelCard.load(folder / "README.md")  # the hub's own reader
    assert card.data.license == "mit"
    assert card.data.base_model == "google/gemma-3-270m"
    assert card.data.library_name == "steerlens"
    assert "steering-vectors" in card.data.tags
    for said in (
        str(plan.digest()),
        plan.fingerprint.weights,
        "mean",
        "+0.250",
        "+0.100 to +0.400",
        "0.5",
        "Taken with **care**.",
        "This steering plan is the method mine.",
    ):
        assert said in card.content, said
    assert "weight_processing" in card.content
    header = yaml.safe_load((vectors.save_for_hub(tmp_path / "set", **GIVEN) / "README.md").read_text().split("---")[1])
    assert header["language"] == ["es", "ko"]


def test_the_cards_code_runs(
    plan: SteeringPlan, vectors: VectorSet, llama: sl.LensModel, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sl, "load", lambda *_, **__: llama)
    for artifact, name in ((plan, "someone--surgical"), (vectors, "someone--set")):
        _cached(cache, artifact, name=name)
        written = artifact.save_for_hub(cache / "card", repo_id=name.replace("--", "/"), **GIVEN) / "README.md"
        (code,) = re.findall(r"```python\n(.*?)```", written.read_text(), re.DOTALL)
        names: dict[str, Any] = {}
        exec(code, names)
        assert names["artifact"].source == f"{name.replace('--', '/')}@{COMMIT}"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"dtype": "bfloat16, gptq 4 bit"}, "sl.load('google/gemma-3-270m', dtype='bfloat16')"),
        ({"weight_processing": "compatibility"}, "model.tl.enable_compatibility_mode()"),
        ({"weight_processing": "folded norms"}, "HookedTransformer"),
        ({"name": "my model"}, "sl.load('google/gemma-3-270m', dtype='float32')"),
        ({"name": "someone/tuned"}, "sl.load('someone/tuned', dtype='float32')"),
        ({"name": "gemma-3-270m"}, "sl.load('gemma-3-270m', dtype='float32')"),  # the embedded one
    ],
)
def test_the_cards_code_loads_the_model_as_it_was(plan: SteeringPlan, tmp_path: Path, told: dict[str, str], said: str) -> None:
    own = replace(plan, fingerprint=replace(plan.fingerprint, **told))
    assert said in (own.save_for_hub(tmp_path, **GIVEN) / "README.md").read_text()


def test_names_in_a_card_stay_text(vectors: VectorSet, tmp_path: Path) -> None:
    hostile = VectorSet([vectors["EN", "es-ES"].called("a | b\n# big <script> [x](http://y)")])
    text = (hostile.save_for_hub(tmp_path, **GIVEN) / "README.md").read_text()
    assert "\n# big" not in text
    outside = re.sub(r"```python\n.*?\n```", "", text, flags=re.DOTALL)
    assert "<script" not in outside.replace("\\<script", "")
    assert r"a \| b # big" in text


def test_a_path_of_this_machine_is_not_told(plan: SteeringPlan, tmp_path: Path) -> None:
    assert plan.fingerprint.name.startswith("/")  # the tiny model's folder
    folder = plan.save_for_hub(tmp_path / "plan", plane=_plane(plan), **GIVEN)
    assert SteeringPlan.load(folder).fingerprint.name == "google/gemma-3-270m"
    assert Plane.load(folder / "plane.parquet").meta["model"]["name"] == "google/gemma-3-270m"
    assert all(plan.fingerprint.name.encode() not in file.read_bytes() for file in folder.iterdir())


def test_what_a_card_cannot_do_without_is_asked_for(plan: SteeringPlan, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="base_model"):
        plan.save_for_hub(tmp_path, license="mit")
    with pytest.raises(SettingsError, match="licen"):
        plan.save_for_hub(tmp_path, license="All Rights Reserved!", base_model="a/b")
    with pytest.raises(SettingsError, match="but not plan"):
        plan.save_for_hub(tmp_path, plane=_plane(2 * plan), **GIVEN)
    other = _plane(plan)
    other.meta["model"] = {**other.meta["model"], "weights": "0" * 64}
    with pytest.raises(SettingsError, match="was made with other parts than the given ones"):
        plan.save_for_hub(tmp_path, plane=other, **GIVEN)
    for lost in ("model", "methods"):
        silent = _plane(plan)
        del silent.meta[lost]
        with pytest.raises(SettingsError, match="does not say"):
            plan.save_for_hub(tmp_path, plane=silent, **GIVEN)
    (tmp_path / "plane.parquet").write_text("an older one")
    with pytest.raises(FileError, match="earlier"):
        plan.save_for_hub(tmp_path, **GIVEN)
    (tmp_path / "plane.parquet").unlink()
    assert not list(tmp_path.iterdir())  # nothing was written before it was refused
    (tmp_path / "taken").write_text("")
    with pytest.raises(FileError, match="not a folder"):
        plan.save_for_hub(tmp_path / "taken", **GIVEN)


def test_a_pinned_revision_is_read(plan: SteeringPlan, vectors: VectorSet, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    _cached(cache, plan)
    _cached(cache, 2 * plan, commit=OTHER)
    with caplog.at_level(logging.WARNING, "steerlens"):
        first = SteeringPlan.load("someone/surgical", revision=COMMIT)
        assert not caplog.records
        assert SteeringPlan.load("someone/surgical", revision=OTHER).digest() == (2 * plan).digest()
        newest = SteeringPlan.load("someone/surgical")
    assert first.digest() == newest.digest() == plan.digest()
    assert first.source == f"someone/surgical@{COMMIT}"
    assert COMMIT in caplog.text  # which one was read is said where none was named
    assert (first * 2).source == ""  # it is another plan now
    _cached(cache, vectors, name="someone--set")
    assert VectorSet.load("someone/set", revision=COMMIT).source == f"someone/set@{COMMIT}"


def test_what_the_hub_does_not_give_is_said(plan: SteeringPlan, cache: Path) -> None:
    _cached(cache, plan)
    with pytest.raises(FileError, match="is not a file on this machine and cannot be read"):
        SteeringPlan.load("someone/missing")
    with pytest.raises(FileError, match=OTHER):
        SteeringPlan.load("someone/surgical", revision=OTHER)
    with pytest.raises(FileError, match=r"no vectors\.safetensors"):
        VectorSet.load("someone/surgical")
    with pytest.raises(FileError, match="No such file"):
        SteeringPlan.load("someone/plan.safetensors")  # a file that is not there, and no repository


def test_ways_out_of_a_folder_are_refused(plan: SteeringPlan, cache: Path, tmp_path: Path) -> None:
    snapshot = _cached(cache, plan)
    secret = plan.save(tmp_path / "elsewhere.safetensors")
    (snapshot / "plan.safetensors").unlink()
    (snapshot / "plan.safetensors").symlink_to(secret)
    with pytest.raises(FileError, match="outside this folder"):
        SteeringPlan.load("someone/surgical", revision=COMMIT)
    with pytest.raises(FileError, match="outside this folder"):
        SteeringPlan.load(snapshot)
    for given in ("../../etc/passwd", "someone/..", "someone/../x"):
        with pytest.raises(FileError):
            SteeringPlan.load(given)
    for revision in ("../../main", "", "a b"):
        with pytest.raises(SettingsError, match="expected a commit"):
            SteeringPlan.load("someone/surgical", revision=revision)
    with pytest.raises(SettingsError, match="repository of the Hugging Face hub"):
        SteeringPlan.load(secret, revision=COMMIT)
    (snapshot.parent.parent / "refs" / "main").write_text("../../..")
    with pytest.raises(FileError):
        SteeringPlan.load("someone/surgical")


def test_pickles_are_never_read(cache: Path, plan: SteeringPlan) -> None:
    snapshot = _cached(cache, plan)
    blob = (snapshot / "plan.safetensors").resolve()
    blob.write_bytes(b"\x80\x04cos\nsystem\n(S'echo owned'\ntR.")
    with pytest.raises(FileError, match="not a safetensors file"):
        SteeringPlan.load("someone/surgical", revision=COMMIT)


class _Hub:
    """What ``HfApi`` is asked to do."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def create_repo(self, repo_id: str, **settings: Any) -> None:
        _calls.append(("create", repo_id, settings))

    def upload_folder(self, *, folder_path: Path, allow_patterns: list[str], **settings: Any) -> Any:
        files = {file.name: file.read_bytes() for file in Path(folder_path).iterdir()}
        _calls.append(("upload", allow_patterns, settings, files))
        return SimpleNamespace(oid=COMMIT, commit_url=f"https://huggingface.co/me/mine/commit/{COMMIT}")


_calls: list[Any] = []


def test_what_is_uploaded(plan: SteeringPlan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _calls.clear()
    monkeypatch.setattr(huggingface_hub, "HfApi", _Hub)
    pushed = plan.push_to_hub("me/mine", private=True, plane=_plane(plan), **GIVEN)
    assert (pushed.repo_id, pushed.revision, str(pushed)) == ("me/mine", COMMIT, f"me/mine@{COMMIT}")
    (create, upload) = _calls
    assert create == ("create", "me/mine", {"private": True, "exist_ok": True})
    assert upload[2]["delete_patterns"] == ["plane.parquet"]  # an older plan's, where none takes its place
    assert set(upload[1]) == set(upload[3]) == {"plan.safetensors", "README.md", "plane.parquet"}
    (tmp_path / "plan.safetensors").write_bytes(upload[3]["plan.safetensors"])
    assert SteeringPlan.load(tmp_path).digest() == plan.digest()
    assert b"SteeringPlan.load('me/mine'" in upload[3]["README.md"]


def test_refused_uploads_say_what_to_do(plan: SteeringPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="user/name"):
        plan.push_to_hub("mine", **GIVEN)

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(_Hub, "create_repo", refuse)
    monkeypatch.setattr(huggingface_hub, "HfApi", _Hub)
    with pytest.raises(FileError, match="hf auth login"):
        plan.push_to_hub("me/mine", **GIVEN)
