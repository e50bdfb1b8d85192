"""What can be said of the part for vLLM without vLLM: a stand-in of few lines runs the requests by the bridge.

``make test-vllm`` runs it with vLLM itself.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import steerlens as sl
from steerlens.cli import main
from steerlens.errors import FingerprintError, ModelError, SettingsError
from steerlens.evaluation import Scorer
from steerlens.evaluation.texts import nats_per_token
from steerlens.models.roles import FRONT, GENERATED, LAST, PROMPT
from steerlens.steering import SteeringPlan
from steerlens.vllm import VllmModel
from steerlens.vllm.engine import summed
from steerlens.vllm.loading import check_installed, checked, unloaded
from steerlens.vllm.placed import PlacedPlan


@dataclass
class SamplingParams:
    """Stands in for vLLM's."""

    temperature: float = 1.0
    max_tokens: int = 16
    prompt_logprobs: int | None = None
    seed: int | None = None
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    extra_args: dict[str, Any] | None = None


@dataclass
class Hook:
    """Stands in for vllm-lens'."""

    fn: PlacedPlan
    layer_indices: list[int]


@dataclass
class StandIn:
    """Stands in for ``vllm.LLM``: the bridge runs every request, in pieces, as vLLM gives a request's tokens to hooks."""

    model: sl.LensModel
    piece: int = 4
    """Tokens of the prompt that are given to a hook at once."""
    again: int = 0
    """Tokens that are given to it twice, as when vLLM runs a request again."""
    asked: list[Any] = field(default_factory=list)

    def get_default_sampling_params(self) -> SamplingParams:
        return SamplingParams(temperature=0.7, top_p=0.9)

    def generate(self, prompts: Sequence[dict[str, list[int]]], params: Sequence[SamplingParams], use_tqdm: bool) -> list[Any]:  # noqa: ARG002
        self.asked += params
        return [self._one(prompt["prompt_token_ids"], own) for prompt, own in zip(prompts, params, strict=True)]

    @torch.no_grad()
    def _one(self, ids: list[int], params: SamplingParams) -> Any:
        given = dict(params.extra_args or {})
        hooks, layers = given.pop("apply_hooks", []), given.pop("output_residual_stream", [])
        assert not given
        written: list[int] = []
        while len(written) < params.max_tokens and (not written or written[-1] not in self.model.backend.ends()):
            residuals, log_probabilities, seen = self._passed([*ids, *written], len(ids), hooks)
            written.append(int(log_probabilities[-1].argmax()))
        output = SimpleNamespace(outputs=[SimpleNamespace(token_ids=written)], prompt_logprobs=None)
        if layers:
            output.activations = {"residual_stream": torch.stack([residuals[layer] for layer in sorted(layers)])[:, : len(ids)]}
        if params.prompt_logprobs is not None:
            pairs = [{i: SimpleNamespace(logprob=float(log_probabilities[at, i]))} for at, i in enumerate(ids[1:])]
            output.prompt_logprobs = [None, *pairs]
        if hooks:
            output.hook_results = {"0": {layer: n + self.again for layer, n in seen.items()}}
        return output

    def _passed(self, ids: list[int], end: int, hooks: list[Hook]) -> tuple[dict[int, Tensor], Tensor, dict[str, int]]:
        context = SimpleNamespace(layer_idx=0, saved={})
        sizes = [min(self.piece, end - at) for at in range(0, end, self.piece)] + [1] * (len(ids) - end)

        def at(layer: int) -> Any:
            def steer(residual: Tensor, hook: Any) -> Tensor:
                context.layer_idx = layer
                return torch.cat([hooks[0].fn(context, piece) for piece in residual[0].split(sizes)])[None]

            return (f"blocks.{layer}.hook_resid_post", steer)

        batch = self.model.batch([self.model.row(ids)])
        with self.model.backend.hooked([at(layer) for own in hooks for layer in own.layer_indices]):
            residuals = self.model.backend.residuals_after(batch, self.model.layers(), lambda residual: residual[0].clone())
            context.saved.clear()
            log_probabilities = self.model.backend.logits(batch)[0].log_softmax(-1)
        return residuals, log_probabilities, context.saved


