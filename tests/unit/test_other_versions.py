"""Files of another version of steerlens are refused in words, whatever field they lack, add or fill with something else."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import steerlens as sl
from steerlens.activations import ResidualStack
from steerlens.data import Items
from steerlens.errors import FileError
from steerlens.evaluation import Chosen, Sweep
from steerlens.fingerprint import Fingerprint
from steerlens.steering import SteeringPlan, SteeringVector, difference_of_means
from steerlens.storage import field_of

pytestmark = pytest.mark.usefixtures("as_users_run_it")
KINDS = (SteeringVector, SteeringPlan, ResidualStack)
WRONG = (None, "text", 7, -1, 1.5, True, [], ["text"], [None], {}, {"a": 1}, [[0]], float("nan"))


@pytest.fixture(scope="module")
def kept(llama: sl.LensModel, items: Items, tmp_path_factory: pytest.TempPathFactory) -> dict[type, Path]:
    """A right file of each kind."""
    folder, stack = tmp_path_factory.mktemp("kept"), llama.residuals(items.prompts()[:3])
    vector = difference_of_means(llama, items.english_pairs("es-ES"))
    results = (vector, vector.at(1) + vector.projection().at(2), stack)
    return {type(result): result.save(folder / f"{number}.safetensors") for number, result in enumerate(results)}


def _content(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["steerlens"])  # noqa: SIM118


def _places(values: Any, at: tuple = ()) -> Iterator[tuple]:
    """Every dictionary of a header, and every key in it."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield (*at, key)
            yield from _places(value, (*at, key))
    elif isinstance(values, list):
        for number, value in enumerate(values):
            yield from _places(value, (*at, number))


def _changed(header: dict[str, Any], place: tuple, change: Callable[[dict, Any], None]) -> dict[str, Any]:
    header = copy.deepcopy(header)
    own: Any = header
    for step in place[:-1]:
        own = own[step]
    change(own, place[-1])
    return header


def _refused_or_read(path: Path, kind: type, tensors: dict[str, torch.Tensor], header: Any) -> str:
    """What the error says; empty if the file was read after all."""
    save_file(tensors, path, {"steerlens": json.dumps(header)})
    try:
        read = kind.load(path)
        str(read), repr(read), read.save(path)
    except FileError as error:
        return str(error) if str(path) in str(error) else "without its path"
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_unknown_fields(kept: dict[type, Path], kind: type, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    tensors, header = _content(kept[kind])
    assert _refused_or_read(path, kind, tensors, header) == ""  # the control
    places = list(_places(header))
    for place in places:
        said = _refused_or_read(path, kind, tensors, _changed(header, place, lambda own, key: own.pop(key)))
        assert said != "without its path"
        assert said or (len(place) > 1), place  # a header's own fields are all needed; below them, those with a default are not
        if place[0] != "kind" and said and place[0] != "format":
            assert repr(place[-1]) in said
            assert "another version" in said
        if "notes" in place or place[-1] in ("kind", "format"):
            continue

        def add(own: dict, key: str) -> None:
            own["colour"] = own[key]

        said = _refused_or_read(path, kind, tensors, _changed(header, place, add))
        assert "'colour'" in said
        assert "another version" in said


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_other_types(kept: dict[type, Path], kind: type, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    tensors, header = _content(kept[kind])
    refused = 0
    for place in _places(header):
        for wrong in WRONG:
            refused += bool(
                _refused_or_read(path, kind, tensors, _changed(header, place, lambda own, key, w=wrong: own.update({key: w})))
            )
    assert refused > 8 * len(list(_places(header))) // 2
    for wrong in (None, [], "text", 7):
        assert _refused_or_read(path, kind, tensors, wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_other_tensors(kept: dict[type, Path], kind: type, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    tensors, header = _content(kept[kind])
    for name, tensor in tensors.items():
        changes = [{name: tensor[..., :-1].clone()}, {name: tensor[None].clone()}, {"other": tensor.clone()}]
        changes += [{name: tensor.bool()}] + ([{name: tensor * float("nan")}] if kind is not ResidualStack else [])
        for change in changes:
            assert _refused_or_read(path, kind, tensors | change, header), (name, change)
        without = {other: own for other, own in tensors.items() if other != name}
        assert _refused_or_read(path, kind, without, header) or name == "positive"


def test_a_fingerprint_alone(llama: sl.LensModel) -> None:
    values = llama.fingerprint.to_dict()
    assert Fingerprint.from_dict(values) == Fingerprint.from_dict(json.loads(json.dumps(values))) == llama.fingerprint
    for bad in ({**values, "colour": 1}, {k: v for k, v in values.items() if k != "weights"}, {**values, "n_layers": "4"}, None):
        with pytest.raises(FileError, match="another version"):
            Fingerprint.from_dict(bad)


@pytest.mark.parametrize("change", [("method",), ("steps",), ("dev",), ("aims",), ("steps", 0, "layer")])
def test_a_choice_and_a_manifest(change: tuple) -> None:
    cells = [{"vector": "EN", "layer": 1, "strength": 2.0, "tokens": "all"}]
    gains = dict.fromkeys(("transfer", "localization", "english_centric", "transfer_margin", "localization_margin"), 0.5)
    values = {"method": "EN", "steps": cells, "aims": ["transfer", "localization"], "dev": gains}
    assert Chosen.from_dict(values).to_dict() == values
    for wrong in (lambda own, key: own.pop(key), lambda own, key: own.update({key: {"a": []}})):
        with pytest.raises(FileError, match=r"chosen\.json.*another version"):
            Chosen.from_dict(_changed(values, change, wrong), "chosen.json")
    for manifest in (None, {}, {"settings": None}, {"settings": {"locales": "es-ES"}}):
        with pytest.raises(FileError, match=r"manifest\.json.*'settings\.locales'"):
            field_of(manifest, ["settings", "locales"], tuple[str, ...], "manifest.json")


@pytest.mark.parametrize("lost", Sweep.columns)
def test_a_sweep_without_a_column(lost: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({name: [1] for name in Sweep.columns if name != lost})
    with pytest.raises(FileError, match=f"lacks the columns {lost}: expected a table of Sweep"):
        Sweep.load(Sweep(frame).save(tmp_path / "sweep.parquet"))
