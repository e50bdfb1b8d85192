"""What is seen of single prompts: residuals in two dimensions, the logit lens by token, choices, greedy text as it grows."""

import numpy as np
import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import Scorer, item_choices, sweep
from steerlens.fingerprint import Fingerprint
from steerlens.models import stream
from steerlens.probing import ResidualMap, TokenLens, residual_map, token_lens
from steerlens.steering import difference_of_means


@pytest.fixture(scope="module")
def plan(llama: sl.LensModel, items: Items) -> sl.steering.SteeringPlan:
    return difference_of_means(llama, items.english_pairs("es-ES")).at(1, 3.0, "last_onward")


def test_principal_components_are_those_of_scikit_learn(llama: sl.LensModel, items: Items) -> None:
    from sklearn.decomposition import PCA

    stack = llama.residuals(items.prompts(explicit=False))
    ours = residual_map(stack, 2).frame
    theirs = PCA(2).fit_transform(stack.at(2).numpy())
    for mine, reference in zip(ours[["x", "y"]].to_numpy().T, theirs.T, strict=True):
        assert np.allclose(np.abs(mine), np.abs(reference), atol=1e-3)
        assert mine[np.abs(mine).argmax()] > 0


def _labelled(shift: float, n: int = 40, d: int = 200) -> sl.ResidualStack:
    """Noise in many dimensions; along the first one factual prompts lie ``shift`` further."""
    generator = torch.Generator().manual_seed(0)
    prompts = tuple(
        sl.data.Prompt(f"p{i}", f"c{i}", "es-ES", ("factual", "cultural")[i % 2], "implicit", topic="t") for i in range(n)
    )
    rows = torch.randn(1, n, d, generator=generator)
    rows[0, ::2, 0] += shift
    own = Fingerprint(
        weights="0",
        tokenizer="0",
        dtype="float32",
        weight_processing="none",
        n_layers=1,
        d_model=d,
        front=(),
        bos_id=None,
        pad_id=0,
        name="t",
    )
    return sl.ResidualStack(rows, (0,), prompts, "last", own)


def test_means_axis_shows_what_is_planted_and_not_what_is_not() -> None:
    """Held out: in 200 dimensions the difference of means of 40 random points would tell them apart that it was taken from."""

    def gap(shift: float) -> float:
        frame = residual_map(_labelled(shift), 0, "means").frame
        sides = frame.groupby("kind")["x"]
        return float((sides.mean()["factual"] - sides.mean()["cultural"]) / sides.std().mean())

    assert gap(12.0) > 4
    assert abs(gap(0.0)) < 1.5  # chance, by the folds that are drawn; taken from the same points it would be about 4.5


def test_residual_map_of_one_locale_is_saved_and_drawn(llama: sl.LensModel, items: Items, tmp_path) -> None:
    stack = llama.residuals(items.prompts())
    found = residual_map(stack, 1, locale="ko-KR")
    assert set(found.frame["locale"]) == {"ko-KR"}
    assert len(found.frame) == len(items.of(locale="ko-KR"))  # no explicit prompt among them
    again = ResidualMap.load(found.save(tmp_path / "map.parquet"))
    fig = again.scatter("kind")
    assert {trace.name for trace in fig.data} == {"factual", "cultural"}
    assert any(items.of(locale="ko-KR")[0].question in row[0] for trace in fig.data for row in trace.customdata)
    with pytest.raises(UnknownNameError, match="colour"):
        found.scatter("size")
    with pytest.raises(UnknownNameError, match="axes"):
        residual_map(stack, 1, "umap")  # type: ignore[arg-type]


