"""A model whose blocks lie on several devices, or wait on the disk, does every job as the same model on one CPU does.

On a CPU, blocks wait on the disk here, and a process of its own has them on two pretended devices that refuse each other's
tensors (``tests/pretend.py``), and in the CPU's memory. ``STEERLENS_TEST_DEVICE=pretend`` runs all tests that way, and ``cuda``
splits a model over the GPUs that there are.
"""

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from places import DEVICE, some_items
from transformers import AutoModelForCausalLM, MixtralConfig, MixtralForCausalLM

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import ModelError, SettingsError, UnknownNameError
from steerlens.evaluation import Checkpoint, Outcome, Scorer, Scoring
from steerlens.models.backends import BridgeBackend
from steerlens.models.backends.unbridged import unbridged_digest
from steerlens.models.budget import Memory, token_budget
from steerlens.models.placing import placing_of
from steerlens.models.unembedding import Targets, Unembedding
from steerlens.steering import SteeringPlan, take

TEXTS = ("Hello there", "Pregunta: ¿Qué se desayuna?\nRespuesta:")
PARTS = {
    "llama": (("model.embed_tokens", "model.rotary_emb"), "model.layers.{}", ("model.norm", "lm_head")),
    "gemma2": (("model.embed_tokens", "model.rotary_emb", "lm_head"), "model.layers.{}", ("model.norm",)),
    "gpt2": (("transformer.wte", "transformer.wpe", "lm_head"), "transformer.h.{}", ("transformer.ln_f",)),
}
"""What stands in front of the blocks, with the unembedding where it shares its weights; the blocks; and what follows them."""
GPUS = torch.cuda.device_count()
PLACES: dict[str, dict[str, tuple[str | int, str | int]]] = {
    "cpu": {"waits on the disk": ("cpu", "disk")},
    "pretend": {
        "two devices": ("pretend:0", "pretend:1"),
        "a device and the CPU": ("pretend:0", "cpu"),
        "waits in memory": ("pretend:0", "cpu"),
    },
    "cuda": {"waits in memory": (0, "cpu"), **({"two devices": (0, 1)} if GPUS > 1 else {})},
}
HERE = PLACES[DEVICE.split(":")[0]]
ALL = [("llama", places) for places in HERE] + [("gpt2", next(iter(HERE)))]
if DEVICE != "cpu":
    ALL += [("gemma2", places) for places in HERE]


class Pair(NamedTuple):
    """One model in several places, and on the CPU."""

    split: sl.LensModel
    whole: sl.LensModel


def map_of(name: str, first: str | int, second: str | int) -> dict[str, str | int]:
    """The first half of a model in one place, the second in another."""
    front, block, end = PARTS[name]
    blocks = {block.format(layer): first if layer < 2 else second for layer in range(4)}
    return {**dict.fromkeys(front, first), **blocks, **dict.fromkeys(end, second)}


def split(folder: Path, name: str, places: str, known: dict[str, tuple[str | int, str | int]] = HERE) -> sl.LensModel:
    """A model in two places. accelerate alone brings blocks that the CPU keeps to the GPU; here the CPU runs them."""
    device_map = map_of(name, *known[places])
    if places != "a device and the CPU":
        return sl.load(folder, dtype="float32", device_map=device_map)
    from accelerate import dispatch_model
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    dispatch_model(model, device_map, main_device="cpu")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return sl.load(TransformerBridge.boot_transformers(str(folder), hf_model=model, tokenizer=tokenizer))


@pytest.fixture(scope="module")
def pair_of(model_folders: dict[str, Path]) -> Callable[[str, str], Pair]:
    whole = cache(lambda name: sl.load(model_folders[name], "cpu", "float32"))
    return cache(lambda name, places: Pair(split(model_folders[name], name, places), whole(name)))


@pytest.fixture(params=ALL, ids=", ".join)
def pair(request: pytest.FixtureRequest, pair_of: Callable[[str, str], Pair]) -> Pair:
    return pair_of(*request.param)


@pytest.fixture(params=HERE)
def llamas(request: pytest.FixtureRequest, pair_of: Callable[[str, str], Pair]) -> Pair:
    return pair_of("llama", request.param)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.device.type == expected.device.type == "cpu"
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def sums(outcomes: list[Outcome]) -> list[float]:
    return [score for outcome in outcomes for score in outcome.scores]


