"""vLLM gives what TransformerLens gives of the same files: residual streams, scores and greedy texts, steered and not."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import steerlens as sl
from steerlens.errors import ModelError
from steerlens.evaluation import Scorer
from steerlens.evaluation.texts import nats_per_token
from steerlens.steering import STEERED_TOKENS, SteeredTokens, SteeringPlan, SteeringVector

TEXTS = ["The capital of France is", "Pregunta: ¿Qué se desayuna en España?\nRespuesta:", "질문: 대표적인 명절은 무엇입니까?"]
PORT = 8731


def plan_of(vector: SteeringVector, tokens: SteeredTokens) -> SteeringPlan:
    """A vector added at two layers, and its direction ablated at a later one."""
    return vector.at([9, 12], 2.0, tokens) + vector.ablation().at(14, 1.0, tokens)


def test_the_model_is_the_same(bridge: sl.LensModel, in_vllm: sl.vllm.VllmModel) -> None:
    """So that vectors of the one are taken by the other."""
    assert in_vllm.fingerprint.differences(bridge.fingerprint) == []


def test_residuals(bridge: sl.LensModel, in_vllm: sl.vllm.VllmModel) -> None:
    for positions in ("last", "mean"):
        found, wanted = (model.residuals(TEXTS, positions=positions).residuals for model in (in_vllm, bridge))
        assert (found - wanted).norm() <= 1e-3 * wanted.norm()
        off = (found - wanted).norm(dim=-1) / wanted.norm(dim=-1)  # at each layer: one that was off by one would show
        assert off.max() <= 1e-3


@pytest.mark.parametrize("tokens", [None, *STEERED_TOKENS])
def test_scores_and_texts(
    bridge: sl.LensModel,
    in_vllm: sl.vllm.VllmModel,
    items: sl.data.Items,
    vector: SteeringVector,
    tokens: SteeredTokens | None,
) -> None:
    plan = None if tokens is None else plan_of(vector, tokens)
    some = items.of(locale="es-ES")[:4]
    found, wanted, unsteered = (
        torch.tensor([score for outcome in Scorer(model, some).score(own) for score in outcome.scores])
        for model, own in ((in_vllm, plan), (bridge, plan), (bridge, None))
    )
    assert (found - wanted).abs().max() <= 1e-2
    assert plan is None or (wanted - unsteered).abs().max() > 0.1
    assert nats_per_token(in_vllm, TEXTS, plan) == pytest.approx(nats_per_token(bridge, TEXTS, plan), abs=1e-2)
    assert written(in_vllm, plan) == written(bridge, plan)


def written(model: sl.LensModel, plan: SteeringPlan | None) -> list[str]:
    """What a model writes after the texts, greedily."""
    if plan is None:
        return model.generate(TEXTS, 12)
    with plan.applied(model):
        return model.generate(TEXTS, 12)


def test_a_steered_request_leaves_the_next_one_alone(in_vllm: sl.vllm.VllmModel, vector: SteeringVector) -> None:
    """No keys of a steered text serve an unsteered one."""
    long = [TEXTS[1] * 6]
    before = in_vllm.residuals(long).residuals
    with plan_of(vector, "all").applied(in_vllm):
        assert not torch.allclose(in_vllm.residuals(long).residuals, before)
        in_vllm.generate(long, 2)
    assert torch.equal(in_vllm.residuals(long).residuals, before)


def test_vectors_go_the_other_way(bridge: sl.LensModel, in_vllm: sl.vllm.VllmModel, items: sl.data.Items) -> None:
    found = sl.steering.difference_of_means(in_vllm, items.english_pairs("es-ES"))
    wanted = sl.steering.difference_of_means(bridge, items.english_pairs("es-ES"))
    assert (found.directions - wanted.directions).norm() <= 1e-3 * wanted.directions.norm()
    found.at(9).check(bridge)


def test_a_hook_is_refused(in_vllm: sl.vllm.VllmModel) -> None:
    with pytest.raises(ModelError, match="is run by vLLM"):
        in_vllm.backend.hooked([("blocks.0.hook_resid_post", print)])


@pytest.fixture(scope="module")
def server(bridge: sl.LensModel, vector: SteeringVector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with two plans."""
    folder = tmp_path_factory.mktemp("served")
    plans = {tokens: plan_of(vector, tokens).save(folder / f"{tokens}.safetensors") for tokens in ("last_onward", "all")}
    named = [text for name, path in plans.items() for text in ("--plan", f"{name}={path}")]
    command = [sys.executable, "-m", "steerlens.cli", "serve", "--dtype", "float32", *named, "--port", str(PORT)]
    log = folder / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen([*command, "--vllm-options", "--max-model-len 256"], stdout=file, stderr=file, env=os.environ)
        try:
            _wait(process, log)
            yield f"http://127.0.0.1:{PORT}"
        finally:
            process.terminate()
            process.wait(60)


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1800):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise AssertionError(log.read_text()[-3000:])


def ask(address: str, path: str = "/v1/completions", **body: Any) -> tuple[int, Any]:
    """The status and the answer of a request."""
    request = urllib.request.Request(address + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_requests_choose_a_plan(server: str, bridge: sl.LensModel, vector: SteeringVector) -> None:
    common = {"prompt": TEXTS[1], "max_tokens": 12, "temperature": 0}
    for said, plan in (
        ({"model": "gemma-3-270m"}, None),
        ({"model": "gemma-3-270m:last_onward"}, plan_of(vector, "last_onward")),
        ({"model": "gemma-3-270m", "plan": "all"}, plan_of(vector, "all")),
        ({"model": "gemma-3-270m"}, None),
    ):
        status, answer = ask(server, **common, **said)
        assert (status, answer["choices"][0]["text"]) == (200, written(bridge, plan)[1])
        assert "hook_results" not in answer


def test_other_requests_are_refused(server: str) -> None:
    assert ask(server, model="gemma-3-270m:nothing", prompt="a")[0] == 404
    assert ask(server, model="gemma-3-270m", prompt="a", vllm_xargs={"apply_hooks": "[]"})[0] == 400
    assert ask(server, "/v1/hooks/register", hooks=[])[0] == 403
