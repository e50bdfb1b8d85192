"""An adapter is merged into its model, which then is another checkpoint that the plane can place."""

import shutil
from pathlib import Path

import pytest
import torch
from places import HERE
from transformers import AutoModelForCausalLM

import steerlens as sl
from steerlens.errors import FingerprintError, ModelError, SettingsError
from steerlens.evaluation import plane
from steerlens.steering import SteeringVector

peft = pytest.importorskip("peft")


@pytest.fixture(scope="module")
def adapter(model_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA with random weights, as ``save_pretrained`` writes it."""
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(model_folders["llama"])
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    peft.get_peft_model(model, config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapted(model_folders: dict[str, Path], adapter: Path) -> sl.LensModel:
    return sl.load(model_folders["llama"], adapter=adapter, **HERE)


def test_merged_weights_compute_what_the_adapted_model_does(
    adapted: sl.LensModel, llama: sl.LensModel, model_folders: dict[str, Path], adapter: Path
) -> None:
    base = AutoModelForCausalLM.from_pretrained(model_folders["llama"])
    ids = torch.tensor([llama.tokens("¿Qué se desayuna?").ids], device=llama.device)
    with torch.no_grad():
        expected = peft.PeftModel.from_pretrained(base, adapter).eval()(ids.cpu()).logits
        found, plain = (m.tl.original_model(ids).logits.cpu() for m in (adapted, llama))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(plain, expected, atol=1e-2)


def test_an_adapted_model_is_another_model(adapted: sl.LensModel, llama: sl.LensModel) -> None:
    vector = SteeringVector(torch.ones(4, llama.d_model), (0, 1, 2, 3), llama.fingerprint)
    with pytest.raises(FingerprintError, match="weights"), vector.at(1).applied(adapted):
        pass
    assert " + " in adapted.name


def test_the_plane_places_it_against_its_base(adapted: sl.LensModel, llama: sl.LensModel, items: sl.data.Items) -> None:
    """Placed among methods, it has the scores that it has alone; the base itself, placed so, changes nothing."""
    both = plane(llama, items, {"aligned": adapted, "same": llama}).frame.set_index(["method", "locale", "score"])
    assert (both.loc["same"]["change"] == 0).all()
    alone = plane(adapted, items, {"same": adapted}).frame.set_index(["method", "locale", "score"])
    assert both.loc["aligned"]["value"].to_dict() == pytest.approx(alone.loc["unsteered"]["value"].to_dict())
    assert both.loc["aligned"].loc["es-ES"].loc["consistency", "n"] > 0
    assert set(both.loc["aligned"].index.get_level_values("locale")) == {"es-ES", "ko-KR", "mean"}


def test_an_adapter_whose_weights_can_run_code_is_refused(model_folders: dict[str, Path], adapter: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = tmp_path / "old"
    shutil.copytree(adapter, folder)
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights in safetensors.*save_pretrained\(new_folder\)"):
        sl.load(model_folders["llama"], adapter=folder)


def test_mistakes(
    model_folders: dict[str, Path], loaded: dict[str, sl.LensModel], adapter: Path, items: sl.data.Items, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="cannot be merged"):
        sl.load(model_folders["gpt2"], adapter=adapter)
    with pytest.raises(ModelError, match=r"adapter_config\.json"):
        sl.load(model_folders["llama"], adapter=tmp_path)
    with pytest.raises(ModelError, match="before you make the bridge"):
        sl.load(loaded["llama"].tl, adapter=adapter)
    with pytest.raises(SettingsError, match="into other tokens"):
        plane(loaded["llama"], items, {"other": loaded["qwen2"]})  # which has no BOS
