"""Alignment by training: losses by hand, what moves and what stays, runs that go on, and clear ends."""

import errno
import math
import os
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from places import HERE
from transformers import AutoModelForCausalLM

import steerlens as sl
from steerlens.alignment import (
    Aligned,
    ContinuedTraining,
    CrossLingualOptimization,
    Keep,
    MidAlign,
    MultilingualTuning,
    TrainingSettings,
    contrastive_loss,
    folders,
    movement_loss,
    preference_loss,
    train,
    trainer,
    training,
)
from steerlens.alignment.examples import encoded_row
from steerlens.alignment.lora import learner_of
from steerlens.alignment.order import Batches
from steerlens.data.parallel import ParallelCorpus, ParallelText
from steerlens.errors import DataError, FileError, FingerprintError, LayerError, ModelError, SettingsError
from steerlens.evaluation import Steered, plane

pytest.importorskip("peft")

FACTS = (
    ("capital-JP", "What is the capital of Japan?", "¿Cuál es la capital de Japón?", "Tokyo", "Tokio"),
    ("capital-IT", "What is the capital of Italy?", "¿Cuál es la capital de Italia?", "Rome", "Roma"),
    ("water", "What do we drink?", "¿Qué bebemos?", "water", "agua"),
    ("moon", "What shines at night?", "¿Qué brilla de noche?", "the moon", "la luna"),
    ("three", "What is one and two?", "¿Cuánto es uno y dos?", "three", "tres"),
    ("snow", "What is white and cold?", "¿Qué es blanco y frío?", "snow", "nieve"),
)
SETTINGS = TrainingSettings(steps=6, batch_size=2, learning_rate=5e-3, checkpoints=3, rank=4, alpha=8)


@pytest.fixture(scope="module")
def corpus() -> ParallelCorpus:
    rows = [
        ParallelText(
            concept,
            {"en-US": f"Question: {english}\nAnswer:", "es-ES": f"Pregunta: {own}\nRespuesta:"},
            {"en-US": answer, "es-ES": respuesta},
            "hand",
            "CC0",
            concept,
        )
        for concept, english, own, answer, respuesta in FACTS
    ]
    return ParallelCorpus(tuple(rows), "hand")


@pytest.fixture(scope="module")
def base(model_folders: dict[str, Path]) -> sl.LensModel:
    """A model of its own, whose weights no other test changes."""
    return sl.load(model_folders["llama"], **HERE)


# --- losses


def test_the_contrastive_loss_by_hand() -> None:
    """Two pairs at right angles, t = 1: each right answer has similarity 1, the other 0; both directions are the same."""
    own = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    assert contrastive_loss(own, own * 5, 1.0).item() == pytest.approx(-math.log(math.e / (math.e + 1)))
    assert contrastive_loss(own, own.flip(0), 1.0).item() == pytest.approx(-math.log(1 / (math.e + 1)))
    same = torch.ones(2, 2, dtype=torch.bool)
    assert contrastive_loss(own, own.flip(0), 1.0, same).item() == pytest.approx(0)  # no wrong answer is left


def test_the_preference_loss_by_hand() -> None:
    """The chosen answer gained 2 nats and the rejected one lost 1: -log sigmoid(0.5 * 3)."""
    chosen, rejected, before = torch.tensor([-1.0]), torch.tensor([-4.0]), torch.tensor([-3.0])
    loss = preference_loss(chosen, rejected, before, before, 0.5)
    assert loss.item() == pytest.approx(-math.log(1 / (1 + math.exp(-1.5))))
    assert preference_loss(before, before, before, before, 0.5).item() == pytest.approx(math.log(2))


def test_movement_is_a_share_of_the_vector() -> None:
    vectors, before = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 1.0]])
    assert movement_loss(before + vectors, before, vectors).item() == pytest.approx(1)
    assert movement_loss(before - vectors / 2, before, vectors).item() == pytest.approx(0.25)
    assert movement_loss(before + torch.tensor([[7.0, 0.0]]), before, vectors).item() == 0