@pytest.fixture(autouse=True)
def _packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {"vllm": {"SamplingParams": SamplingParams}, "vllm_lens": {"Hook": Hook}}.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("STEERLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def stand_in(llama: sl.LensModel) -> StandIn:
    return StandIn(llama)


@pytest.fixture
def model(stand_in: StandIn, model_folders: dict[str, Path]) -> VllmModel:
    """A model that the stand-in runs."""
    made = unloaded(model_folders["llama"], "float32")
    made.requests.llm = stand_in
    return made


@pytest.fixture
def vector(llama: sl.LensModel, items: sl.data.Items) -> sl.steering.SteeringVector:
    return sl.steering.difference_of_means(llama, items.english_pairs("es-ES"))


@pytest.fixture
def plan(vector: sl.steering.SteeringVector) -> SteeringPlan:
    """An addition from the last token on, and an ablation at a later layer everywhere."""
    return vector.at(1, 3.0) + vector.ablation().at(2, 1.0, "all")


@pytest.mark.parametrize("name", ["gemma3", "gpt2"])
def test_files_have_the_fingerprint_of_the_bridge(
    name: str, model_folders: dict[str, Path], loaded: dict[str, sl.LensModel], own_cache: Path
) -> None:
    """Whatever TransformerLens makes of the weights, and a second time without reading them."""
    for _ in range(2):
        own = unloaded(model_folders[name], "float32").fingerprint
        assert own.differences(loaded[name].fingerprint) == []
    (kept,) = own_cache.glob("weights-*.json")
    kept.write_text('{"weights": "another"}')
    assert unloaded(model_folders[name], "float32").fingerprint.weights == "another"


def test_another_dtype_or_file_is_another_model(model: VllmModel, model_folders: dict[str, Path], tmp_path: Path) -> None:
    other = unloaded(model_folders["llama"], "bfloat16").fingerprint
    assert {line.split(":")[0] for line in model.fingerprint.differences(other)} == {"weights", "dtype"}
    copy = tmp_path / "copy"
    shutil.copytree(model_folders["llama"], copy)
    assert unloaded(copy, "float32").fingerprint.weights == model.fingerprint.weights
    tensors = load_file(copy / "model.safetensors")
    tensors["model.norm.weight"][0] += 1e-3
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    assert unloaded(copy, "float32").fingerprint.weights != model.fingerprint.weights


def test_a_model_that_does_not_fit_the_memory_is_known_by_its_files(
    model_folders: dict[str, Path], llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10_000))
    own = unloaded(model_folders["llama"], "float32").fingerprint
    assert [line.split(":")[0] for line in own.differences(llama.fingerprint)] == ["weights"]
    assert "are free" in caplog.text


@pytest.mark.parametrize("tokens", sl.steering.STEERED_TOKENS)
@pytest.mark.parametrize("sizes", [(9, 1, 1), (2, 3, 4, 1, 1)])
def test_a_plan_is_made_at_the_tokens_that_it_names(
    llama: sl.LensModel, tokens: sl.steering.SteeredTokens, sizes: tuple[int, ...]
) -> None:
    """However vLLM cuts the text: nine tokens of a prompt, two in front, and two that are written."""
    residual = torch.randn(11, llama.d_model)
    vector = sl.steering.SteeringVector(torch.ones(1, llama.d_model), (1,), llama.fingerprint)
    placed, context = PlacedPlan(vector.at(1, 2.0, tokens), 9, 2), SimpleNamespace(layer_idx=1, saved={})
    pieces = [placed(context, piece) for piece in residual.split(sizes)]
    roles = torch.tensor([[FRONT] * 2 + [PROMPT] * 6 + [LAST] + [GENERATED] * 2])
    assert torch.equal(torch.cat(pieces)[None], placed.plan.edit(1, residual[None], roles))
    assert not torch.equal(torch.cat(pieces), residual)
    placed.check({"0": context.saved}, 9, 3)
    placed.check({"0": context.saved}, 9, 2)  # a pass that vLLM began before it knew that the text had ended
    for saved, written in ((context.saved, 5), (context.saved, 1), ({"0": 11}, 3), ({}, 3)):
        with pytest.raises(ModelError, match="was expected to steer"):
            placed.check({"0": saved}, 9, written)
    with pytest.raises(ModelError, match=r"by layer: \{1: 0"):
        placed.check(None, 9, 3)


def test_residuals_scores_and_texts_are_the_bridges(
    model: VllmModel, llama: sl.LensModel, plan: SteeringPlan, items: sl.data.Items, prompts: tuple[sl.data.Prompt, ...]
) -> None:
    """Unsteered and under a plan, given and applied."""
    assert torch.allclose(model.residuals(prompts).residuals, llama.residuals(prompts).residuals, atol=1e-4)
    some = [item for item in items if item.locale == "es-ES"][:4]
    texts = ["¿Qué se desayuna?", "The capital of Japan"]
    for own in (None, plan):
        found = Scorer(model, some).score(own)
        wanted = Scorer(llama, some).score(own)
        assert [one.scores for one in found] == [pytest.approx(one.scores, abs=1e-4) for one in wanted]
        assert nats_per_token(model, texts, own) == pytest.approx(nats_per_token(llama, texts, own), abs=1e-4)
    unsteered = model.generate(texts, 6)
    assert unsteered == llama.generate(texts, 6)
    with plan.applied(llama):
        wanted, right = llama.generate(texts, 6), llama.residuals(prompts).residuals
    with plan.applied(model):
        assert model.generate(texts, 6) == wanted != unsteered
        assert torch.allclose(model.residuals(prompts).residuals, right, atol=1e-4)
    assert model.generate(texts, 6) == unsteered


