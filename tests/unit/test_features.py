"""Sparse autoencoders: their files, their features of residuals, and features as steering vectors."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import steerlens as sl
from steerlens.errors import FileError, FingerprintError, LayerError, SettingsError, VectorError
from steerlens.steering import SparseAutoencoder, feature_vector, features
from steerlens.storage import write_text

D, N, LAYER = 32, 48, 2
"""The width of the tiny models, the number of features, and the layer."""


def _tensors(**more: torch.Tensor) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(N, D, generator=generator), dim=1)
    bias = 0.1 * torch.randn(D, generator=generator)
    return {"W_enc": decoder.T.contiguous(), "b_enc": torch.full((N,), -0.1), "W_dec": decoder, "b_dec": bias, **more}


def _sae_lens(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **settings: Any) -> Path:
    """A folder as SAELens 6 writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"model_name": "tiny-llama", "hook_name": f"blocks.{LAYER}.hook_resid_post", "sae_lens_version": "6.54.12"}
    cfg = {
        **{"d_in": D, "d_sae": N, "dtype": "float32", "device": "cpu", "apply_b_dec_to_input": True},
        **{"normalize_activations": "none", "reshape_activations": "none", "architecture": "standard"},
    }
    metadata |= settings.pop("metadata", {})
    (folder / "cfg.json").write_text(json.dumps({**cfg, **settings, "metadata": metadata}))
    save_file(_tensors() if tensors is None else tensors, folder / "sae_weights.safetensors")
    return folder


@pytest.fixture
def named(llama: sl.LensModel) -> sl.LensModel:
    """The tiny model under the name that the autoencoders say."""
    return sl.LensModel(llama.tl, "someone/tiny-llama")


@pytest.fixture
def autoencoder(tmp_path: Path) -> SparseAutoencoder:
    return SparseAutoencoder.load(_sae_lens(tmp_path / "sae"))


def _by_hand(x: torch.Tensor, *, bias: bool = True) -> torch.Tensor:
    own = _tensors()
    return (x - bias * own["b_dec"]) @ own["W_enc"] + own["b_enc"]


def test_features_of_residuals_are_those_of_the_architecture(tmp_path: Path) -> None:
    x = torch.randn(5, D)
    read = SparseAutoencoder.load
    assert torch.allclose(read(_sae_lens(tmp_path / "relu")).activations(x), _by_hand(x).relu(), atol=1e-6)

    jump = _sae_lens(
        tmp_path / "jump", _tensors(threshold=torch.full((N,), 0.3)), architecture="jumprelu", apply_b_dec_to_input=False
    )
    before = _by_hand(x, bias=False)
    assert torch.allclose(read(jump).activations(x), before * (before > 0.3), atol=1e-6)

    top = read(_sae_lens(tmp_path / "top", architecture="topk", k=4)).activations(x)
    assert ((top > 0).sum(dim=1) == 4).all()
    assert torch.allclose(top.max(dim=1).values, _by_hand(x).max(dim=1).values, atol=1e-6)

    own = {**_tensors(), "W_dec": _tensors()["W_dec"] * torch.linspace(0.1, 3, N)[:, None]}
    by_norm = read(_sae_lens(tmp_path / "norm", own, architecture="topk", k=4, rescale_acts_by_decoder_norm=True))
    weighted = _by_hand(x) * torch.linspace(0.1, 3, N)
    assert torch.equal(by_norm.activations(x).argmax(dim=1), weighted.argmax(dim=1))

    centred = {"metadata": {"model_from_pretrained_kwargs": {"center_writing_weights": True}}}
    assert torch.allclose(
        read(_sae_lens(tmp_path / "centred", **centred)).activations(x),
        _by_hand(x - x.mean(dim=1, keepdim=True)).relu(),
        atol=1e-6,
    )


