"""Evaluation harnesses: their requests on a steered model, and their results as answers and planes.

What needs the packages themselves is skipped without them: ``make test-harness`` has an environment with both.
"""

import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from places import some_items

import steerlens as sl
from steerlens import harness
from steerlens.errors import FileError, ModelError, PromptError, SettingsError, UnknownNameError, VectorError
from steerlens.evaluation import SCORES, Answers, Plane, Score, answered, placed
from steerlens.harness.inspect_logs import GENERATION
from steerlens.harness.inspect_models import InspectRequests
from steerlens.harness.likelihoods import log_likelihoods
from steerlens.harness.lm_eval_models import LmEvalRequests
from steerlens.harness.running import SteeredRun
from steerlens.models.engine import Engine
from steerlens.steering import SteeringPlan, SteeringVector


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """Scores that results bring stay in a test."""
    before = dict(SCORES)
    yield
    SCORES.clear()
    SCORES.update(before)


def _plan(model: sl.LensModel, strength: float = 3.0, tokens: Any = "last_onward") -> SteeringPlan:
    direction = torch.randn(1, 32, generator=torch.Generator().manual_seed(1))
    return SteeringVector(direction, (1,), model.fingerprint, "EN", "es-ES").at(1, strength, tokens)


def _asked(model: sl.LensModel, n: int = 6) -> list[tuple[Any, list[int], list[int]]]:
    """What the harness asks of some items, in tokens."""
    pairs = [(item, choice) for item in list(some_items().sample(4))[:n] for choice in item.choices]
    split = [(model.tokenizer.split(item.prompt().text, [f" {choice}"]), choice) for item, choice in pairs]
    return [(("", choice), prompt, ids) for (prompt, (ids,)), choice in split]


# What is computed


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
def test_likelihoods_are_those_of_the_engine(loaded: dict[str, sl.LensModel], name: str) -> None:
    model = loaded[name]
    asked, plan = _asked(model, 3), _plan(model)
    rows = [model.row(prompt, [ids]) for _, prompt, ids in asked]
    engine = Engine(model, rows)
    steered = LmEvalRequests(SteeredRun.of(model, plan, ""))._loglikelihood_tokens(asked)
    plainly = LmEvalRequests(SteeredRun.of(model, None, ""))._loglikelihood_tokens(asked)
    for found, sums in ((steered, engine.log_probabilities(plan)), (plainly, engine.base)):
        assert np.allclose([total for total, _ in found], [row[0] for row in sums], atol=2e-4)
    assert not np.allclose([total for total, _ in steered], [total for total, _ in plainly], atol=0.1)


@pytest.mark.parametrize("packs", [True, False])
def test_continuations_of_one_context_come_in_their_order(
    llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch, packs: bool
) -> None:
    monkeypatch.setitem(vars(llama), "packs", packs)  # a model that cannot pack runs them apart, the longest first
    prompt, several = llama.tokenizer.ids("Question: What do people eat?\nAnswer: it is"), [[40], [41, 42, 43], [44, 45]]
    running = SteeredRun.of(llama, _plan(llama), "")
    (found,) = log_likelihoods(running, [llama.row(prompt, several)])
    alone = [log_likelihoods(running, [llama.row(prompt, [own])])[0][0] for own in several]
    assert np.allclose([total for total, _ in found], [total for total, _ in alone], atol=2e-4)


def test_what_stands_before_a_text_without_a_context_is_never_steered(model: sl.LensModel) -> None:
    own = LmEvalRequests(SteeredRun.of(model, _plan(model), ""))  # BOS, or EOS for Qwen, which has no BOS
    plain = LmEvalRequests(SteeredRun.of(model, None, ""))
    asked = [(("", ""), [own.prefix_token_id], [40])]
    assert own._loglikelihood_tokens(asked)[0][0] == pytest.approx(plain._loglikelihood_tokens(asked)[0][0], abs=1e-4)
    row = own._row_of_text([own.prefix_token_id], [*model.tokenizer.front, 40, 41])
    assert row.front == 1 + len(model.tokenizer.front)


