"""A ``HookedTransformer`` of TransformerLens 2 and 3 is held against Hugging Face alone, and against the bridge of version 4.

``make test-hooked`` runs these in environments of their own. The bridge's numbers lie in the folder that STEERLENS_HOOKED names.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import steerlens as sl
from steerlens.errors import FingerprintError, ModelError, PromptError
from steerlens.evaluation import Scorer
from steerlens.models.hooks import residual_hook
from steerlens.testing import behaviour, checks
from steerlens.testing.bench import TEXTS, Bench
from steerlens.testing.folders import write_model
from tests.hooked.converted import FAMILIES, hooked_transformer
from tests.hooked.measured import BRIDGED, NUMBERS, measured
from tests.places import some_items

HOOKED = pytest.importorskip("transformer_lens.HookedTransformer", reason="TransformerLens 4 has no HookedTransformer")
BRIDGE = os.environ.get("STEERLENS_HOOKED", "")
PACKED = ("Llama", "Gemma 2", "GPT-2", "GPT-NeoX (Pythia)", "GPT-J")
"""Families whose choices are packed: rotary positions of three kinds, and learned ones."""
Check = Callable[[Bench], dict[str, Any]]
CHECKS: tuple[Check, ...] = (checks.front, checks.residuals, checks.scores, checks.sweeps, checks.gradients)
CASES = [(name, check) for name in (*PACKED, "BLOOM") for check in CHECKS] + [(name, behaviour.texts) for name in BRIDGED]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each family, as Hugging Face's installed version writes it."""
    made = {name: tmp_path_factory.mktemp("model") for name in (*PACKED, "BLOOM")}
    for name, folder in made.items():
        write_model(FAMILIES[name], folder)
    return made


@pytest.fixture(scope="session")
def models(folders: dict[str, Path]) -> dict[str, sl.LensModel]:
    """The same, each as a ``HookedTransformer``."""
    return {name: sl.load(hooked_transformer(name, folder)) for name, folder in folders.items()}


@pytest.fixture(scope="session")
def llama(models: dict[str, sl.LensModel]) -> sl.LensModel:
    """One of them, where the architecture does not matter."""
    return models["Llama"]


@pytest.fixture(scope="session")
def plan(llama: sl.LensModel) -> sl.steering.SteeringPlan:
    """A vector of facts at one layer."""
    return sl.steering.difference_of_means(llama, some_items().english_pairs("es-ES")).at(1, 3.0)


def _bench(name: str, folders: dict[str, Path], models: dict[str, sl.LensModel]) -> Bench:
    """A model beside Hugging Face's, with eager attention: the default of Transformers 4 leaves Gemma 2's soft cap out."""
    bench = Bench.of(FAMILIES[name], folders[name], models[name])
    return replace(bench, hand=bench.hand.eager())


@pytest.mark.parametrize(("name", "check"), CASES, ids=[f"{name} {check.__name__}" for name, check in CASES])
def test_numbers_are_those_of_hugging_face(
    name: str, check: Check, folders: dict[str, Path], models: dict[str, sl.LensModel]
) -> None:
    """Residuals, scores, sweeps, derivatives and texts, under plans and unsteered."""
    found = check(_bench(name, folders, models))
    assert {column: str(finding) for column, finding in found.items()} == dict.fromkeys(found, "ok")


def test_choices_are_packed_and_passes_cached(models: dict[str, sl.LensModel]) -> None:
    """All of the faster ways served that a backend of this kind has, but where positions are counted by column."""
    items = some_items().sample(2)
    for name, model in models.items():
        scorer, vector = Scorer(model, items), sl.steering.difference_of_means(model, items.english_pairs("es-ES"))
        list(scorer.sweep([vector.at(layer, 1.0, tokens) for layer in (0, 2) for tokens in ("all", "last_onward")]))
        scorer.gradients([0, 2], "all")
        scorer.score(vector.at(1))
        assert model.capabilities.packed_choices == (name != "BLOOM"), name
        assert model.trusted, name
        assert all(model.trusted.values()), (name, model.trusted)
        assert not model.capabilities.key_reuse
        assert model.capabilities.left_padding
        assert not model.capabilities.sharded