def test_places_of_the_residual_stream_are_found(tmp_path: Path) -> None:
    after = _sae_lens(tmp_path / "a", metadata={"hook_name": "blocks.1.hook_resid_post"})
    before = _sae_lens(tmp_path / "b", metadata={"hook_name": "blocks.2.hook_resid_pre"})
    assert SparseAutoencoder.load(after).layer == SparseAutoencoder.load(before).layer == 1
    old = tmp_path / "old"  # before version 6 all settings stood in one place
    _sae_lens(old)
    flat = {
        "d_in": D,
        "d_sae": N,
        "hook_point": "blocks.3.hook_resid_post",
        "model_name": "gpt2-small",
        "activation_fn_str": "relu",
    }
    (old / "cfg.json").write_text(json.dumps(flat))
    with pytest.raises(
        FileError, match="centred="
    ):  # the residuals of gpt2-small-res-jb were centred, and its files do not say so
        SparseAutoencoder.load(old)
    read = SparseAutoencoder.load(old, centred=True)
    assert (read.layer, read.model_name, read.subtracts_bias, read.centred) == (3, "gpt2-small", True, True)
    with pytest.raises(FileError, match="centred=True"):
        SparseAutoencoder.load(after, centred=True)
    (old / "cfg.json").write_text(json.dumps({**flat, "model_from_pretrained_kwargs": {}}))
    assert not SparseAutoencoder.load(old).centred


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metadata": {"hook_name": "blocks.2.hook_mlp_out"}}, "residual stream after a block"),
        ({"metadata": {"hook_name": "blocks.0.hook_resid_pre"}}, "residual stream after a block"),
        ({"normalize_activations": "layer_norm"}, "the units of its features differ"),
        ({"architecture": "gated"}, "gated"),
        ({"architecture": "topk"}, "does not contain the number k"),
        ({"architecture": "jumprelu"}, "threshold"),
        ({"activation_fn": "tanh-relu"}, "tanh-relu"),
        ({"reshape_activations": "hook_z"}, "residual stream after a block"),
    ],
)
def test_what_would_be_read_wrongly_is_refused(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(FileError, match=said):
        SparseAutoencoder.load(_sae_lens(tmp_path, **settings))


@pytest.mark.usefixtures("as_users_run_it")
def test_damaged_and_hostile_files_are_refused(tmp_path: Path) -> None:
    folder = _sae_lens(tmp_path / "sae")
    weights = folder / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(FileError, match="truncated"):
        SparseAutoencoder.load(folder)
    with pytest.raises(FileError, match="no autoencoder of a known kind"):
        SparseAutoencoder.load(tmp_path)
    scaled = _sae_lens(tmp_path / "scaled", _tensors(scaling_factor=torch.full((N,), 2.0)))
    with pytest.raises(FileError, match="scaling_factor"):
        SparseAutoencoder.load(scaled)
    objects = tmp_path / "layer_1" / "params.npz"
    objects.parent.mkdir()
    np.savez(objects, W_enc=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FileError, match="contains data that are not numbers"):
        SparseAutoencoder.load(objects)
    objects.write_bytes(b"PK nothing")
    with pytest.raises(FileError, match="damaged"):
        SparseAutoencoder.load(objects)
    shapes = {**_tensors(), "b_dec": torch.zeros(D + 1)}
    with pytest.raises(VectorError, match="decoder_bias"):
        SparseAutoencoder.load(_sae_lens(tmp_path / "shapes", shapes))


def test_gemma_scope_says_layer_and_model_in_its_path(tmp_path: Path) -> None:
    own = {name: tensor.numpy() for name, tensor in _tensors(threshold=torch.full((N,), 0.2)).items()}
    file = tmp_path / "gemma-scope-2b-pt-res" / "layer_12" / "width_16k" / "average_l0_82" / "params.npz"
    file.parent.mkdir(parents=True)
    np.savez(file, **own)
    assert zipfile.is_zipfile(file)
    read = SparseAutoencoder.load(file.parent)
    assert (read.layer, read.model_name, read.subtracts_bias, len(read)) == (12, "gemma-2-2b", False, N)
    x = torch.randn(3, D)
    before = _by_hand(x, bias=False)
    assert torch.allclose(read.activations(x), before * (before > 0.2), atol=1e-6)
    with pytest.raises(FileError, match="layer=3"):
        SparseAutoencoder.load(file, layer=3)
    embedding = tmp_path / "gemma-scope-2b-pt-res" / "embedding" / "params.npz"
    embedding.parent.mkdir()
    np.savez(embedding, **own)
    with pytest.raises(FileError, match="embedding"):
        SparseAutoencoder.load(embedding, layer=0)
    bare = tmp_path / "layer_9_of_mine" / "params.npz"  # only the folders of Gemma Scope say something
    bare.parent.mkdir()
    np.savez(bare, **own)
    with pytest.raises(FileError, match="Give layer="):
        SparseAutoencoder.load(bare)
    assert SparseAutoencoder.load(bare, layer=4, model_name="gemma-2-2b").layer == 4
    other = tmp_path / "gemma-scope-2b-pt-mlp" / "layer_1" / "params.npz"
    other.parent.mkdir(parents=True)
    np.savez(other, **own)
    with pytest.raises(FileError, match="mlp"):
        SparseAutoencoder.load(other)


def test_gemma_scope_2_is_read_from_its_settings(tmp_path: Path) -> None:
    folder = tmp_path / "resid_post" / "layer_7_width_16k_l0_small"
    folder.mkdir(parents=True)
    own = {name.lower(): tensor for name, tensor in _tensors(threshold=torch.zeros(N)).items()}
    save_file(own, folder / "params.safetensors")
    said = {"architecture": "jump_relu", "model_name": "gemma-v3-270m-pt", "hf_hook_point_in": "model.layers.7.output"}
    write_text(folder / "config.json", json.dumps(said))
    read = SparseAutoencoder.load(folder)
    assert (read.layer, read.model_name) == (7, "gemma-3-270m")
    (folder / "config.json").unlink()  # not all folders have one
    copied = tmp_path / "gemma-scope-2-1b-it" / "resid_post" / folder.name
    copytree(folder, copied)
    read = SparseAutoencoder.load(copied)
    assert (read.layer, read.model_name) == (7, "gemma-3-1b-it")
    write_text(folder / "config.json", json.dumps({**said, "hf_hook_point_out": None}))
    assert SparseAutoencoder.load(folder).layer == 7
    write_text(folder / "config.json", json.dumps({**said, "hf_hook_point_out": "model.layers.7.output"}))
    with pytest.raises(FileError, match="transcoder"):
        SparseAutoencoder.load(folder)


def test_names_hold_no_folder_of_this_machine(tmp_path: Path) -> None:
    """Since they go into the notes of vectors, which are shared."""
    cached = tmp_path / "models--someone--saes" / "snapshots" / ("a" * 40) / "layer2"
    scope = tmp_path / "gemma-scope-2b-pt-res" / "layer_2"
    scope.mkdir(parents=True)
    np.savez(scope / "params.npz", **{name: own.numpy() for name, own in _tensors(threshold=torch.zeros(N)).items()})
    names = [SparseAutoencoder.load(own).name for own in (_sae_lens(tmp_path / "mine"), _sae_lens(cached), scope)]
    assert names == ["mine", f"someone/saes@{'a' * 40}/layer2", "gemma-scope-2b-pt-res/layer_2"]


def test_a_feature_is_a_steering_vector_that_activates_it(named: sl.LensModel, autoencoder: SparseAutoencoder) -> None:
    vector = feature_vector(autoencoder, 17, named, locale="ko-KR")
    assert torch.equal(vector.direction(LAYER), autoencoder.decoder[17])
    assert (vector.name, vector.locale, vector.notes["feature"]) == ("feature 17", "ko-KR", 17)
    found = features(vector, autoencoder, 3)
    assert found.frame["feature"][0] == 17
    assert found.frame["cosine"][0] == pytest.approx(1, abs=1e-6)
    assert found.frame["change"].isna().all()
    with vector.at(LAYER, 4.0).applied(named):  # and it can steer
        named.generate("Hola", 2)


def test_change_is_what_adding_the_vector_does(named: sl.LensModel, autoencoder: SparseAutoencoder) -> None:
    stack = named.residuals(["Hola", "One two three", "¿Qué?"])
    vector = feature_vector(autoencoder, 5, named)
    row = features(vector, autoencoder, None, residuals=stack, strength=3).frame.set_index("feature")
    assert row.index[0] == 5
    assert len(row) == N
    x = stack.at(LAYER)
    before, after = autoencoder.activations(x), autoencoder.activations(x + 3 * autoencoder.decoder[5])
    assert row.loc[5, "change"] == pytest.approx(float((after - before)[:, 5].mean()), abs=1e-5)
    assert row.loc[9, "before"] == pytest.approx(float(before[:, 9].mean()), abs=1e-5)
    assert row.loc[5, "active_after"] == 1.0
    same = features(vector, autoencoder, None, residuals=x, strength=3).frame.set_index("feature")
    assert same.equals(row)
    assert features(-vector, autoencoder, None).frame["feature"].iloc[-1] == 5  # what is held down stands last
    nothing = features(vector, autoencoder, None, residuals=x, strength=0).frame
    assert (nothing["change"] == 0).all()


def test_a_table_of_features_is_kept(named: sl.LensModel, autoencoder: SparseAutoencoder, tmp_path: Path) -> None:
    found = features(feature_vector(autoencoder, 1, named), autoencoder)
    again = sl.steering.Features.load(found.save(tmp_path / "features.parquet"))
    assert again.frame.equals(found.frame)
    assert again.meta["autoencoder"]["layer"] == LAYER


def test_other_models_layers_and_shapes_are_refused(
    llama: sl.LensModel, named: sl.LensModel, autoencoder: SparseAutoencoder, loaded: dict[str, sl.LensModel]
) -> None:
    with pytest.raises(VectorError, match="check_name=False"):
        feature_vector(autoencoder, 0, llama)
    assert feature_vector(autoencoder, 0, llama, check_name=False).layers == (LAYER,)
    with pytest.raises(VectorError, match="without a name"):  # two names that nobody said are not the same name
        replace(autoencoder, model_name="").check(replace(named.fingerprint, name=""))
    with pytest.raises(VectorError, match="from 0 to 47"):
        feature_vector(autoencoder, N, named)
    with pytest.raises(LayerError):
        feature_vector(replace(autoencoder, layer=11), 0, named)
    wide = replace(autoencoder, encoder=torch.zeros(8, N), decoder=torch.zeros(N, 8), decoder_bias=torch.zeros(8))
    with pytest.raises(VectorError, match="d_model 8"):
        feature_vector(wide, 0, named)
    silent = replace(autoencoder, decoder=torch.zeros(N, D))
    with pytest.raises(VectorError, match="zeros"):
        feature_vector(silent, 0, named)
    vector = feature_vector(autoencoder, 0, named)
    with pytest.raises(VectorError, match="residuals of shape"):
        features(vector, autoencoder, residuals=torch.zeros(2, D + 1))
    with pytest.raises(FingerprintError):
        features(vector, autoencoder, residuals=loaded["qwen2"].residuals(["Hola"]))
    with pytest.raises(SettingsError, match="at least 1"):
        features(vector, autoencoder, 0)
    elsewhere = replace(vector, layers=(0,))
    with pytest.raises(LayerError):
        features(elsewhere, autoencoder)