def test_greedy_continuations_are_told(llama: sl.LensModel) -> None:
    model, plan = llama, _plan(llama)
    prompt = model.tokenizer.ids("Question: What do people eat?\nAnswer: it is well known that they")
    written: list[int] = []
    for _ in range(5):  # what greedy decoding would write under the plan, by whole passes
        batch = model.batch([model.row(prompt, [written] if written else [])])
        with torch.no_grad(), model.backend.hooked(plan.hooks(model)):
            final = model.backend.final(batch)[0, -1:]
        written.append(int(model.backend.unembedding().logits(final).argmax()))
    wrong = [*written[:-1], (written[-1] + 1) % 500]
    rows = [model.row(prompt, [written, wrong, written[:2]])]
    ((right, missed, begun),) = log_likelihoods(SteeredRun.of(model, plan, ""), rows)
    assert (right[1], missed[1], begun[1]) == (True, False, True)
    assert right[0] < begun[0]


def test_overflow_is_refused(llama: sl.LensModel) -> None:
    with pytest.raises(VectorError, match="NaN or infinite"):
        LmEvalRequests(SteeredRun.of(llama, _plan(llama, 3e38), ""))._loglikelihood_tokens(_asked(llama, 1))


def test_texts_become_tokens_with_the_front_once(model: sl.LensModel) -> None:
    own, front = LmEvalRequests(SteeredRun.of(model, None, "")), model.tokenizer.front
    assert own.tok_encode("Hola") == model.tokenizer.ids("Hola")
    assert own.tok_encode("Hola", add_special_tokens=False) == model.tokenizer.ids("Hola")[len(front) :]
    assert own.tok_encode(model.tokenizer.decode(front) + "Hola") == model.tokenizer.ids("Hola")
    assert own.max_length == model.backend.context - 1


def test_long_contexts_are_cut_and_longer_continuations_refused(llama: sl.LensModel) -> None:
    class Short(LmEvalRequests):
        max_length = 11

    own, ids = Short(SteeredRun.of(llama, None, "")), llama.tokenizer.ids("One two three four five six seven eight")
    whole = LmEvalRequests(SteeredRun.of(llama, None, ""))
    ((cut, _),) = own._loglikelihood_tokens([(("", ""), ids, [40, 41])])
    ((same, _),) = whole._loglikelihood_tokens([(("", ""), ids[-10:], [40, 41])])
    assert cut == pytest.approx(same, abs=1e-5)
    with pytest.raises(PromptError, match="continuation of 12"):
        own._loglikelihood_tokens([(("", ""), ids, [40] * 12)])
    with pytest.raises(PromptError, match="adds no token"):
        own._loglikelihood_tokens([(("Hola", ""), ids, [])])


def test_what_has_no_meaning_in_a_harness_is_refused(llama: sl.LensModel, loaded: dict[str, sl.LensModel]) -> None:
    with pytest.raises(SettingsError, match="explicit"):
        SteeredRun.of(llama, sl.evaluation.ExplicitPrompt(), "")
    with pytest.raises(UnknownNameError):
        SteeredRun.of(llama, {"es-ES": _plan(llama)}, "ko-KR")
    assert SteeredRun.of(llama, {"es-ES": _plan(llama)}, "es-ES").prepared.plan is not None
    with pytest.raises(sl.errors.FingerprintError):
        SteeredRun.of(loaded["qwen2"], _plan(llama), "")
    with pytest.raises(SettingsError, match="have no prompt"):
        SteeredRun.of(llama, _plan(llama, tokens="prompt"), "").check_read("texts")


def test_runs_under_hooks_are_told_apart(llama: sl.LensModel) -> None:
    """Since hooks cannot be compared, none may be given what a cache holds of other hooks."""
    hooks = [("blocks.1.hook_resid_post", print)]
    first, second = (SteeredRun.of(llama, hooks, "") for _ in range(2))
    assert first.identity() == first.identity() != second.identity()
    plain, again, steered = (SteeredRun.of(llama, own, "") for own in (None, None, _plan(llama)))
    assert plain.identity() == again.identity() != steered.identity()


