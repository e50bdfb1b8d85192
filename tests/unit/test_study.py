"""The whole chain on a tiny model, by library and by command line."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from places import some_items

import steerlens as sl
from steerlens.errors import FileError, LayerError, SettingsError, UnknownNameError
from steerlens.results import _said
from steerlens.scores import shown_score


@pytest.fixture(scope="module")
def study(llama: sl.LensModel, items: sl.data.Items, tmp_path_factory: pytest.TempPathFactory) -> tuple[sl.Study, Path]:
    folder = tmp_path_factory.mktemp("study")
    settings = sl.StudySettings(locales=("es-ES", "ko-KR"), layers=(1, 2), strengths=(2.0,), examples=1, max_new_tokens=3)
    return sl.run_study(llama, items, settings, out=folder), folder


def test_results_are_written_and_read_back(study: tuple[sl.Study, Path], tmp_path: Path) -> None:
    found, folder = study
    for path in (folder, found.save(tmp_path / "copy")):
        back = sl.Study.load(path)
        pd.testing.assert_frame_equal(back.plane.frame, found.plane.frame)
        pd.testing.assert_frame_equal(back.sweep.frame, found.sweep.frame)
        assert back.chosen == found.chosen
        assert "NaN" not in (path / "chosen.json").read_text()  # JSON does not know it
        assert str(back.plan("surgical", "ko-KR")) == str(found.plan("surgical", "ko-KR"))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["data"]["sha256"] == some_items().sample(8).digest()
    assert manifest["model"]["weights"]
    assert manifest["settings"]["layers_swept"] == [1, 2]
    assert set(manifest["versions"]) >= {"python", "torch", "transformer-lens", "steerlens"}
    stack = sl.ResidualStack.load(folder / "residuals.safetensors")
    assert stack.layers == (0, 1, 2, 3)
    train = some_items().sample(8).split(seed=0, shares=sl.StudySettings().shares).train
    assert {prompt.concept for prompt in stack.prompts} == set(train.concepts)


def test_is_deterministic(study: tuple[sl.Study, Path], llama: sl.LensModel, items: sl.data.Items) -> None:
    found, _ = study
    settings = sl.StudySettings(locales=("es-ES", "ko-KR"), layers=(1, 2), strengths=(2.0,), examples=1, max_new_tokens=3)
    again = sl.run_study(llama, items, settings)
    pd.testing.assert_frame_equal(again.plane.frame, found.plane.frame)
    assert again.chosen == found.chosen


def test_report_is_one_file_that_needs_no_network(study: tuple[sl.Study, Path], tmp_path: Path) -> None:
    found = study[0]
    text = found.report(tmp_path / "report.html").read_text(encoding="utf-8")
    unsteered = [method for method, own in found.chosen.items() if not own.steps]
    assert 0 < len(unsteered) < 3
    assert text.count('class="plotly-graph-div"') == 9 - len(unsteered)  # a method without steps has no panel
    assert ("No texts" in text) == bool(unsteered)
    assert all(f"<dt>{method}" not in text for method in unsteered)
    assert not re.search(r'<(?:script|link)\b[^>]* (?:src|href)="http', text)
    assert len(text) < 10_000_000
    assert all(sentence.split(" ")[0] in text for sentence in found.found())
    assert "Surgical" in text
    assert text.index('class="verdict"') < text.index("Vectors come from train")  # what was found comes first


def test_controls_and_side_effects_stand_in_the_report(llama: sl.LensModel, items: sl.data.Items, tmp_path: Path) -> None:
    settings = sl.StudySettings(locales=("es-ES", "ko-KR"), layers=(1, 2), strengths=(2.0,), controls=True, side_effects=True)
    found = sl.run_study(llama, items, settings)
    assert {"EN", "random direction"} <= {*found.plane.frame["method"], *found.plane.frame["control"]}
    assert "log_perplexity" in set(found.plane.frame["score"])
    assert "log-perplexity" in found.side_effects()
    assert "log-perplexity" not in found.summary()
    assert "transfer" not in found.side_effects()
    text = found.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "random direction" in text
    assert "log-perplexity" in text


def test_settings(llama: sl.LensModel, items: sl.data.Items, tmp_path: Path) -> None:
    assert sl.StudySettings().swept(llama) == (1, 3)
    assert sl.StudySettings(layers="all").swept(llama) == (0, 1, 2, 3)
    assert sl.StudySettings(layers="strided").swept(llama) == (0, 1, 2, 3)  # fewer layers than a stride has
    with pytest.raises(SettingsError, match="'strided'"):
        sl.StudySettings(layers="some").swept(llama)
    with pytest.raises(LayerError):
        sl.StudySettings(layers=(7,)).swept(llama)
    with pytest.raises(SettingsError, match="at least 2"):
        sl.StudySettings(layers=(2,)).swept(llama)
    with pytest.raises(UnknownNameError, match="cells that were run"):
        sl.StudySettings(mode="attribution")
    for bad in ({"strengths": ()}, {"strengths": (0.0, 1.0)}, {"dev_concepts": 0}):
        with pytest.raises(SettingsError, match="other than 0"):
            sl.StudySettings(**bad)
    assert sl.StudySettings(dev_concepts=[1, 2]) == sl.StudySettings(dev_concepts=(1, 2))  # as JSON gives them
    mixed = sl.StudySettings(dev_concepts=(1, 2), test_concepts=1).parts(items)
    assert [len(mixed.dev.of(kind=kind).concepts) for kind in ("factual", "cultural")] == [1, 2]
    assert [len(mixed.test.of(kind=kind).concepts) for kind in ("factual", "cultural")] == [1, 1]
    for bad in ((), ("en-US",)):
        with pytest.raises(SettingsError, match="one or more locales without en-US"):
            sl.run_study(llama, items, sl.StudySettings(locales=bad))
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot write"):
        sl.run_study("a model that is never loaded", items, out=tmp_path / "file" / "out")


def test_strided_layers_are_the_demos(llama: sl.LensModel) -> None:
    class Eighteen:
        n_layers = 18

        def layers(self, chosen: list[int]) -> tuple[int, ...]:
            return tuple(chosen)

    assert sl.StudySettings(layers="strided").swept(Eighteen()) == (2, 5, 8, 11, 14, 17)
    assert sl.StudySettings().swept(Eighteen()) == (1, 3, 5, 7, 9, 11, 13, 15, 17)


def test_steps_say_what_is_wrong_with_them() -> None:
    """In a process of its own: here the type checker would speak first."""
    given = ("1.0, 'promt'", "'2'", "torch.tensor(2.0)")
    tried = "".join(
        f"try:\n    s.Step(torch.ones(2), 1, {one})\n    print('taken')\nexcept SteerlensError as error:\n    print(error)\n"
        for one in given
    )
    script = f"import torch, steerlens.steering as s\nfrom steerlens.errors import SteerlensError\n{tried}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for said, printed in zip(("Did you mean prompt", "strength '2' given", "taken"), done.stdout.splitlines(), strict=True):
        assert said in printed


def test_what_was_found_covers_every_score(llama: sl.LensModel, items: sl.data.Items) -> None:
    settings = sl.StudySettings(locales=("es-ES",), layers=(1, 2), strengths=(2.0,), controls=True)
    found = sl.run_study(llama, items, settings)
    rows = found.plane.frame
    here = (rows["locale"] == "mean") & (rows["control"] == "") & (rows["method"] == "LOC")
    rows.loc[here & (rows["score"] == "english_centric"), ["change", "low", "high"]] = (0.068, 0.007, 0.127)
    rows.loc[here & (rows["score"] == "consistency"), ["change", "low", "high"]] = (-0.09, -0.15, 0.03)
    chosen = replace(found.chosen["LOC"], spec=sl.steering.PlanSpec.of("LOC", 1, 2.0))
    said = _said("LOC", chosen, rows[here].set_index("score"))
    assert "raises the English-centric rate (+6.8 points [+0.7, +12.7])" in said
    assert said.index("raises the English-centric rate") < said.index("is not shown to change") < said.index("consistency")
    assert all(shown_score(score).title in said for score in rows[here]["score"])
    assert found.found()