def plans_of(model: sl.LensModel, items: Items, tokens: str) -> list[SteeringPlan]:
    """Plans that begin below the cut, on both sides of it, and above."""
    en = take(model, items)["EN", "es-ES"]
    return [en.at(1, 3.0, tokens), en.at(0, 1.0, tokens) + en.at(2, -2.0, tokens), en.at(3, 2.0, tokens)]


# What must hold of every pair


def it_is_split(pair: Pair, items: Items) -> None:
    """The positive control: weights lie in two places, or have no numbers until they are needed."""
    assert pair.split.capabilities.sharded
    assert not pair.whole.capabilities.sharded
    assert len({parameter.device for parameter in pair.split.backend.parameters()}) == 2
    assert pair.split.tl.original_model.hf_device_map
    assert pair.split.devices[0] == pair.split.device
    assert str(pair.split.device) in repr(pair.split)
    assert pair.split.tl.cfg.device == str(pair.split.device)  # where TransformerLens puts tokens
    assert pair.split.tl.cfg.n_devices == 2  # it moves no such model
    assert pair.split.fingerprint == pair.whole.fingerprint
    pair.split.check_unembedding()
    assert pair.split.packs == pair.whole.packs
    assert pair.split.reuses_keys == pair.whole.reuses_keys


def residuals_are_the_same(pair: Pair, items: Items) -> None:
    for positions in ("last", "mean", 1):
        found, expected = (model.residuals(items.prompts()[:6], positions=positions).residuals for model in pair)
        close(found, expected)


def scores_are_the_same(pair: Pair, items: Items) -> None:
    """Of whole passes and of sweeps, with a prefix that all rows share and without, and no way was given up for a slower one."""
    spanish = list(items.of(locale="es-ES"))
    for tokens, examples in (("all", ()), ("last_onward", tuple(spanish[:3]))):
        plans = plans_of(pair.whole, items, tokens)
        split, whole = (Scorer(model, [spanish[3], spanish[-1]], Scoring("none", examples=examples)) for model in pair)
        swept = {index: outcomes for index, outcomes in split.sweep(plans) if outcomes is not None}
        for index, plan in enumerate(plans):
            expected = pytest.approx(sums(whole.score(plan)), abs=1e-4)  # sums of some ten log probabilities
            assert sums(swept[index]) == expected
            assert sums(split.score(plan)) == expected
        assert sums(split.base) == pytest.approx(sums(whole.base), abs=1e-4)
    assert all(pair.split.trusted.values()), pair.split.trusted


def gradients_are_the_same(pair: Pair, items: Items) -> None:
    some = list(items.of(locale="es-ES"))[:2]
    for tokens in ("all", "last_onward"):
        found, expected = (Scorer(model, some).gradients((0, 2), tokens) for model in pair)
        assert expected.norm() > 0
        close(found, expected)


def texts_are_the_same(pair: Pair, items: Items) -> None:
    plan = plans_of(pair.whole, items, "all")[1]
    written = []
    for model in pair:
        with plan.applied(model):
            steered = model.generate(list(TEXTS), 4)
        streamed = list(sl.models.stream(model, TEXTS[1], 4, around=lambda m=model: plan.applied(m)))
        written.append((model.generate(list(TEXTS), 4), steered, streamed))
    assert written[0] == written[1]
    assert written[0][1] != written[0][0]


def lenses_are_the_same(pair: Pair, items: Items) -> None:
    plan, spanish = plans_of(pair.whole, items, "all")[1], items.of(locale="es-ES", kind="factual").sample(3)
    tables = [sl.probing.logit_lens(model, spanish, plan, draws=20).frame["log_probability"] for model in pair]
    assert tables[0].tolist() == pytest.approx(tables[1].tolist(), abs=1e-4)
    tokens = [sl.probing.token_lens(model, TEXTS[1], plan, layers=[1, 2]).frame for model in pair]
    assert tokens[0]["top"].tolist() == tokens[1]["top"].tolist()
    close(*(sl.probing.token_embeddings(model, spanish.prompts()).residuals for model in pair))


def vectors_are_the_same(pair: Pair, items: Items) -> None:
    for mine, theirs in zip(*(take(model, items).values() for model in pair), strict=True):
        close(mine.directions, theirs.directions)


def sweeps_are_the_same(pair: Pair, items: Items) -> None:
    vector = take(pair.whole, items)["EN", "es-ES"]
    for mode in ("exact", "screened", "attribution", "halving"):
        given = ([vector], {"layers": [0, 2], "strengths": [1.0], "mode": mode})
        found, expected = (sl.evaluation.sweep(model, items.sample(1), given[0], **given[1]).frame["value"] for model in pair)
        assert len(expected)
        assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-4)