def test_the_extra_is_named_where_a_package_is_missing(
    llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for package in ("lm_eval.api.model", "inspect_ai.model", "inspect_ai.log"):
        monkeypatch.setitem(sys.modules, package, None)
    for call in (lambda: harness.lm_eval_model(llama), lambda: harness.inspect_model(llama)):
        with pytest.raises(ModelError, match=r"steerlens\[harness\]"):
            call()
    with pytest.raises(ModelError, match=r"steerlens\[harness\]"):
        harness.inspect_answers({"unsteered": tmp_path / "log.json", "mine": tmp_path / "log.json"})


def test_special_tokens_are_stops_as_any_text(llama: sl.LensModel) -> None:
    """Tasks name ``</s>`` and ``<|im_end|>`` as stops, of which the text that is written shows nothing."""
    pad, steps = llama.tokenizer.pad_id, []

    def only_pad_second(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        steps.append(ids)
        return scores.index_fill(1, torch.tensor(pad, device=scores.device), 1e4 if len(steps) == 2 else -1e4)

    written = llama.generate("Hola", 6, stop=["<pad>"], logits_processor=[only_pad_second])
    assert len(steps) == 2
    assert written == llama.tokenizer.completion(steps[1][0, -1:].tolist())


def test_a_stream_ends_at_them_too(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    pad, next_logits, steps = llama.tokenizer.pad_id, llama.backend.next_logits, []

    def only_pad_second(ids: list[int], cache: Any) -> tuple[torch.Tensor, Any]:
        logits, cache = next_logits(ids, cache)
        steps.append(ids)
        return logits.index_fill(0, torch.tensor(pad), 1e4 if len(steps) == 2 else -1e4), cache

    monkeypatch.setattr(llama.backend, "next_logits", only_pad_second)
    assert len(list(sl.models.stream(llama, "Hola", 6, stop="<pad>"))) == 1
    assert len(steps) == 2


# Results of lm-evaluation-harness


def _results(values: list[float], **changes: Any) -> dict[str, Any]:
    """What ``simple_evaluate`` returns, as far as it is read."""
    samples = [
        {
            **{"doc_id": at, "doc": {"id": f"q{at}"}, "filter": "none", "metrics": ["acc", "f1", "ppl"], "acc": value},
            **{"f1": (1, int(value)), "ppl": 2.0, "doc_hash": f"d{at}", "prompt_hash": f"p{at}", "target_hash": "t"},
        }
        for at, value in enumerate(values)
    ]
    results = {"quiz": {"acc,none": sum(values) / len(values), "f1,none": 0.5, "ppl,none": 7.4, "alias": "quiz"}}
    higher = {"quiz": {"acc": True, "f1": True, "ppl": False}}
    return {"samples": {"quiz": samples}, "results": results, "higher_is_better": higher, "versions": {"quiz": 1.0}, **changes}


RIGHT, MORE = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]


def test_results_are_paired_item_by_item(tmp_path: Path) -> None:
    answers = harness.lm_eval_answers({"unsteered": _results(RIGHT), "mine": _results(MORE)})
    assert answers.scores == ("lm_eval acc",)  # F1 and perplexity are no means over items
    assert answers.frame[answers.frame["method"] == "mine"]["value"].tolist() == MORE
    plane = placed(answers)
    row = plane.frame[(plane.frame["method"] == "mine") & (plane.frame["locale"] == "mean")].iloc[0]
    assert (row["n"], row["value"], row["change"]) == (6, pytest.approx(5 / 6), pytest.approx(0.5))
    assert row["low"] <= row["change"] <= row["high"]
    found = answers.compare("mine", "unsteered").frame.iloc[0]
    assert found["change"] == pytest.approx(0.5)
    again = Answers.load(answers.save(tmp_path / "answers.parquet"))
    assert placed(again).frame.equals(plane.frame)


def test_locales_and_parallel_items() -> None:
    both = {name: _results(values) for name, values in (("unsteered", RIGHT), ("mine", MORE))}
    for own in both.values():
        own["samples"]["quiz_es"] = deepcopy(own["samples"]["quiz"])
        own["results"]["quiz_es"] = own["results"]["quiz"]
    told = harness.lm_eval_answers(both, locales={"quiz_es": "es-ES"}, concept=lambda _, doc: doc["id"])
    plane = placed(told).frame
    assert set(plane["locale"]) == {"quiz", "es-ES", "mean"}
    assert plane[(plane["method"] == "mine") & (plane["locale"] == "mean")]["n"].item() == 6  # asked twice, counted once
    apart = placed(harness.lm_eval_answers(both)).frame
    assert apart[(apart["method"] == "mine") & (apart["locale"] == "mean")]["n"].item() == 12
    with pytest.raises(UnknownNameError, match="quizz"):
        harness.lm_eval_answers(both, locales={"quizz": "es-ES"})


def test_several_results_of_a_method_are_put_together() -> None:
    """As where each locale has a plan of its own, and so a run of its own."""
    told = {name: {"steerlens": {"model": {}, "method": name, "steered": name != "none"}} for name in ("none", "es", "ko")}
    other = _results(MORE, config=told["ko"])
    other = {**other, **{part: {"quiz_ko": other[part]["quiz"]} for part in ("samples", "results", "versions")}}
    first = _results(RIGHT, config=told["none"])
    second = {**first, **{part: {"quiz_ko": first[part]["quiz"]} for part in ("samples", "results", "versions")}}
    given = {"unsteered": [first, second], "mine": [_results(MORE, config=told["es"]), other]}
    answers = harness.lm_eval_answers(given, locales={"quiz": "es-ES", "quiz_ko": "ko-KR"})
    assert answers.meta["methods"] == {"mine": {"es-ES": "es", "ko-KR": "ko"}}  # by locale, as those of steerlens
    assert len(answers.frame) == 24
    with pytest.raises(SettingsError, match="twice"):
        harness.lm_eval_answers({"unsteered": first, "mine": [_results(MORE), _results(MORE)]})


def test_metrics_that_are_no_means_under_one_method_are_left_out_of_all(caplog: pytest.LogCaptureFixture) -> None:
    base, mine = _results(RIGHT), _results(MORE)
    for own in (base, mine):
        for sample in own["samples"]["quiz"]:
            sample["metrics"], sample["median"] = ["acc", "median"], sample["acc"]
    base["results"]["quiz"]["median,none"], mine["results"]["quiz"]["median,none"] = 1 / 3, 1.0  # the mean by chance
    assert harness.lm_eval_answers({"unsteered": base, "mine": mine}).scores == ("lm_eval acc",)
    assert "median of quiz" in caplog.text


def test_results_that_cannot_be_paired_are_refused() -> None:
    base, mine = _results(RIGHT), _results(MORE)
    with pytest.raises(SettingsError, match="unsteered"):
        harness.lm_eval_answers({"mine": mine})
    with pytest.raises(SettingsError, match="no samples"):
        harness.lm_eval_answers({"unsteered": base, "mine": {**mine, "samples": None}})
    with pytest.raises(SettingsError, match="same items"):
        harness.lm_eval_answers({"unsteered": base, "mine": _results(MORE[:4])})
    other = _results(MORE)
    other["samples"]["quiz"][2]["prompt_hash"] = "another"
    with pytest.raises(SettingsError, match="got another question or other settings than"):
        harness.lm_eval_answers({"unsteered": base, "mine": other})
    shorter = _results(MORE, configs={"quiz": {"generation_kwargs": {"max_gen_toks": 5}}})
    with pytest.raises(SettingsError, match="got another question or other settings than"):
        harness.lm_eval_answers({"unsteered": base, "mine": shorter})
    with pytest.raises(UnknownNameError, match="lm_eval f1"):
        harness.lm_eval_answers({"unsteered": base, "mine": mine}, scores=["lm_eval f1"])
    steered = {"steerlens": {"model": {}, "method": "weights …, 3 × EN", "steered": True}}
    with pytest.raises(SettingsError, match="Give the results of the steered model another name"):
        harness.lm_eval_answers({"unsteered": _results(RIGHT, config=steered), "mine": mine})


def test_items_are_a_task(llama: sl.LensModel) -> None:
    items = some_items().of(locale="es-ES").sample(2)
    task = harness.lm_eval_task(items, "mine")
    rows = task["custom_dataset"]()["test"]
    assert [row["prompt"] for row in rows] == [item.prompt().text for item in items]
    assert (task["target_delimiter"], task["metadata"]["version"]) == (" ", items.digest()[:12])
    with pytest.raises(SettingsError, match="expected only locales"):
        harness.lm_eval_task(sl.data.Items([]), "none")


def test_scores_are_known_again_where_a_table_is_read(tmp_path: Path) -> None:
    base, mine = _results(RIGHT), _results(MORE)
    for own in (base, mine):
        own["higher_is_better"] = {"quiz": {"acc": False}}
    answers = harness.lm_eval_answers({"unsteered": base, "mine": mine})
    files = answers.save(tmp_path / "answers.parquet"), placed(answers).save(tmp_path / "plane.parquet")
    for table, file in zip((Answers, Plane), files, strict=True):
        del SCORES["lm_eval acc"]  # as in another process
        table.load(file)
        assert not SCORES["lm_eval acc"].higher_is_better
    assert answers.compare("mine", "unsteered", "lm_eval acc").frame["change"].item() == pytest.approx(0.5)


def test_a_score_of_a_harness_is_not_measured_here(llama: sl.LensModel) -> None:
    harness.lm_eval_answers({"unsteered": _results(RIGHT), "mine": _results(MORE)})
    with pytest.raises(SettingsError, match="read from the results of a harness"):
        answered(llama, some_items().sample(2), {"mine": _plan(llama)}, scores=["lm_eval acc"])


# Logs of Inspect


def _log(values: list[Any], status: str = "success", epochs: int = 1) -> Any:
    samples = [
        SimpleNamespace(
            id=at,
            epoch=epoch,
            input=f"question {at}",
            choices=None,
            target="x",
            error=None,
            scores={"match": SimpleNamespace(value=own)},
        )
        for epoch in range(epochs)
        for at, own in enumerate(values)
    ]
    spec = SimpleNamespace(task="quiz", task_version=0, model_args={}, packages={"inspect_ai": "0.3.285"})
    config = SimpleNamespace(**dict.fromkeys(GENERATION))
    return SimpleNamespace(status=status, samples=samples, eval=spec, plan=SimpleNamespace(steps=[], config=config))


def test_logs_of_inspect_are_paired_item_by_item() -> None:
    logs = {"unsteered": [_log(["C", "I", "P", "N"])], "mine": _log([1.0, "yes", "C", "0.0"], epochs=2)}
    answers = harness.inspect_answers(logs)
    assert answers.frame["value"].tolist() == [1.0, 0.0, 0.5, 0.0, 1.0, 1.0, 1.0, 0.0]  # as Inspect's own value_to_float
    assert answers.meta["harness_version"] == "0.3.285"
    plane = placed(answers).frame
    assert plane[(plane["method"] == "mine") & (plane["locale"] == "quiz")]["change"].item() == pytest.approx(1.5 / 4)


def test_logs_that_say_nothing_certain_are_refused(tmp_path: Path) -> None:
    good = _log(["C", "I"])
    for bad, said in (
        (_log(["C", "I"], "error"), "error"),
        (_log(["C", "maybe"]), "maybe"),
        (_log(["C", "I", "C"]), "same items"),
    ):
        with pytest.raises(SettingsError, match=said):
            harness.inspect_answers({"unsteered": good, "mine": bad})
    with pytest.raises(SettingsError, match="twice"):
        harness.inspect_answers({"unsteered": good, "mine": [good, good]})
    shorter = _log(["C", "I"])
    shorter.plan.config.max_tokens = 5
    with pytest.raises(SettingsError, match="got another question or other settings than"):
        harness.inspect_answers({"unsteered": good, "mine": shorter})
    texts = [_log(["C", "I"]), _log(["C", "I"])]
    for sample in (*texts[0].samples, *texts[1].samples):
        sample.scores["said"] = SimpleNamespace(value="a text")
    with pytest.raises(SettingsError, match="scores="):
        harness.inspect_answers({"unsteered": texts[0], "mine": texts[1]})
    found = harness.inspect_answers({"unsteered": texts[0], "mine": texts[1]}, scores=["inspect match"])
    assert found.scores == ("inspect match",)
    failed = _log(["C", "I"])
    failed.samples[0].error = "out of memory"
    with pytest.raises(SettingsError, match="ended with an error"):
        harness.inspect_answers({"unsteered": good, "mine": failed})


def test_messages_become_the_tokens_that_the_model_knows(llama: sl.LensModel, loaded: dict[str, sl.LensModel]) -> None:
    def message(role: str, text: str) -> Any:
        return SimpleNamespace(role=role, content=text, text=text)

    def tokens(model: sl.LensModel, *messages: Any) -> list[int]:
        asking = InspectRequests()
        asking.running = SteeredRun.of(model, None, "")
        return asking._tokens(messages)

    base, chat = loaded["gpt2"], [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hola"}]
    given = [message(own["role"], own["content"]) for own in chat]
    assert tokens(llama, *given) == llama.tokenizer.ids(chat)
    assert tokens(base, *given) == base.tokenizer.ids("Be brief.\n\nHola")  # a base model has no template
    with pytest.raises(PromptError, match="no chat template"):
        tokens(base, *given, message("assistant", "Hola."))
    picture = SimpleNamespace(role="user", content=[SimpleNamespace(type="image")], text="")
    with pytest.raises(PromptError, match="image"):
        tokens(llama, picture)


# With the harnesses themselves


@pytest.fixture
def lm_eval(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    return pytest.importorskip("lm_eval")


def _instances(kind: str, *arguments: tuple[Any, ...]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, own, 0) for own in arguments]


def test_unsteered_requests_are_answered_as_by_lm_evals_own_class(
    lm_eval: Any, model_folders: dict[str, Path], model: sl.LensModel
) -> None:
    from lm_eval.models.huggingface import HFLM

    folder = next(own for name, own in model_folders.items() if model.name == str(own))
    theirs, ours = HFLM(str(folder), device="cpu", dtype="float32", batch_size=4), harness.lm_eval_model(model)
    items = list(some_items().sample(3))
    pairs = [(item.prompt().text, f" {choice}") for item in items for choice in item.choices]
    for asked in (pairs, [("", text + choice) for text, choice in pairs[:4]], [("Hola ", "amigos"), ("Hola", " ")]):
        own, expected = (one.loglikelihood(_instances("loglikelihood", *asked)) for one in (ours, theirs))
        assert np.allclose([total for total, _ in own], [total for total, _ in expected], atol=1e-4)
        assert [greedy for _, greedy in own] == [greedy for _, greedy in expected]
    texts = _instances("loglikelihood_rolling", *((text,) for text, _ in pairs[:4]))
    assert np.allclose(ours.loglikelihood_rolling(texts), theirs.loglikelihood_rolling(texts), atol=1e-4)
    settings = ({"until": ["\n", " a"], "max_gen_toks": 8}, {"until": "e", "max_gen_toks": 12, "do_sample": False})
    asked = _instances("generate_until", *((text, own) for text, _ in pairs[:6:3] for own in settings))
    assert ours.generate_until(asked) == theirs.generate_until(asked)


def test_steered_accuracy_is_ours_item_by_item(lm_eval: Any, llama: sl.LensModel) -> None:
    from lm_eval.tasks import TaskManager

    items, plan = some_items().of(locale="es-ES").sample(12), _plan(llama)
    task = harness.lm_eval_task(items, "ours")
    methods = {"unsteered": None, "mine": plan}
    manager = TaskManager(include_defaults=False)  # reading the harness' own tasks takes a while
    results = {
        name: lm_eval.simple_evaluate(harness.lm_eval_model(llama, own), tasks=[task], bootstrap_iters=0, task_manager=manager)
        for name, own in methods.items()
    }
    theirs = harness.lm_eval_answers(results, locales={"ours": "es-ES"}, scores=["lm_eval acc"])
    right = Score("right", lambda outcome: outcome.correct)
    scoring = sl.evaluation.Scoring(normalisation="none")
    own = answered(llama, items, {"mine": plan}, scores=[right], scoring=scoring, explicit=False)
    by_item = {(row.method, row.concept): row.value for row in own.frame.itertuples()}
    order = [item.concept for item in items]
    for method in methods:
        values = theirs.frame[theirs.frame["method"] == method]["value"].tolist()
        assert values == [by_item[method, concept] for concept in order]
    changed = [by_item["mine", concept] != by_item["unsteered", concept] for concept in order]
    assert any(changed)  # steering does something to these items
    plane = placed(theirs).frame
    assert plane[(plane["method"] == "mine") & (plane["locale"] == "es-ES")]["value"].item() == pytest.approx(np.mean(values))
    assert theirs.meta["model"]["weights"] == llama.fingerprint.weights
    assert plan.digest()[:12] in theirs.meta["methods"]["mine"]["es-ES"]


def test_steered_texts_are_those_of_the_model(lm_eval: Any, llama: sl.LensModel, caplog: pytest.LogCaptureFixture) -> None:
    text, plan = "Pregunta: ¿Qué se desayuna?", _plan(llama)
    own = harness.lm_eval_model(llama, plan)
    with plan.applied(llama):
        expected = llama.generate(text, 6)
    settings = {"until": [], "max_gen_toks": 6}
    assert own.generate_until(_instances("generate_until", (text, settings))) == [expected]
    assert expected != llama.generate(text, 6)
    assert not caplog.records
    own.generate_until(_instances("generate_until", (text * 400, settings)))
    assert "cut from the left" in caplog.text


def test_caches_of_responses_are_kept_apart(lm_eval: Any, llama: sl.LensModel, tmp_path: Path) -> None:
    from lm_eval.api.model import CachingLM

    asked = _instances("loglikelihood", ("Hola", " amigos"))
    cached = CachingLM(harness.lm_eval_model(llama), str(tmp_path / "cache.db"))
    first = cached.loglikelihood(asked)
    again = CachingLM(harness.lm_eval_model(llama), str(tmp_path / "cache.db"))
    assert again.loglikelihood(asked) == first
    with pytest.raises(SettingsError, match="another model or method"):
        CachingLM(harness.lm_eval_model(llama, _plan(llama)), str(tmp_path / "cache.db"))


def test_settings_and_plans_that_would_do_something_else_are_refused(lm_eval: Any, llama: sl.LensModel) -> None:
    own = harness.lm_eval_model(llama, _plan(llama, tokens="prompt"))
    with pytest.raises(SettingsError, match="have no prompt"):
        own.loglikelihood_rolling(_instances("loglikelihood_rolling", ("Hola",)))
    with pytest.raises(SettingsError, match="gen_kwargs"):
        own.generate_until(_instances("generate_until", ("Hola", {"until": [], "max_gen_toks": 10**6})))
    chat = [{"role": "user", "content": "Hola"}]
    assert own.apply_chat_template(chat) == llama.tokenizer.text(chat)
    assert own.tok_encode(own.apply_chat_template(chat)) == llama.tokenizer.ids(chat)


def test_rolling_texts_are_steered_wherever_the_model_would_write(lm_eval: Any, llama: sl.LensModel) -> None:
    text, plan = "Pregunta: ¿Qué se desayuna?", _plan(llama)
    (found,) = harness.lm_eval_model(llama, plan).loglikelihood_rolling(_instances("loglikelihood_rolling", (text,)))
    ids = llama.tokenizer.ids(text)
    twice, direction = torch.tensor([[ids[0], *ids]], device=llama.device), plan.steps[0].edit.tensors["direction"]

    def add(residual: torch.Tensor, hook: Any) -> torch.Tensor:  # at all tokens but BOS, which the harness puts in front twice
        residual[:, 2:] += 3.0 * direction.to(residual)
        return residual

    logits = llama.tl.run_with_hooks(twice, fwd_hooks=[("blocks.1.hook_resid_post", add)])[0].detach().log_softmax(-1)
    expected = sum(float(logits[at, token]) for at, token in enumerate(ids))
    assert found == pytest.approx(expected, abs=1e-3)


def test_inspect_runs_a_steered_model(llama: sl.LensModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inspect_ai = pytest.importorskip("inspect_ai")
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import GenerateConfig
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate

    monkeypatch.setenv("INSPECT_DISPLAY", "none")
    monkeypatch.chdir(tmp_path)
    plan, chats = _plan(llama), [[{"role": "user", "content": text}] for text in ("Hola", "One two")]
    expected = [llama.generate(chat, 6) for chat in chats]
    with plan.applied(llama):
        steered = [llama.generate(chat, 6) for chat in chats]
    samples = [Sample(input=chat[0]["content"], target=text) for chat, text in zip(chats, expected, strict=True)]
    task = inspect_ai.Task(
        name="quiz", dataset=MemoryDataset(samples), solver=generate(), scorer=includes(), config=GenerateConfig(max_tokens=6)
    )
    run = {
        name: inspect_ai.eval(task, model=harness.inspect_model(llama, own), log_dir=str(tmp_path), log_format="json")[0]
        for name, own in {"unsteered": None, "mine": plan}.items()
    }
    assert [sample.output.completion for sample in run["unsteered"].samples] == expected
    assert [sample.output.completion for sample in run["mine"].samples] == steered
    answers = harness.inspect_answers({"unsteered": run["unsteered"], "mine": run["mine"].location})  # the log's file
    assert answers.frame["value"].tolist() == [1.0, 1.0, *(float(a in b) for a, b in zip(expected, steered, strict=True))]
    assert plan.digest()[:12] in answers.meta["methods"]["mine"]["quiz"]
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(FileError, match="not a log of Inspect"):
        harness.inspect_answers({"unsteered": broken, "mine": broken})
    (failed,) = inspect_ai.eval(
        task, model=harness.inspect_model(llama), log_dir=str(tmp_path), logprobs=True, fail_on_error=True
    )
    assert failed.status == "error"
    assert "logprobs" in failed.error.message