@pytest.mark.parametrize("name", ["Llama", "GPT-2"])
def test_no_hook_is_left_and_strength_zero_changes_nothing(
    name: str, folders: dict[str, Path], models: dict[str, sl.LensModel]
) -> None:
    bench = _bench(name, folders, models)
    before = behaviour.hooks_at_rest(models[name])
    assert before == 0
    for found in (behaviour.strength_zero(bench), behaviour.hooks_left(bench, before)):
        assert {str(finding) for finding in found.values()} == {"ok"}


@pytest.mark.skipif(not BRIDGE, reason="STEERLENS_HOOKED names no folder")
@pytest.mark.parametrize("name", BRIDGED)
def test_the_whole_way_gives_the_bridges_numbers(name: str, folders: dict[str, Path]) -> None:
    """The bridge's own weights and numbers, which the TransformerLens of constraints.txt wrote."""
    folder = Path(BRIDGE) / name
    found = measured(sl.load(hooked_transformer(name, folder, tokenizer=folders[name])))
    expected = load_file(folder / NUMBERS)
    assert set(found) == set(expected)
    for what, numbers in expected.items():
        torch.testing.assert_close(found[what], numbers, rtol=2e-3, atol=2e-3, equal_nan=True, msg=lambda m, w=what: f"{w}: {m}")
    assert float(expected["sweep exact"].std()) > 0


def test_processing_is_part_of_the_fingerprint(folders: dict[str, Path], llama: sl.LensModel) -> None:
    processed = sl.load(hooked_transformer("GPT-2", folders["GPT-2"], processed=True))
    assert processed.fingerprint.weight_processing == "folded norms, centred writing weights, centred unembedding"
    plain = sl.load(hooked_transformer("GPT-2", folders["GPT-2"]))
    assert plain.fingerprint.weight_processing == llama.fingerprint.weight_processing == "none"
    folded = sl.load(hooked_transformer("Llama", folders["Llama"], processed=True))
    assert folded.fingerprint.weight_processing == "folded norms, centred unembedding"
    assert "weight_processing" in str(plain.fingerprint.differences(processed.fingerprint))
    vector = sl.steering.difference_of_means(plain, some_items().english_pairs("es-ES"))
    with pytest.raises(FingerprintError, match="weight_processing: none, folded norms"):
        Scorer(processed, some_items().sample(1)).score(vector.at(1))
    again = sl.load(hooked_transformer("GPT-2", folders["GPT-2"]))
    assert not again.fingerprint.differences(plain.fingerprint)
    with torch.no_grad():
        again.tl.blocks[0].mlp.W_in[0, 0] += 1
    assert [text.split(":")[0] for text in again.fingerprint.differences(plain.fingerprint)] == ["weights"]


def test_processing_leaves_scores_as_they_are(folders: dict[str, Path], models: dict[str, sl.LensModel]) -> None:
    items = some_items().sample(2)
    for name in ("GPT-2", "Llama"):
        processed = sl.load(hooked_transformer(name, folders[name], processed=True))
        for ours, theirs in zip(Scorer(processed, items).score(), Scorer(models[name], items).score(), strict=True):
            assert ours.scores == pytest.approx(theirs.scores, abs=1e-3)


def test_plans_steer_passes_of_your_own(llama: sl.LensModel, plan: sl.steering.SteeringPlan) -> None:
    """Tokens, texts, and TransformerLens' own ``generate`` with and without its cache."""
    tl, ids = llama.tl, torch.tensor([llama.tokens(TEXTS[0]).ids])
    seen = llama.residuals(TEXTS[0], positions="last")
    with plan.applied(llama):
        steered = llama.residuals(TEXTS[0], positions="last")
        _, cache = tl.run_with_cache(ids)
        text = llama.generate(TEXTS[0], 5)
        for settings in ({}, {"use_past_kv_cache": False}):
            written = tl.generate(ids, 5, do_sample=False, verbose=False, **settings)
            assert llama.tokenizer.completion(written[0, ids.shape[1] :].tolist()) == text
    assert not torch.allclose(steered.at(3), seen.at(3))
    for layer in (1, 3):
        torch.testing.assert_close(cache[residual_hook(layer)][0, -1], steered.at(layer)[0])
    named = torch.testing.assert_close
    named(tl.run_with_hooks(ids, fwd_hooks=plan.hooks(llama)), tl.run_with_hooks(TEXTS[0], fwd_hooks=plan.hooks(llama)))
    with pytest.raises(PromptError, match="did not see this pass's tokens"), plan.applied(llama):
        tl(torch.zeros(1, 3, llama.d_model), start_at_layer=1)