def test_token_lens_ends_in_the_models_own_next_token(scored: sl.LensModel) -> None:
    prompt = "Pregunta: ¿Qué se desayuna?\nRespuesta:"
    frame = token_lens(scored, prompt).frame
    tokens = scored.tokens(prompt)
    with torch.no_grad():
        own = scored.tl.original_model(torch.tensor([tokens.ids], device=scored.device)).logits[0].float().softmax(-1)
    last = frame[frame["layer"] == scored.n_layers - 1].set_index("position")
    for position in last.index:
        probability, token = own[position].max(-1)
        assert last.loc[position, "probability"] == pytest.approx(float(probability), abs=1e-4)
        assert last.loc[position, "top"] == scored.tokenizer.decode([int(token)])
    assert len(frame) == scored.n_layers * (len(tokens) - len(scored.tokenizer.front))


def test_token_lens_changes_from_the_steered_layer_on(llama: sl.LensModel, plan: sl.steering.SteeringPlan, tmp_path) -> None:
    lens = token_lens(llama, "¿Cuál es la capital de Francia?", plan, last=3)
    wide = lens.frame.pivot(index=["layer", "position"], columns="steering", values="probability").reset_index()
    before, after = wide[wide["layer"] < 1], wide[wide["layer"] >= 1]
    assert np.array_equal(before["steered"], before["unsteered"])
    last = after["position"].max()
    assert not np.allclose(after.loc[after["position"] == last, "steered"], after.loc[after["position"] == last, "unsteered"])
    fig = TokenLens.load(lens.save(tmp_path / "lens.parquet")).heatmap("steered")
    assert fig.data[0].z.shape == (llama.n_layers, 3)
    with pytest.raises(UnknownNameError, match="steering"):
        token_lens(llama, "¿Cuál?", last=1).heatmap("steered")
    with pytest.raises(SettingsError, match="last=0"):
        token_lens(llama, "¿Cuál?", last=0)


def test_item_choices_are_the_exams(llama: sl.LensModel, items: Items, plan: sl.steering.SteeringPlan) -> None:
    item = items.of(kind="cultural", locale="es-ES")[0]
    found = item_choices(llama, item, plan)
    scorer = Scorer(llama, [item])
    for steering, outcome in (("unsteered", scorer.score()[0]), ("steered", scorer.score(plan)[0])):
        own = found.frame[found.frame["steering"] == steering]
        assert own["score"].to_numpy() == pytest.approx(outcome.scores)
        assert own["share"].sum() == pytest.approx(1)
        assert list(own["predicted"]).index(True) == outcome.predicted
    assert list(found.frame["answer"]).index(True) == item.answer
    fig = found.plot()
    assert [trace.name for trace in fig.data] == ["unsteered", "steered"]


def test_stream_writes_what_generate_writes(model: sl.LensModel, items: Items) -> None:
    """Greedily, unsteered and steered; between two tokens the model is as it was."""
    prompt = items.of(kind="factual", locale="es-ES")[0].prompt()
    vector = difference_of_means(model, items.english_pairs("es-ES"))
    for tokens in ("all", "last_onward", "generated"):
        plan = vector.at(1, 4.0, tokens)
        with plan.applied(model):
            whole = model.generate(prompt, 8)
        pieces = stream(model, prompt, 8, lambda plan=plan: plan.applied(model))
        next(pieces)
        assert model.generate(prompt, 8) == list(stream(model, prompt, 8))[-1]
        assert list(pieces)[-1] == whole


def test_a_sweep_by_locale_shows_the_mean_margin(llama: sl.LensModel, items: Items) -> None:
    vectors = [difference_of_means(llama, items.english_pairs(code)) for code in ("es-ES", "ko-KR")]
    swept = sweep(llama, items, vectors, [1, 2], [0.5, 1.0], mode="attribution")
    fig = swept.by_locale("EN", "transfer")
    frame = swept.frame.query("strength == 1.0 and layer == 2 and locale == 'ko-KR' and score == 'transfer_margin'")
    expected = float((frame["value"] - frame["base"]).mean())
    assert fig.data[0].z[1][list(fig.data[0].x).index("ko-KR")] == pytest.approx(expected)
    assert fig.data[0].zmin == -fig.data[0].zmax
    with pytest.raises(UnknownNameError, match="strength"):
        swept.by_locale("EN", "transfer", 3.0)
