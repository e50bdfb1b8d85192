"""A way of computing is used only where it was found, on the model and the batch at hand, to give what whole passes give."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from places import HERE
from transformers import (
    AutoTokenizer,
    BloomConfig,
    BloomForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    FalconConfig,
    FalconForCausalLM,
    Gemma4ForCausalLM,
    Gemma4TextConfig,
    GraniteConfig,
    GraniteForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    RwkvConfig,
    RwkvForCausalLM,
    XGLMConfig,
    XGLMForCausalLM,
)

import steerlens as sl
from steerlens.errors import ModelError, SettingsError
from steerlens.evaluation import Scorer, Scoring
from steerlens.evaluation.questions import ask
from steerlens.models.backends import BridgeBackend, CachedPass
from steerlens.models.hooks import residual_hook
from steerlens.models.roles import GENERATED
from steerlens.steering import STEERED_TOKENS, SteeredTokens, SteeringPlan, SteeringVector
from tests.conftest import shuffled
from tests.unit.test_engine import close, few_shots, plain, plans_of, scores, swept
from tests.unit.test_roles import by_hand

SHAPE = {"vocab_size": 600, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
LLAMA = {**SHAPE, "intermediate_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 512}


def cohere() -> PreTrainedModel:
    return CohereForCausalLM(CohereConfig(**LLAMA, logit_scale=0.25, bos_token_id=1, eos_token_id=0, pad_token_id=2))


def granite() -> PreTrainedModel:
    return GraniteForCausalLM(GraniteConfig(**LLAMA, logits_scaling=3.0, bos_token_id=1, eos_token_id=0, pad_token_id=2))


def gemma4() -> PreTrainedModel:
    """Its last two layers use the keys and values of layers below them."""
    config = Gemma4TextConfig(
        vocab_size=600,
        vocab_size_per_layer_input=600,
        hidden_size=32,
        hidden_size_per_layer_input=8,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        global_head_dim=8,
        num_kv_shared_layers=2,
        layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        sliding_window=256,
        bos_token_id=1,
        eos_token_id=0,
        pad_token_id=2,
    )
    return Gemma4ForCausalLM(config)


def bloom() -> PreTrainedModel:
    """Positions are counted by column (ALiBi)."""
    return BloomForCausalLM(BloomConfig(vocab_size=600, hidden_size=32, n_layer=4, n_head=4, pad_token_id=2))


def mamba() -> PreTrainedModel:
    """A state in place of keys and values."""
    return MambaForCausalLM(MambaConfig(vocab_size=600, hidden_size=32, state_size=8, num_hidden_layers=4, pad_token_id=2))


def xglm() -> PreTrainedModel:
    """It wants a mask of its own for every row."""
    config = XGLMConfig(
        vocab_size=600, d_model=32, num_layers=4, attention_heads=4, ffn_dim=64, max_position_embeddings=512, pad_token_id=2
    )
    return XGLMForCausalLM(config)


def opt_350m() -> PreTrainedModel:
    """Another width in the embedding than in the blocks, and no final norm."""
    config = OPTConfig(
        **{**SHAPE, "num_hidden_layers": 4},
        ffn_dim=64,
        word_embed_proj_dim=16,
        do_layer_norm_before=False,
        activation_function="gelu",  # smooth, or a small step crosses a kink
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=0,
        pad_token_id=2,
    )
    return OPTForCausalLM(config)


FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    made.__name__: made for made in (cohere, granite, gemma4, bloom, mamba, xglm, opt_350m)
}


@pytest.fixture(scope="module")
def families(model_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, sl.LensModel]:
    """Models that do something that the four of the other tests do not."""
    loaded = {}
    for name, make in FAMILIES.items():
        folder = tmp_path_factory.mktemp(name)
        shuffled(make()).save_pretrained(folder)
        AutoTokenizer.from_pretrained(model_folders["llama"]).save_pretrained(folder)
        loaded[name] = sl.load(folder, **HERE)
    return loaded


@pytest.fixture
def asked(items: sl.data.Items) -> list[sl.data.Item]:
    spanish = list(items.of(locale="es-ES"))
    return spanish[3:5] + spanish[-2:]


def random_plans(model: sl.LensModel, tokens: SteeredTokens) -> list[SteeringPlan]:
    directions = torch.randn(model.n_layers, model.d_model, generator=torch.Generator().manual_seed(3))
    vector = SteeringVector(directions, model.layers(), model.fingerprint, name="EN")
    each = [vector.at(layer, strength, tokens) for layer, strength in ((0, 1.0), (1, 1.0), (1, -2.0), (3, 1.0))]
    return [*each, vector.at(0, 1.0, tokens) + vector.at(2, 2.0, tokens), sl.steering.no_steering(model.fingerprint)]


@pytest.mark.parametrize(("name", "shots"), [*((name, False) for name in FAMILIES), ("gemma4", True), ("bloom", True)])
def test_every_job_gives_what_whole_passes_give(
    name: str, shots: bool, families: dict[str, sl.LensModel], items: sl.data.Items, asked: list[sl.data.Item]
) -> None:
    model, scoring = families[name], few_shots(items) if shots else Scoring("none")
    for tokens in ("all", "last_onward"):
        plans = random_plans(model, tokens)
        expected = [[plain(model, ask(model, item, scoring), plan) for item in asked] for plan in plans]
        for batch_size in (None, 1):
            scorer = Scorer(model, asked, scoring, batch_size=batch_size)
            for mine, theirs in zip(swept(scorer, plans), expected, strict=True):
                close(mine, theirs)
            close(scores(scorer.base), expected[-1])
            close(scores(scorer.score(plans[3])), expected[3])


@pytest.mark.parametrize("name", FAMILIES)
def test_derivatives_are_those_of_a_small_step(name: str, families: dict[str, sl.LensModel], asked: list[sl.data.Item]) -> None:
    model = families[name]
    scorer, layers, step = Scorer(model, asked[:2], Scoring("none")), [0, 2], 3e-4
    directions = torch.randn(4, model.d_model, generator=torch.Generator().manual_seed(5))
    vector = SteeringVector(directions, model.layers(), model.fingerprint)
    for tokens in ("all", "last_onward"):
        found = scorer.gradients(layers, tokens)
        rivals = [(outcome.item.answer, outcome.runner_up) for outcome in scorer.base]
        for at, layer in enumerate(layers):
            up, down = (scorer.score(vector.at(layer, sign * step, tokens)) for sign in (1, -1))
            for n, (answer, rival) in enumerate(rivals):
                rise = [outcomes[n].scores[answer] - outcomes[n].scores[rival] for outcomes in (up, down)]
                slope = (rise[0] - rise[1]) / (2 * step)
                assert float(found[at, n] @ directions[layer]) == pytest.approx(slope, abs=0.03, rel=0.03)


@pytest.mark.parametrize("name", FAMILIES)
def test_texts_grow_as_they_are_generated(name: str, families: dict[str, sl.LensModel]) -> None:
    model = families[name]
    for plan in (None, *(random_plans(model, tokens)[1] for tokens in STEERED_TOKENS)):
        with plan.applied(model) if plan else torch.no_grad():
            whole = model.generate("Hello there", 5, eos_token_id=-1)
            texts = list(sl.models.stream(model, "Hello there", 5))
            assert whole.startswith(texts[-1].rstrip("�") if texts else "")  # which may end within a character
            assert model.generate("Hello there", 5, eos_token_id=-1, use_cache=False) == whole
        if plan is not None:
            assert whole == model.tokenizer.completion(by_hand(model, plan, "Hello there"))


def test_falcon_with_alibi_is_refused(model_folders: dict[str, Path], tmp_path: Path) -> None:
    """Its eager attention adds ALiBi twice in Transformers: Hugging Face disagrees with itself."""
    config = FalconConfig(vocab_size=600, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True)
    model = shuffled(FalconForCausalLM(config)).eval()
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(model_folders["llama"]).save_pretrained(tmp_path)
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    with torch.no_grad():
        ways = [FalconForCausalLM.from_pretrained(tmp_path, attn_implementation=way)(ids).logits for way in ("eager", "sdpa")]
    assert not torch.allclose(*ways, atol=1e-3)  # once this fails, the refusal can go
    with pytest.raises(ModelError, match="adds ALiBi twice"):
        sl.load(tmp_path)


def test_padding_in_front_of_a_state_is_not_used(model_folders: dict[str, Path], tmp_path: Path) -> None:
    """RWKV's state runs through the padding: texts of unlike lengths are generated one length at a time."""
    config = RwkvConfig(vocab_size=600, hidden_size=32, attention_hidden_size=32, num_hidden_layers=2, context_length=512)
    shuffled(RwkvForCausalLM(config)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(model_folders["llama"]).save_pretrained(tmp_path)
    try:
        model = sl.load(tmp_path, **HERE)
    except ModelError:
        pytest.skip("this TransformerLens does not run RWKV")
    texts = ["Hello there, you", "Hi", "¿Qué se desayuna?"]
    assert not model.pads_left
    assert model.generate(texts, 4, eos_token_id=-1) == [model.generate(text, 4, eos_token_id=-1) for text in texts]
    with pytest.raises(SettingsError, match="Use padding_side='right'"):
        model.residuals(texts, padding_side="left")


def test_usual_models_are_run_the_fast_ways(scored: sl.LensModel, items: sl.data.Items, asked: list[sl.data.Item]) -> None:
    """The control: where keys can be used again, they are."""
    for scoring in (Scoring("none"), few_shots(items)):
        scorer = Scorer(scored, asked, scoring)
        for tokens in ("all", "last_onward"):
            swept(scorer, plans_of(scored, items, tokens))
            scorer.score(plans_of(scored, items, tokens)[0])
            scorer.gradients([0, 2], tokens)
    assert scored.pads_left
    assert scored.trusted
    assert all(scored.trusted.values())


def test_a_way_that_gives_other_numbers_is_given_up(
    model_folders: dict[str, Path],
    items: sl.data.Items,
    asked: list[sl.data.Item],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also where it first does so in a later pass that goes on from the same recorded one."""
    model, plans = sl.load(model_folders["llama"], **HERE), None
    plans = plans_of(model, items, "all")
    expected = [[plain(model, ask(model, item, Scoring("none")), plan) for item in asked] for plan in plans]
    original, runs = BridgeBackend.resume, []

    def drifting(backend: BridgeBackend, kept: CachedPass, *rest: object, **more: object) -> object:
        final, keys = original(backend, kept, *rest, **more)  # type: ignore[arg-type]
        runs.append(1)
        return final * (1 + 0.3 * (len(runs) > 1)), keys

    _ = model.reuses_keys
    monkeypatch.setattr(BridgeBackend, "resume", drifting)
    with caplog.at_level(logging.WARNING):
        found = swept(Scorer(model, asked, Scoring("none"), memory=1), plans)  # a climb for each first layer
    for mine, theirs in zip(found, expected, strict=True):
        close(mine, theirs)
    assert len(runs) > 1
    assert "full forward passes are used for sweeps" in caplog.text
    assert False in model.trusted.values()


def test_an_error_of_the_users_own_hook_stays_theirs(model_folders: dict[str, Path], asked: list[sl.data.Item]) -> None:
    model = sl.load(model_folders["llama"], **HERE)

    def broken(residual: torch.Tensor, hook: object) -> torch.Tensor:
        raise ValueError("the user's own")

    with pytest.raises(ValueError, match="the user's own"), model.tl.hooks(fwd_hooks=[(residual_hook(1), broken)]):
        Scorer(model, asked).score()
    assert False not in model.trusted.values()
    assert Scorer(model, asked).score()


def _shift(direction: torch.Tensor, residual: torch.Tensor, hook: object) -> torch.Tensor:
    return residual + direction.to(residual.device)


@pytest.mark.parametrize("shots", [False, True])
def test_hooks_of_the_users_own_are_seen_at_every_use(
    llama: sl.LensModel, items: sl.data.Items, asked: list[sl.data.Item], shots: bool
) -> None:
    """What was kept without them is not used under them, nor the other way round: each answer is a new scorer's."""
    scoring = few_shots(items) if shots else Scoring("none")
    mine = (residual_hook(0), partial(_shift, torch.linspace(-2, 2, llama.d_model)))
    plan = plans_of(llama, items, "last_onward")[0]
    scorer, late = Scorer(llama, asked, scoring), Scorer(llama, asked, scoring)

    def everything(scorer: Scorer) -> list[object]:
        found = swept(scorer, [plan])
        return [scores(scorer.score()), scores(scorer.base), found[0], scores(scorer.score(plan))]

    outside = everything(scorer)
    with llama.tl.hooks(fwd_hooks=[mine]):
        inside = everything(Scorer(llama, asked, scoring))
        for kept, new in zip(everything(scorer), inside, strict=True):
            close(kept, new)
        late_base = scores(late.base)
    for kept, new in zip(everything(scorer), outside, strict=True):
        close(kept, new)
    close(late_base, inside[1])
    close(scores(late.base), outside[1])
    assert inside[0][0] != pytest.approx(outside[0][0], abs=1e-2)  # type: ignore[index]


def test_base_is_what_it_is_under_a_plan(llama: sl.LensModel, items: sl.data.Items, asked: list[sl.data.Item]) -> None:
    plan = plans_of(llama, items, "all")[0]
    scorer = Scorer(llama, asked)
    with plan.applied(llama):
        inside = scores(scorer.base)
    close(inside, scores(scorer.score(plan)))
    close(scores(scorer.base), scores(Scorer(llama, asked).score()))
    assert inside[0] != pytest.approx(scorer.base[0].scores, abs=1e-2)


def test_a_changed_weight_is_seen(model_folders: dict[str, Path], items: sl.data.Items, asked: list[sl.data.Item]) -> None:
    model = sl.load(model_folders["llama"], **HERE)
    scorer = Scorer(model, asked, few_shots(items))
    before = scores(scorer.base)
    with torch.no_grad():
        model.tl.original_model.get_output_embeddings().weight.mul_(1.5)
    after = scores(scorer.base)
    assert after[0] != pytest.approx(before[0], abs=1e-2)
    close(after, scores(Scorer(model, asked, few_shots(items)).score()))


def test_attribution_under_inference_mode(llama: sl.LensModel, asked: list[sl.data.Item]) -> None:
    expected = Scorer(llama, asked).gradients([0, 2], "all")
    with torch.inference_mode():
        found = Scorer(llama, asked).gradients([0, 2], "all")
    torch.testing.assert_close(found, expected)


def test_roles_of_a_packed_row_are_of_its_choices(llama: sl.LensModel, asked: list[sl.data.Item]) -> None:
    row = ask(llama, asked[0], Scoring("none")).row
    assert row.roles.count(GENERATED) == sum(map(len, row.choices))