@pytest.mark.parametrize("which", ["contrastive", "preference", "movement"])
def test_gradients_are_those_of_finite_differences(which: str) -> None:
    torch.manual_seed(0)
    a, b, c = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    before = torch.randn(4, dtype=torch.float64)
    function, given = {
        "contrastive": (lambda x, y: contrastive_loss(x, y, 0.3), (a, b)),
        "preference": (lambda x, y: preference_loss(x[:, 0], y[:, 0], before, -before, 0.7), (a, b)),
        "movement": (movement_loss, (a, b, c)),
    }[which]
    assert torch.autograd.gradcheck(function, given)


# --- what the learner computes


def test_log_probabilities_and_residuals_are_the_models_own(base: sl.LensModel, corpus: ParallelCorpus) -> None:
    """Of texts of several lengths at once, against Hugging Face's and the model's own, one text at a time."""
    learner = learner_of(base, SETTINGS, "all")
    texts = [encoded_row(base.tokenizer, row, code) for row in corpus for code in row.locales]
    learner.check(texts, base)
    with torch.no_grad():
        found, residuals = learner.log_probabilities(texts), learner.residuals(texts, 2)
    for text, own, residual in zip(texts, found, residuals, strict=True):
        ids = torch.tensor([text.ids], device=base.device)
        with torch.no_grad():
            logits = base.tl.original_model(ids).logits[0].log_softmax(-1)
        each = logits[torch.arange(text.start - 1, len(text.ids) - 1), list(text.ids[text.start :])]
        assert own.item() == pytest.approx(each.sum().item(), abs=1e-3)
        plain = base.residuals(base.tokenizer.decode(text.ids[text.front :]), [2], "mean").residuals[0, 0]
        torch.testing.assert_close(residual.cpu(), plain, atol=1e-3, rtol=1e-3)


def test_a_model_whose_output_is_not_by_token_is_refused(base: sl.LensModel, corpus: ParallelCorpus) -> None:
    learner = learner_of(base, SETTINGS, "all")
    learner.model.get_base_model().lm_head.register_forward_hook(lambda _module, _inputs, out: out.cumsum(dim=1))
    with pytest.raises(ModelError, match="to each token separately"):
        learner.check([encoded_row(base.tokenizer, corpus[0], "en-US")], base)


def test_a_model_whose_files_have_changed_is_refused(
    base: sl.LensModel, corpus: ParallelCorpus, loaded: dict[str, sl.LensModel], model_folders: dict[str, Path], tmp_path: Path
) -> None:
    """What is read for training is compared with the model that was given."""
    folder = shutil.copytree(model_folders["llama"], tmp_path / "model")
    given = sl.load(folder, **HERE)
    other = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        other.model.layers[1].mlp.down_proj.weight.mul_(1.5)
    other.save_pretrained(folder)
    with pytest.raises(ModelError, match="differs from the given model"):
        train(given, corpus, METHODS["tuning"], out=tmp_path / "out", settings=SETTINGS)


def test_the_model_before_training_is_the_one_that_is_compared_with(
    loaded: dict[str, sl.LensModel], corpus: ParallelCorpus
) -> None:
    """Also where the model drops out in training, as GPT-2: before any update both give the same."""
    model = loaded["gpt2"]
    learner = learner_of(model, SETTINGS, "all")
    learner.model.train()
    texts = [encoded_row(model.tokenizer, row, code) for row in corpus for code in row.locales]
    torch.testing.assert_close(learner.log_probabilities(texts), learner.log_probabilities(texts, before=True))
    (batch,) = [METHODS["clo"].streams(corpus, ["es-ES"], model.tokenizer)[0]]
    parts = METHODS["clo"].losses(learner, batch[:3], 0)
    assert parts["preference"].item() == pytest.approx(math.log(2))


# --- training


METHODS = {
    "midalign": MidAlign(2),
    "clo": CrossLingualOptimization(),
    "tuning": MultilingualTuning(),
    "continued": ContinuedTraining(),
}


@pytest.fixture(scope="module")
def trained(base: sl.LensModel, corpus: ParallelCorpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Aligned]:
    folder = tmp_path_factory.mktemp("aligned")
    return {name: train(base, corpus, method, out=folder / name, settings=SETTINGS) for name, method in METHODS.items()}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_lowers_its_own_loss(base: sl.LensModel, corpus: ParallelCorpus, name: str, tmp_path: Path) -> None:
    made = train(base, corpus, METHODS[name], out=tmp_path, settings=replace(SETTINGS, steps=24, checkpoints=1))
    for part, own in made.log.frame.groupby("part"):
        assert own["value"].iloc[-5:].mean() < own["value"].iloc[:3].mean(), part
    assert made.card.done
    assert made.card.texts == {"rows": {"hand": 6}, "licences": {"hand": "CC0"}}