FORWARD = (residuals_are_the_same, scores_are_the_same, texts_are_the_same, lenses_are_the_same, vectors_are_the_same)


def test_it_is_split(pair: Pair, items: Items) -> None:
    it_is_split(pair, items)


def test_residuals(pair: Pair, items: Items) -> None:
    residuals_are_the_same(pair, items)


@pytest.mark.parametrize("job", FORWARD[1:], ids=lambda job: job.__name__)
def test_jobs_without_derivatives(llamas: Pair, items: Items, job: Callable[[Pair, Items], None]) -> None:
    job(llamas, items)


@pytest.mark.parametrize("job", [gradients_are_the_same, sweeps_are_the_same], ids=lambda job: job.__name__)
def test_jobs_with_derivatives(
    request: pytest.FixtureRequest, llamas: Pair, items: Items, job: Callable[[Pair, Items], None]
) -> None:
    if len({device for device in llamas.split.devices if device.type == "pretend"}) > 1:
        pytest.skip("PyTorch differentiates on one pretended device only")
    job(llamas, items)


def on_pretended_devices(folder: Path) -> None:
    """What is run in a process of its own, since pretended devices are PyTorch's from then on."""
    whole, items = sl.load(folder, "cpu", "float32"), some_items().sample(5)
    jobs = {
        "two devices": FORWARD,  # PyTorch differentiates on one pretended device only
        "a device and the CPU": (gradients_are_the_same, sweeps_are_the_same),
        "waits in memory": (residuals_are_the_same,),
    }
    for places, own in jobs.items():
        pair = Pair(split(folder, "llama", places, PLACES["pretend"]), whole)
        for job in (it_is_split, *own):
            job(pair, items)
    ends = sl.load(folder, dtype="float32", device_map={"model": "pretend", "lm_head": "pretend:1"})
    assert list(map(str, ends.devices)) == ["pretend:0", "pretend:1"]
    assert ends.capabilities.sharded
    assert ends.tl.W_in.device == ends.device


CODE = """
import os, pretend, sys, torch
from pathlib import Path
torch.set_num_threads(1)
from tests.unit.test_sharded import on_pretended_devices
on_pretended_devices(Path(sys.argv[1]))
os._exit(0)
"""
"""It ends without Python's own end, in which PyTorch's thread of gradients for such a device aborts the process now and then."""


@pytest.mark.skipif(DEVICE != "cpu", reason="the models of this process are on such a device already")
@pytest.mark.skipif(
    not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this PyTorch takes no backend written in Python",
)
def test_devices_that_refuse_each_others_tensors(model_folders: dict[str, Path]) -> None:
    root = Path(__file__).parents[2]
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (root, root / "tests")))}
    command = [sys.executable, "-c", CODE, str(model_folders["llama"])]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Loading


def waiting() -> dict[str, str | int]:
    """The map of a Llama whose second half is kept elsewhere."""
    return map_of("llama", *HERE.get("waits in memory", HERE.get("waits on the disk", ("cpu", "disk"))))


def test_the_spec_loads_it_the_same_way(pair_of: Callable[[str, str], Pair], model_folders: dict[str, Path]) -> None:
    model = pair_of("llama", list(HERE)[-1]).split
    again = model.spec.load()
    assert again.spec == model.spec
    assert again.tl.original_model.hf_device_map == model.tl.original_model.hf_device_map
    assert again.fingerprint == model.fingerprint
    beside = Checkpoint(model_folders["gpt2"]), Checkpoint(model_folders["llama"])
    with pytest.raises(ModelError, match="a place for every part"):
        beside[0].prepared(model, "es-ES")  # this map is not for it
    assert beside[1].prepared(model, "es-ES").model.spec.device_map == model.spec.device_map