def test_vectors_sweeps_and_the_plane_need_no_bridge(model: VllmModel, llama: sl.LensModel, items: sl.data.Items) -> None:
    items = items.sample(2)
    vectors = sl.steering.take(model, items, locales=["es-ES"])
    wanted = sl.steering.take(llama, items, locales=["es-ES"])
    assert torch.allclose(vectors["EN", "es-ES"].directions, wanted["EN", "es-ES"].directions, atol=1e-4)
    grid = {"layers": [2], "strengths": [2.0], "scores": ["transfer", "localization"]}
    found, right = (sl.evaluation.sweep(own, items, wanted, **grid).frame for own in (model, llama))
    assert found["value"].tolist() == pytest.approx(right["value"].tolist(), abs=1e-4)
    plans = {"EN": wanted["EN", "es-ES"].at(1, 2.0)}
    planes = [sl.evaluation.plane(own, items, plans, locales=["es-ES"], controls=False).frame for own in (model, llama)]
    assert planes[0]["value"].tolist() == pytest.approx(planes[1]["value"].tolist(), abs=1e-4, nan_ok=True)


def test_a_plan_of_another_model_and_a_lost_one_are_refused(
    model: VllmModel, stand_in: StandIn, plan: SteeringPlan, loaded: dict[str, sl.LensModel], items: sl.data.Items
) -> None:
    other = replace(plan, fingerprint=loaded["qwen2"].fingerprint)
    with pytest.raises(FingerprintError), other.applied(model):
        pass
    with pytest.raises(FingerprintError):
        Scorer(model, items[:1]).score(other)
    stand_in.again = 5
    with pytest.raises(ModelError, match="ran the request again"):
        Scorer(model, items[:1]).score(plan)
    stand_in.again = -1
    with pytest.raises(ModelError, match="The log of vllm-lens says why"), plan.applied(model):
        model.generate("a text", 2)


def test_what_vllm_does_not_give_is_refused(
    model: VllmModel, vector: sl.steering.SteeringVector, plan: SteeringPlan, items: sl.data.Items
) -> None:
    given = asdict(model.capabilities)
    assert {name for name, has in given.items() if has} == {"left_padding", "generation"}
    for refused in (
        lambda: plan.hooks(model),
        lambda: sl.evaluation.sweep(model, items, vector, mode="attribution"),
        lambda: sl.probing.logit_lens(model, items),
        lambda: list(sl.models.stream(model, "a text")),
        lambda: model.backend.hooked([("blocks.0.hook_resid_post", print)]),
        lambda: model.spec,
        lambda: model.tl,
    ):
        with pytest.raises(ModelError):
            refused()
    with pytest.raises(SettingsError, match="num_beams"):
        model.generate("a text", 2, num_beams=3)
    with pytest.raises(SettingsError, match="enable_prefix_caching"):
        checked({"enable_prefix_caching": True})
    with pytest.raises(SettingsError, match="speculative_config"):
        checked({"speculative_config": {"num_speculative_tokens": 2}})
    assert checked({"max_model_len": 64, "enforce_eager": True})


def test_sampling_is_told_to_vllm(model: VllmModel, stand_in: StandIn) -> None:
    settings = {"sample": True, "temperature": 0.5, "n": 2, "seed": 1, "top_k": 7}
    model.generate(["one text", "another"], 3, **settings)
    first = stand_in.asked[-4:]
    assert {(own.temperature, own.top_k, own.top_p, own.max_tokens) for own in first} == {(0.5, 7, 0.9, 3)}
    assert len({own.seed for own in first}) == 4
    model.generate(["one text", "another"], 3, **settings)
    assert [own.seed for own in stand_in.asked[-4:]] == [own.seed for own in first]
    model.generate("one text", 3)
    assert (stand_in.asked[-1].temperature, stand_in.asked[-1].seed) == (0.0, None)


def test_sums_are_of_the_tokens_after_the_prompt() -> None:
    given = [None, *({token: SimpleNamespace(logprob=-token / 10)} for token in (5, 6, 7))]
    assert summed(given, [4, 5, 6, 7], 2) == pytest.approx(-1.3)
    with pytest.raises(ModelError, match="no log probability of token 8"):
        summed(given, [4, 5, 6, 8], 2)
    with pytest.raises(ModelError, match="of 0 tokens, but the text has 4"):
        summed(None, [4, 5, 6, 7], 2)


def test_without_vllm_its_environment_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("steerlens.vllm.loading.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"vllm is not installed here.*steerlens\[vllm\]"):
        check_installed()
    assert main(["serve", "--model", "nothing"]) == 2
    assert "steerlens[vllm]" in capsys.readouterr().err
    monkeypatch.setattr("steerlens.vllm.loading.find_spec", lambda _: True)
    monkeypatch.setenv("VLLM_LENS_DISABLE", "1")
    with pytest.raises(ModelError, match="VLLM_LENS_DISABLE"):
        check_installed()