def test_a_cache_of_your_own_goes_on_from_the_prompt(llama: sl.LensModel, plan: sl.steering.SteeringPlan) -> None:
    tl, ids = llama.tl, torch.tensor([llama.tokens(TEXTS[0]).ids])
    with plan.applied(llama):
        whole = tl(ids)
        for pieces, named in (((0, 4), (4, None)), True), (((0, -1), (-1, None)), False):
            cache = _cache(tl)
            with sl.models.prompt_of(llama, ids.shape[1] if named else ids.shape[1] - 1):
                logits = [tl(ids[:, start:end], past_kv_cache=cache) for start, end in pieces][-1]
            assert torch.allclose(logits[0, -1], whole[0, -1], atol=1e-4) == named  # else the prompt ends a token earlier
        cache = _cache(tl)
        tl(ids[:, :4], past_kv_cache=cache)
        with pytest.raises(PromptError, match="whether these tokens belong to the prompt"):
            tl(ids[:, 4:], past_kv_cache=cache)


def _cache(tl: Any) -> Any:
    import transformer_lens

    kind = getattr(transformer_lens, "TransformerLensKeyValueCache", None) or transformer_lens.HookedTransformerKeyValueCache
    return kind.init_cache(tl.cfg, "cpu", 1)


def test_tokens_are_the_tokenizers_own(folders: dict[str, Path], models: dict[str, sl.LensModel]) -> None:
    """TransformerLens puts a BOS in front by default, and a tokenizer that pads in front has it guess a mask."""
    gpt2 = models["GPT-2"]
    assert gpt2.tl.cfg.default_prepend_bos
    assert gpt2.tokens("Hola").n_front == 0
    assert sl.load(gpt2.tl, prepend_bos=True).tokens("Hola").n_front == 1
    other = hooked_transformer("GPT-2", folders["GPT-2"])
    other.tokenizer.padding_side = "left"
    texts = [TEXTS[1], TEXTS[0]]
    torch.testing.assert_close(sl.load(other).residuals(texts).residuals, gpt2.residuals(texts).residuals)


def test_it_cannot_be_loaded_again_moved_or_cast(llama: sl.LensModel) -> None:
    with pytest.raises(ModelError, match=r"made from a model object, .* If the model is a HookedTransformer"):
        _ = llama.spec
    with pytest.raises(ModelError, match=r"dtype torch\.bfloat16 was given, but the HookedTransformer has torch\.float32"):
        sl.load(llama.tl, dtype="bfloat16")
    with pytest.raises(ModelError, match="adapter was given with a HookedTransformer"):
        sl.load(llama.tl, adapter="folder")
    with pytest.raises(ModelError, match="revision 'main' was given with a HookedTransformer"):
        sl.load(llama.tl, revision="main")
    assert sl.load(llama.tl, "cpu", "float32").fingerprint == llama.fingerprint
    assert sl.load(llama).tl is llama.tl


def test_what_is_no_language_model_is_refused(folders: dict[str, Path]) -> None:
    hooked = hooked_transformer("Llama", folders["Llama"])
    hooked.cfg.attention_dir = "bidirectional"
    with pytest.raises(ModelError, match="sees later tokens too"):
        sl.load(hooked)
    hooked.cfg.attention_dir, hooked.cfg.d_vocab_out = "causal", 2
    with pytest.raises(ModelError, match="reads 600 different tokens but predicts 2"):
        sl.load(hooked)
    hooked.cfg.d_vocab_out, hooked.tokenizer = 600, None
    with pytest.raises(ModelError, match="has no tokenizer"):
        sl.load(hooked)


def test_names_and_paths_need_a_bridge(folders: dict[str, Path]) -> None:
    for given in (folders["Llama"], "nobody/nothing", 7):
        with pytest.raises(ModelError, match=r"is installed: .* needs version 4\.3 or later"):
            sl.load(given)


def test_half_precision_runs(folders: dict[str, Path], llama: sl.LensModel) -> None:
    model = sl.load(hooked_transformer("Llama", folders["Llama"], dtype=torch.bfloat16).to(torch.bfloat16))
    assert model.fingerprint.dtype == "bfloat16"
    items = some_items().sample(1)
    for ours, theirs in zip(Scorer(model, items).score(), Scorer(llama, items).score(), strict=True):
        assert ours.scores == pytest.approx(theirs.scores, rel=0.1, abs=0.3)