def test_offloaded_weights_are_part_of_the_fingerprint(
    model_folders: dict[str, Path], llama: sl.LensModel, tmp_path: Path
) -> None:
    """Weights without numbers in memory are read from where they are kept, and a change there is seen."""
    other = AutoModelForCausalLM.from_pretrained(model_folders["llama"])
    with torch.no_grad():
        other.model.layers[3].mlp.down_proj.weight[0, 0] += 1  # in the half that is kept elsewhere
    other.save_pretrained(tmp_path)
    llama.tokenizer.hf.save_pretrained(tmp_path)
    model = sl.load(tmp_path, dtype="float32", device_map=waiting())
    assert model.fingerprint == sl.load(tmp_path, "cpu", "float32").fingerprint
    assert model.fingerprint.weights != llama.fingerprint.weights
    assert model.spec.device_map == waiting()
    assert isinstance(model.backend, BridgeBackend)
    assert model.backend.kept
    for kept in model.backend.kept:
        if isinstance(kept, Path):
            os.utime(kept, ns=(1, 1))
        else:
            kept.add_(1.0)
    with pytest.raises(ModelError, match="changed or moved after the model was loaded"):
        _ = model.spec


def test_auto_fills_memory_and_then_the_disk(model_folders: dict[str, Path], llama: sl.LensModel) -> None:
    model = sl.load(model_folders["llama"], dtype="float32", device_map="auto", max_memory={"cpu": "230KB"})
    assert set(model.tl.original_model.hf_device_map.values()) == {"cpu", "disk"}
    assert model.spec.max_memory == {"cpu": "230KB"}
    close(model.residuals(TEXTS).residuals, llama.residuals(TEXTS).residuals)


def test_weights_that_parts_share_wait_on_the_disk(model_folders: dict[str, Path], loaded: dict[str, sl.LensModel]) -> None:
    """The embedding, too, and the unembedding that it is; a bridge of such a model is on the device that it runs on."""
    model = sl.load(model_folders["gpt2"], dtype="float32", device_map={"": "disk"})
    assert model.tl.original_model.get_input_embeddings().weight.is_meta
    assert model.fingerprint == loaded["gpt2"].fingerprint
    model.check_unembedding()
    close(model.residuals(TEXTS).residuals, loaded["gpt2"].residuals(TEXTS).residuals)
    assert sl.load(model.tl, device=model.device).tl is model.tl
    assert model.tl.to_tokens("Hola").device == model.device


def test_a_spread_model_without_transformer_lens(model_folders: dict[str, Path], llama: sl.LensModel) -> None:
    """TransformerLens 4.3 bridges no map of a GPU and the CPU, and is not shown it."""
    plain = AutoModelForCausalLM.from_pretrained(model_folders["llama"], dtype=torch.float32, device_map={"": "disk"})
    plain.hf_device_map = {"model": 0, "lm_head": "cpu"}
    assert unbridged_digest(plain) == llama.fingerprint.weights
    assert plain.hf_device_map == {"model": 0, "lm_head": "cpu"}


def test_two_models_in_one_offload_folder(model_folders: dict[str, Path], llama: sl.LensModel, tmp_path: Path) -> None:
    """Their weights have the same names. Of a mixture of experts, the checkpoint holds them in another form than the model."""
    for seed in range(2):
        torch.manual_seed(seed)
        shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = MixtralConfig(vocab_size=600, num_key_value_heads=1, num_local_experts=2, **shape)
        MixtralForCausalLM(config).save_pretrained(tmp_path / str(seed))
        llama.tokenizer.hf.save_pretrained(tmp_path / str(seed))
    where = tmp_path / "offloaded"
    with pytest.raises(ModelError, match="Give this folder as offload_folder"):
        sl.load(tmp_path / "0", dtype="float32", device_map={"": "disk"})
    model = sl.load(tmp_path / "0", dtype="float32", device_map={"": "disk"}, offload_folder=where)
    before = model.residuals("Hello").residuals
    other = Checkpoint(tmp_path / "1").prepared(model, "es-ES").model
    assert other.spec.offload_folder == model.spec.offload_folder == str(where)
    assert len(list(where.iterdir())) == 2
    assert torch.equal(model.residuals("Hello").residuals, before)
    del model, other
    gc.collect()
    assert not list(where.iterdir())