def test_the_adapter_alone_is_trained(base: sl.LensModel, trained: dict[str, Aligned], model_folders: dict[str, Path]) -> None:
    """The base model's weights are the file's bit for bit, and an adapter's weights are the only ones in its folder."""
    again = sl.load(model_folders["llama"], **HERE)
    assert base.fingerprint == again.fingerprint
    for made in trained.values():
        assert made.model(base).fingerprint.weights != base.fingerprint.weights
        assert {path.name for path in made.folder.iterdir()} >= {"adapter_model.safetensors", "adapter_config.json", "card.json"}
        left = {path.name for path in made.folder.rglob("*") if path.is_file()}
        assert left == {"adapter_model.safetensors", "adapter_config.json", "card.json", "log.parquet", ".lock"}


def test_clo_stands_on_attention_and_layers_can_be_chosen(
    base: sl.LensModel, corpus: ParallelCorpus, trained: dict[str, Aligned], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    names = load_file(trained["clo"].folder / "adapter_model.safetensors")
    assert names
    assert all("self_attn" in name for name in names)
    made = train(base, corpus, METHODS["midalign"], out=tmp_path, settings=replace(SETTINGS, steps=2, layers=(1,)))
    assert all(".layers.1." in name for name in load_file(made.folder / "adapter_model.safetensors"))


def test_an_adapter_that_the_loss_does_not_depend_on_is_refused(
    base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path
) -> None:
    above = replace(SETTINGS, steps=2, layers=(2,))
    with pytest.raises(SettingsError, match="'contrastive' of the loss does not depend on the adapter"):
        sl.alignment.midalign(base, corpus, layer=1, out=tmp_path, settings=above)


def test_midalign_raises_the_alignment_of_the_pair_and_not_of_others(
    base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path
) -> None:
    """English and Spanish texts find their translations more often; at the layer's own block, and on the corpus it learned."""

    def retrieved(model: sl.LensModel) -> float:
        sides = [[row.full(code) for row in corpus] for code in ("en-US", "es-ES")]
        own, other = (torch.nn.functional.normalize(model.residuals(side, [2], "mean").residuals[0], dim=1) for side in sides)
        similarity = own @ other.T
        return (similarity.diagonal() - similarity.mean(dim=1)).mean().item()

    made = train(base, corpus, MidAlign(2, centred=False), out=tmp_path, settings=replace(SETTINGS, steps=40, batch_size=6))
    assert retrieved(made.model(base)) > retrieved(base) + 0.1


def test_a_run_that_goes_on_gives_the_same_weights(
    base: sl.LensModel, corpus: ParallelCorpus, trained: dict[str, Aligned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended in its fourth step, after a checkpoint at the second; what a dying process left of another is thrown away."""
    losses, passes = trainer.AlignmentTrainer.compute_loss, []

    def dying(self: trainer.AlignmentTrainer, *args: object, **others: object) -> object:
        passes.append(self.state.global_step)
        if len(passes) == 4:
            raise KeyboardInterrupt
        return losses(self, *args, **others)

    monkeypatch.setattr(trainer.AlignmentTrainer, "compute_loss", dying)
    with pytest.raises(KeyboardInterrupt):
        train(base, corpus, METHODS["midalign"], out=tmp_path, settings=SETTINGS)
    with pytest.raises(FileError, match="did not finish"):
        Aligned.load(tmp_path)
    half = tmp_path / "checkpoints" / "checkpoint-4"
    shutil.copytree(tmp_path / "checkpoints" / "checkpoint-2", half)
    (half / folders.WHOLE).unlink()
    made = train(base, corpus, METHODS["midalign"], out=tmp_path, settings=SETTINGS)
    assert passes[4:] == [2, 3, 4, 5]
    whole = trained["midalign"]
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (made.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert made.log.frame.equals(whole.log.frame)
    assert list(made.points()) == [2, 4, 6]


def test_the_same_call_again_trains_nothing_and_another_one_is_refused(
    base: sl.LensModel, corpus: ParallelCorpus, trained: dict[str, Aligned], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer.AlignmentTrainer, "compute_loss", None)
    folder = trained["tuning"].folder
    assert train(base, corpus, METHODS["tuning"], out=folder, settings=SETTINGS).card == trained["tuning"].card
    with pytest.raises(SettingsError, match="training"):
        train(base, corpus, METHODS["tuning"], out=folder, settings=replace(SETTINGS, seed=1))
    with pytest.raises(SettingsError, match="method"):
        train(base, corpus, METHODS["continued"], out=folder, settings=SETTINGS)


def test_it_is_a_method_alone_and_under_a_plan(base: sl.LensModel, trained: dict[str, Aligned], items: sl.data.Items) -> None:
    """It has the scores that the adapted model has by itself, at each checkpoint others, and a plan goes on top."""
    made = trained["midalign"]
    plan = sl.steering.take(base, items, sl.steering.LOC, locales=["es-ES"])["LOC"].at(2)
    methods = {"aligned": made, "early": made.points()[2], "steered": made + Steered(plan)}
    values = plane(base, items, methods, locales=["es-ES"]).frame.set_index(["method", "locale", "score"])["value"]
    model = made.model(base)
    alone = plane(model, items, {"same": model, "steered": plan.moved_to(model)}, locales=["es-ES"]).frame
    steered = alone[alone["method"] == "steered"].set_index(["locale", "score"])["value"]
    assert values["steered"].to_dict() == pytest.approx(steered.to_dict())
    own = alone[alone["method"] == "unsteered"].set_index(["locale", "score"])["value"]
    assert values["aligned"].to_dict() == pytest.approx(own.to_dict())
    assert made.points()[2].prepared(base, "es-ES").model.fingerprint != made.model(base).fingerprint


def test_an_adapter_of_another_base_is_refused(trained: dict[str, Aligned], loaded: dict[str, sl.LensModel]) -> None:
    with pytest.raises(FingerprintError, match="adapter"):
        trained["clo"].prepared(loaded["gemma3"], "es-ES")


def test_keeping_holds_prompts_along_the_vector(
    base: sl.LensModel, corpus: ParallelCorpus, items: sl.data.Items, loaded: dict[str, sl.LensModel], tmp_path: Path
) -> None:
    """With a heavy term the implicit cultural prompts move less along LOC than without; the loss is the distance squared."""
    vectors = sl.steering.take(base, items, sl.steering.LOC, locales=["es-ES"])
    keep = Keep(vectors, 2, items, weight=100.0)
    strange = Keep(sl.steering.take(loaded["qwen2"], items, sl.steering.LOC, locales=["es-ES"]), 2, items)
    with pytest.raises(FingerprintError, match="the vector given to keep"):
        train(base, corpus, MidAlign(2), out=tmp_path / "strange", settings=SETTINGS, keep=strange)
    with pytest.raises(DataError, match="no cultural items of es-ES"):
        train(
            base,
            corpus,
            MidAlign(2),
            out=tmp_path / "lacking",
            settings=SETTINGS,
            keep=replace(keep, items=items.of(locale="ko-KR")),
        )
    settings = replace(SETTINGS, steps=20, checkpoints=1)

    def moved(made: Aligned) -> float:
        texts = [item.prompt().text for item in items.of(kind="cultural", locale="es-ES")]
        after, before = (model.residuals(texts, [2]).residuals[0] for model in (made.model(base), base))
        return movement_loss(after, before, keep.direction("es-ES").expand_as(after)).item()

    free = train(base, corpus, MidAlign(2), out=tmp_path / "free", settings=settings)
    kept = train(base, corpus, MidAlign(2), out=tmp_path / "kept", settings=settings, keep=keep)
    assert moved(kept) < moved(free) / 2
    assert kept.card.method == "MidAlign, local kept"
    with pytest.raises(SettingsError, match="keep"):
        train(base, corpus, MidAlign(2), out=tmp_path / "kept", settings=settings)


def test_midalign_erases_planted_culture_and_the_plane_shows_it(tmp_path: Path) -> None:
    """Two planted languages pulled together where the local answer is written: facts gain, and the local answer gives way to the
    English one, on concepts that no text told. It is the paper's first finding where its truth is known."""

    class Pairs(MidAlign):
        """The contrastive loss alone: the planted model writes no language that could be kept."""

        def streams(self, *given: object) -> tuple:
            return super().streams(*given)[:1]  # type: ignore[arg-type]

    made = sl.testbed.planted(0, folder=tmp_path / "model", locales=("es-ES",))
    split = made.items.split(seed=0)
    settings = TrainingSettings(steps=30, batch_size=8, learning_rate=3e-4, checkpoints=1)
    deep = made.truth["es-ES"]["LOC"].layer
    corpus = sl.data.parallel.facts(split.train)
    aligned = train(made.model, corpus, Pairs(deep, centred=False), out=tmp_path / "aligned", settings=settings)
    test = sl.data.Items((*split.dev, *split.test))
    found = plane(made.model, test, {"aligned": aligned}).frame.set_index(["method", "locale", "score"]).loc["aligned", "mean"]
    assert found.loc["transfer", "low"] > 0
    assert found.loc["localization", "high"] < 0
    assert found.loc["english_centric", "low"] > 0


# --- what goes wrong


@pytest.mark.parametrize(("growth", "said"), [(1.3, "went from"), (math.inf, "inf")])
def test_a_diverging_loss_ends_with_what_was_seen(
    base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, growth: float, said: str
) -> None:
    losses, calls = MultilingualTuning.losses, iter(range(1000))

    def wild(self: MultilingualTuning, *given: object) -> dict[str, torch.Tensor]:
        return {name: own * growth ** max(0, next(calls) - 4) for name, own in losses(self, *given).items()}

    monkeypatch.setattr(MultilingualTuning, "losses", wild)
    with pytest.raises(ModelError, match=rf"diverges .*{said}.*before: answers .*learning rate below"):
        train(base, corpus, METHODS["tuning"], out=tmp_path, settings=replace(SETTINGS, steps=60, checkpoints=30))
    assert (tmp_path / "checkpoints" / "checkpoint-2" / "adapter_model.safetensors").is_file()


def test_a_full_disk_keeps_the_last_good_checkpoint(
    base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = trainer.AlignmentTrainer._save_optimizer_and_scheduler

    def full(self: trainer.AlignmentTrainer, folder: str) -> None:
        if folder.endswith("-4"):
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 640 vs 598")  # PyTorch's words for it
        save(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.AlignmentTrainer, "_save_optimizer_and_scheduler", full)
        with pytest.raises(FileError, match=r"unexpected pos .* that are kept: 2"):
            train(base, corpus, METHODS["tuning"], out=tmp_path, settings=SETTINGS)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["checkpoint-2"]
    assert train(base, corpus, METHODS["tuning"], out=tmp_path, settings=SETTINGS).card.done


def test_a_disk_that_is_full_or_read_only_at_any_time_is_said_and_nothing_is_lost(
    base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the folder is locked, when a checkpoint is marked, and when the adapter is put into the folder."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def made() -> Aligned:
        return train(base, corpus, METHODS["tuning"], out=tmp_path, settings=SETTINGS)

    for place, said in (
        ((FileLock, "acquire"), f"cannot write {tmp_path}: No space left"),
        ((Path, "touch"), "checkpoint of step 2 cannot be written"),
        ((shutil, "copyfile"), r"cannot write .*adapter_config\.json: No space left"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*place, full)
            with pytest.raises(FileError, match=said):
                made()
        assert not list(tmp_path.glob("adapter*"))
    assert list(folders.whole(tmp_path)) == [2, 4, 6]
    (tmp_path / ".card.json.abcdefgh.part").mkdir()  # of a process that was killed
    assert made().card.done
    assert not list(tmp_path.glob("*.part"))


def test_a_checkpoint_that_cannot_be_removed_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoints" / "checkpoint-2").mkdir(parents=True)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "rmdir", refuse)
    assert folders.whole(tmp_path) == {}


def test_memory_that_does_not_hold_a_batch_halves_it(
    base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    losses = trainer.AlignmentTrainer.compute_loss

    def small(self: trainer.AlignmentTrainer, model: object, inputs: dict, **others: object) -> object:
        if len(inputs["batch"].examples) > 1:
            raise torch.OutOfMemoryError("a test's")
        return losses(self, model, inputs, **others)

    monkeypatch.setattr(trainer.AlignmentTrainer, "compute_loss", small)
    made = train(base, corpus, METHODS["tuning"], out=tmp_path, settings=SETTINGS)
    assert made.card.batch_size == 1
    assert "a batch size of 1 and 2 batches per update" in caplog.text
    with pytest.raises(ModelError, match="2 examples of MidAlign do not fit into memory"):  # which compares them
        train(base, corpus, METHODS["midalign"], out=tmp_path / "pairs", settings=SETTINGS)
    assert made.log.frame["step"].max() == SETTINGS.steps


def test_texts_that_cannot_be_learned_from_are_refused(base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path) -> None:
    english = ParallelCorpus(tuple(ParallelText(row.key, {"en-US": row.full("en-US")}) for row in corpus))
    plain = ParallelCorpus(tuple(ParallelText(row.key, row.texts) for row in corpus))
    with pytest.raises(SettingsError, match="at least one other locale"):
        train(base, english, METHODS["midalign"], out=tmp_path, settings=SETTINGS)
    with pytest.raises(DataError, match="questions"):
        train(base, plain, METHODS["clo"], out=tmp_path / "a", settings=SETTINGS)
    with pytest.raises(SettingsError, match="ko-KR"):
        train(base, corpus, METHODS["clo"], ["ko-KR"], out=tmp_path / "b", settings=SETTINGS)
    with pytest.raises(DataError, match="longer than 3 tokens"):
        train(base, corpus, METHODS["tuning"], out=tmp_path / "c", settings=replace(SETTINGS, max_tokens=3))
    cuneiform = ParallelText("x", {"en-US": "Water.", "es-ES": "𒀀𒀁𒀂𒀃"})
    with pytest.raises(DataError, match="bytes"):
        train(base, ParallelCorpus((cuneiform,)), METHODS["midalign"], out=tmp_path / "d", settings=SETTINGS)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"steps": 0}, {"steps": True}, {"batch_size": 1.5}, {"seed": -1}, {"max_tokens": 0}),
        *({"learning_rate": 0.0}, {"learning_rate": "x"}, {"warmup": 1.0}),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        TrainingSettings(**wrong)


def test_methods_out_of_range_are_refused(base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path) -> None:
    for wrong in (
        lambda: MidAlign(1, 0.0),
        lambda: CrossLingualOptimization(beta=-1),
        lambda: CrossLingualOptimization(weight=math.nan),
    ):
        with pytest.raises(SettingsError, match="expected a number above 0"):
            wrong()
    with pytest.raises(LayerError, match="layer 40"):
        train(base, corpus, MidAlign(40), out=tmp_path, settings=SETTINGS)


@pytest.mark.parametrize(("steps", "checkpoints"), [(7, 3), (10, 6), (5, 4), (150, 5)])
def test_no_more_checkpoints_than_asked_for(steps: int, checkpoints: int) -> None:
    every = TrainingSettings(steps=steps, checkpoints=checkpoints).save_every
    assert len({*range(every, steps + 1, every), steps}) <= checkpoints


def test_a_folder_of_something_else_is_left_as_it_is(base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path) -> None:
    theirs = tmp_path / "checkpoints" / "checkpoint-500" / "model.safetensors"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    with pytest.raises(SettingsError, match="contains checkpoints, which"):
        train(base, corpus, METHODS["tuning"], out=tmp_path, settings=SETTINGS)
    assert theirs.read_bytes() == b"theirs"


def test_a_call_that_was_refused_leaves_nothing_in_the_way(base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        train(base, corpus, METHODS["tuning"], out=tmp_path, settings=replace(SETTINGS, max_tokens=3))
    with pytest.raises(SettingsError, match="expected 2 or more examples"):
        train(base, corpus, METHODS["midalign"], out=tmp_path, settings=replace(SETTINGS, batch_size=1))
    assert train(base, corpus, METHODS["tuning"], out=tmp_path, settings=replace(SETTINGS, steps=1)).card.done


def test_two_processes_do_not_train_in_one_folder(base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path) -> None:
    with folders.alone_in(tmp_path), pytest.raises(FileError, match="another process is training in"):
        train(base, corpus, METHODS["tuning"], out=tmp_path, settings=SETTINGS)


@pytest.mark.parametrize("dies_in", ["write_result", "strip"])
def test_a_run_that_dies_at_its_very_end_trains_nothing_again(
    base: sl.LensModel,
    corpus: ParallelCorpus,
    trained: dict[str, Aligned],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_in: str,
) -> None:
    """Killed before or after the card says that it is done."""

    def dying(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, dies_in, dying)
        with pytest.raises(KeyboardInterrupt):
            train(base, corpus, METHODS["clo"], out=tmp_path, settings=SETTINGS)
    monkeypatch.setattr(trainer.AlignmentTrainer, "compute_loss", None)
    made = train(base, corpus, METHODS["clo"], out=tmp_path, settings=SETTINGS)
    name = "adapter_model.safetensors"
    assert (made.folder / name).read_bytes() == (trained["clo"].folder / name).read_bytes()
    assert list(made.points()) == [2, 4, 6]
    assert made.points()[2].log.frame["step"].max() == 2


def test_weights_that_are_no_numbers_are_not_kept(
    base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finite loss may have a gradient that is not."""
    losses = MultilingualTuning.losses

    def broken(self: MultilingualTuning, learner: object, *given: object) -> dict[str, torch.Tensor]:
        weight = next(own for own in learner.model.parameters() if own.requires_grad)  # type: ignore[attr-defined]
        weight.register_hook(lambda gradient: gradient * math.nan)
        return losses(self, learner, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(MultilingualTuning, "losses", broken)
    with pytest.raises(ModelError, match="NaN or infinite at step 1"):
        train(base, corpus, METHODS["tuning"], out=tmp_path, settings=replace(SETTINGS, checkpoints=6))
    assert not list((tmp_path / "checkpoints").glob("*/whole"))


def test_random_numbers_stay_the_users_own(base: sl.LensModel, corpus: ParallelCorpus, tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(base, corpus, METHODS["tuning"], out=tmp_path, settings=replace(SETTINGS, steps=1))
    assert torch.equal(torch.rand(3), expected)


def test_continued_training_keeps_a_language_of_every_row() -> None:
    rows = [
        ParallelText(f"{code}-{at}", {"en-US": f"One {at}.", code: f"Uno {at}."})
        for code in ("es-ES", "ko-KR")
        for at in range(20)
    ]
    tokenizer = SimpleNamespace(ids=lambda text: [5, *range(len(text))], n_front=lambda _: 0)
    (stream,) = ContinuedTraining().streams(ParallelCorpus(tuple(rows)), ["es-ES", "ko-KR"], tokenizer)  # type: ignore[arg-type]
    assert len({example.about for example in stream}) == len(stream) == len(rows)
    assert {example.texts[0].locale for example in stream} == {"en-US", "es-ES", "ko-KR"}


def test_memory_holds_one_model_beside_the_base(
    base: sl.LensModel, trained: dict[str, Aligned], items: sl.data.Items, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many checkpoints are placed: when one is loaded, those before are gone."""
    load, alive, most = sl.models.spec.LoadSpec.load, [], []

    def loading(spec: object) -> sl.LensModel:
        most.append(sum(one() is not None for one in alive))
        model = load(spec)  # type: ignore[arg-type]
        alive.append(weakref.ref(model))
        return model

    monkeypatch.setattr("steerlens.models.spec.LoadSpec.load", loading)
    plane(base, items.sample(2), dict(enumerate_names(trained["clo"])), locales=["es-ES"])
    assert most == [0, 0, 0]


def enumerate_names(made: Aligned) -> Iterator[tuple[str, Aligned]]:
    """The checkpoints by name."""
    return ((f"step {step}", point) for step, point in made.points().items())


def test_halved_batches_hold_the_same_examples_in_an_update() -> None:
    streams = [list("abcdefg"), list("xyz")]

    def updates(size: int, accumulate: int) -> Iterator[list[str]]:
        batches = Batches(streams, [], steps=9, size=size, accumulate=accumulate, seed=3)  # type: ignore[arg-type]
        for update in range(9):
            own = [batches[update * accumulate + at] for at in range(accumulate)]
            assert len({batch.stream for batch in own}) == 1
            yield [example for batch in own for example in batch.examples]

    whole, halves = list(updates(4, 1)), list(updates(2, 2))
    assert whole == halves
    assert {name for update in whole[::2] for name in update} == set(streams[0])
    assert {name for update in whole[1::2] for name in update} == set(streams[1])