def test_a_place_is_written_as_pytorch_writes_it(model_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate compares places as they are written, and takes the first of a set of them for what is offloaded."""
    model = sl.load(model_folders["llama"], device_map={"model": torch.device("cpu"), "lm_head": "cpu:0"})
    assert model.spec.device_map == {"model": "cpu", "lm_head": "cpu"}
    monkeypatch.setattr("steerlens.models.placing.choose_device", lambda own: torch.device("cuda", torch.device(own).index or 0))
    given = {"a": "cuda", "b": "cuda:1", "c": torch.device("cuda:1"), "d": "disk"}
    found = placing_of(None, given, None)
    assert found is not None
    assert found.device_map == {"a": 0, "b": 1, "c": 1, "d": "disk"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"device": "cpu", "device_map": "auto"}, "Remove one of the two arguments"),
        ({"max_memory": {"cpu": "1GB"}}, "Add device_map='auto'"),
        ({"device_map": {"": "cpu"}, "max_memory": {"cpu": "1GB"}}, "already places"),
        ({"device_map": "auto", "max_memory": {"gpu": "1GB"}}, "the number of a GPU"),
        ({"device_map": "auto", "max_memory": {"cpu": "much"}}, "a number of bytes"),
        ({"device_map": {"": "meta"}}, "contains no weights"),
        ({"device_map": {}}, "empty device_map"),
        ({"device_map": {"": "nowhere:7"}}, "cannot be used here"),
    ],
)
def test_settings_that_do_not_go_together(model_folders: dict[str, Path], settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        sl.load(model_folders["llama"], **settings)


def test_maps_that_cannot_be(model_folders: dict[str, Path], llama: sl.LensModel) -> None:
    with pytest.raises(ModelError, match="is already on a device"):
        sl.load(llama.tl, device_map="auto")
    with pytest.raises(UnknownNameError, match="Did you mean balanced"):
        sl.load(model_folders["llama"], device_map="balance")
    with pytest.raises(ModelError, match="a place for every part"):
        sl.load(model_folders["llama"], device_map={"model.embed_tokens": "cpu", "lm_head": "disk"})


def test_training_and_adapters_are_refused_in_words(model_folders: dict[str, Path], tmp_path: Path) -> None:
    from steerlens.models.loading import hugging_face_of

    model = sl.load(model_folders["llama"], dtype="float32", device_map=waiting())
    with pytest.raises(ModelError, match=r"loaded with several devices.*training needs a model on one device"):
        hugging_face_of(model.spec)
    peft = pytest.importorskip("peft")
    base = AutoModelForCausalLM.from_pretrained(model_folders["llama"])
    peft.get_peft_model(base, peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="merge_and_unload"):
        sl.load(model_folders["llama"], adapter=tmp_path, device_map=waiting())


def test_the_budget_is_that_of_the_device_with_the_least(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each device is measured, under a name of its own where it runs another number of blocks."""
    here, there, kept = torch.device("cuda:0"), torch.device("cuda:1"), []
    monkeypatch.setattr("steerlens.models.budget._trial", lambda *_: None)
    monkeypatch.setattr("steerlens.models.budget._keep", lambda name, _: kept.append(name))

    def memory(device: torch.device) -> Memory:
        taken = iter((0, 3_072_000))  # 1000 bytes a token
        return Memory("a GPU", lambda: (1 << 30) if device == here else 8_192_000, lambda _: next(taken), device)

    monkeypatch.setattr("steerlens.models.places.memory_of", memory)
    monkeypatch.setattr(sl.LensModel, "device", property(lambda _: here))
    monkeypatch.setattr(sl.LensModel, "block_devices", property(lambda _: (here, here, here, there)))
    monkeypatch.setattr(sl.LensModel, "devices", property(lambda _: (here, there)))
    assert token_budget(llama, memory(here)) == 65536
    assert sl.LensModel.token_budget.func(llama) == token_budget(llama, memory(there)) == 4096
    assert len(set(kept)) == 2


def test_an_unembedding_that_is_kept_elsewhere() -> None:
    """Blocks of it are brought to where logits are computed, whatever the sizes."""
    drawn = torch.Generator().manual_seed(0)
    weight, final = torch.randn(3000, 8, generator=drawn), torch.randn(4, 8, generator=drawn)
    targets = Targets(torch.tensor([0, 3, 3]), torch.tensor([5, 2999, 7]))
    away = Unembedding(weight, None, 3.0, device=torch.device(DEVICE))
    logits = 3 * (final @ weight.T / 3).tanh()
    expected = logits.log_softmax(-1)[targets.places, targets.tokens]
    close(away.log_probabilities(final, targets), expected)
    close(away.logits(final), logits)
    values, short, own = away.shortened(final, targets)
    close(values, expected)
    close(short.log_probabilities(final, own), expected)
    here = Unembedding(weight, None, 3.0)
    close(away.gradient(final, targets, torch.ones_like), here.gradient(final, targets, torch.ones_like))


@pytest.fixture(scope="session")
def items() -> Items:
    """Five concepts of each kind in English, Spanish and Korean."""
    return some_items().sample(5)
