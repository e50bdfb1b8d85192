"""The whole chain on a tiny model, by library and by command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import steerlens as sl
from steerlens.cli import main, parsed, parser
from steerlens.commands.arguments import locales as parsed_locales
from steerlens.commands.look import side_by_side
from steerlens.errors import FileError, LayerError, SettingsError, UnknownNameError

COMMANDS = ("demo", "probe", "sweep", "search", "plane", "steer", "models", "data")


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
        assert str(back.plans["surgical"]["ko-KR"]) == str(found.plans["surgical"]["ko-KR"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["data"]["sha256"] == sl.data.atlas(["es-ES", "ko-KR"]).sample(8).digest()
    assert manifest["model"]["weights"]
    assert manifest["settings"]["layers_swept"] == [1, 2]
    assert set(manifest["versions"]) >= {"python", "torch", "transformer-lens", "steerlens"}
    stack = sl.ResidualStack.load(folder / "residuals.safetensors")
    assert stack.layers == (0, 1, 2, 3)
    train = sl.data.atlas(["es-ES", "ko-KR"]).sample(8).split(seed=0).train
    assert {prompt.concept for prompt in stack.prompts} == set(train.concepts)


def test_is_deterministic(study: tuple[sl.Study, Path], llama: sl.LensModel, items: sl.data.Items) -> None:
    found, _ = study
    settings = sl.StudySettings(locales=("es-ES", "ko-KR"), layers=(1, 2), strengths=(2.0,), examples=1, max_new_tokens=3)
    again = sl.run_study(llama, items, settings)
    pd.testing.assert_frame_equal(again.plane.frame, found.plane.frame)
    assert again.chosen == found.chosen


def test_report_is_one_file_that_needs_no_network(study: tuple[sl.Study, Path], tmp_path: Path) -> None:
    text = study[0].report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count('class="plotly-graph-div"') == 11
    assert not re.search(r'<(?:script|link)\b[^>]* (?:src|href)="http', text)
    assert len(text) < 10_000_000
    assert "Surgical steering (" in text


def test_controls_and_side_effects_stand_in_the_report(llama: sl.LensModel, items: sl.data.Items, tmp_path: Path) -> None:
    settings = sl.StudySettings(locales=("es-ES", "ko-KR"), layers=(1, 2), strengths=(2.0,), controls=True, side_effects=True)
    found = sl.run_study(llama, items, settings)
    assert {"EN", "random direction"} <= {*found.plane.frame["method"], *found.plane.frame["control"]}
    assert "log_perplexity" in set(found.plane.frame["score"])
    text = found.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "random direction" in text
    assert "log-perplexity" in text


def test_settings(llama: sl.LensModel, items: sl.data.Items, tmp_path: Path) -> None:
    assert sl.StudySettings().swept(llama) == (0, 1, 2, 3)
    assert sl.StudySettings(layers="strided").swept(llama) == (0, 1, 2, 3)  # fewer layers than a stride has
    with pytest.raises(SettingsError, match="'strided'"):
        sl.StudySettings(layers="some").swept(llama)
    with pytest.raises(LayerError):
        sl.StudySettings(layers=(7,)).swept(llama)
    with pytest.raises(SettingsError, match="two or more"):
        sl.StudySettings(layers=(2,)).swept(llama)
    with pytest.raises(UnknownNameError, match="cells that were run"):
        sl.StudySettings(mode="attribution")
    for bad in ({"strengths": ()}, {"strengths": (0.0, 1.0)}, {"dev_concepts": 0}):
        with pytest.raises(SettingsError, match="other than 0"):
            sl.StudySettings(**bad)
    for bad in ((), ("en-US",)):
        with pytest.raises(SettingsError, match="at least one"):
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


def test_demo_command(
    model_folders: dict[str, Path], items: sl.data.Items, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    rows = [
        {
            "concept": i.concept, "kind": i.kind, "locale": i.locale, "question": i.question,
            **({"choices": i.choices, "answer": i.choices[i.answer]} if i.kind == "factual"
               else {"explicit": i.explicit, "answers": i.answers}),
        }
        for i in items
    ]  # fmt: skip
    (tmp_path / "items.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    shared = ["--model", str(model_folders["llama"])]
    out = tmp_path / "out"
    demo = ["demo", *shared, "--items", str(tmp_path / "items.jsonl"), "--layers", "1,2", "--strengths", "1", "--out", str(out)]
    assert main([*demo, "--locales", "all"]) == 0
    printed = capsys.readouterr().out
    assert "explicit prompt" in printed
    assert str(out / "report.html") in printed
    plan = str(out / "plans" / "surgical-ko-KR.safetensors")
    assert main(["steer", *shared, "--plan", plan, "--prompt", "질문: 안녕?", "--max-new-tokens", "3", "--show"]) == 0
    assert "│" in capsys.readouterr().out
    plane = ["plane", *shared, "--locale", "ko-KR", "--plan", f"mine={plan}", "--out", str(tmp_path / "plane")]
    assert main([*plane, "--controls", "--side-effects"]) == 0
    printed = capsys.readouterr().out
    assert "random direction" in printed
    assert "log-perplexity" in printed
    search = ["search", *shared, "--items", str(tmp_path / "items.jsonl"), "--dev-concepts", "2", "--test-concepts", "2"]
    assert main([*search, "--locales", "ko-KR", "--out", str(tmp_path / "found")]) == 0
    assert "On test, against unsteered" in capsys.readouterr().out
    assert sl.evaluation.Search.load(tmp_path / "found").chosen("ko-KR").method == "best"
    sweep = [
        "sweep",
        *shared,
        "--vector",
        "LOC",
        "--locale",
        "ko-KR",
        "--layers",
        "1",
        "--strengths",
        "1",
        "--out",
        str(tmp_path / "s"),
    ]
    assert main(sweep) == 0
    assert (tmp_path / "s" / "transfer.html").exists()
    assert main(["probe", *shared, "--locales", "ko-KR", "--out", str(tmp_path / "p")]) == 0
    assert "surface form" in capsys.readouterr().out


def test_mistakes_are_one_message_and_status_2(
    model_folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shared = ["--model", str(model_folders["llama"])]
    (tmp_path / "plan.safetensors").write_bytes(b"too short")
    row = {"concept": "a", "kind": "factual", "locale": "en-US", "question": "Where is x?", "choices": ["x", "y"], "answer": "x"}
    (tmp_path / "bad.jsonl").write_text(json.dumps(row))
    for arguments, said in (
        (["demo", "--model", "gemma-3-270", "--out", str(tmp_path / "a")], "Did you mean gemma-3-270m"),
        (["demo", *shared, "--locales", "ko-KP", "--out", str(tmp_path / "b")], "Did you mean ko-KR"),
        (["demo", *shared, "--layers", "1,x", "--out", str(tmp_path / "c")], "with commas"),
        (["demo", *shared, "--tokens", "promt", "--out", str(tmp_path / "c")], "Did you mean prompt"),
        (["demo", *shared, "--strengths", ",", "--out", str(tmp_path / "c")], "with commas"),
        (["demo", *shared, "--layers", "99", "--out", str(tmp_path / "c")], "layer 99"),
        (["demo", *shared, "--mode", "screen", "--out", str(tmp_path / "c")], "Did you mean screened"),
        (["steer", *shared, "--plan", str(tmp_path / "plan.safetensors"), "--prompt", "x"], "truncated"),
        (["plane", *shared, "--plan", "nothing"], "NAME=FILE"),
        (["sweep", *shared, "--vector", "XX"], "unknown vector"),
        (["data", "--items", "missing.csv"], "cannot read"),
        (["data", "--locale", "ko-KP"], "Did you mean ko-KR"),
        (["data", "show", "--topic", "foot"], "Did you mean food"),
        (["data", "--topic", "food", "--kind", "factual"], "no items are"),
        (["data", "check", "--items", str(tmp_path / "bad.jsonl")], "holds its answer"),
    ):
        assert main(arguments) == 2, arguments
        captured = capsys.readouterr()
        assert said in captured.err
        assert "Traceback" not in captured.err


def test_data_and_models(capsys: pytest.CaptureFixture) -> None:
    assert main(["data", "show", "--locale", "ko-KR", "--kind", "cultural", "-n", "2"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("explicit:") == printed.count("source:") == 2
    assert main(["data", "--topic", "food"]) == 0
    assert "shared answers, left out" in capsys.readouterr().out
    assert main(["data", "check", "--topic", "money", "--locale", "ko-KR"]) == 0
    assert "No problems" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "Gemma Terms of Use" in capsys.readouterr().out


def test_defaults_of_the_command_line_are_the_librarys() -> None:
    args, settings = parser().parse_args(["demo"]), sl.StudySettings()
    assert parsed_locales(args.locales) == settings.locales
    assert tuple(map(float, args.strengths.split(","))) == settings.strengths
    for name in ("layers", "tokens", "positions", "mode", "seed"):
        assert getattr(args, name) == getattr(settings, name)
    for name in ("train_concepts", "dev_concepts", "test_concepts"):
        assert getattr(args, name) == str(getattr(settings, name))


def test_quick_gives_way_to_what_was_given() -> None:
    quick, mine = parsed(["demo", "--quick"]), parsed(["demo", "--quick", "--locales", "ar-EG", "--test-concepts", "9"])
    assert (quick.locales, quick.layers, quick.strengths) == ("es-ES,ko-KR", "strided", "1,2")
    assert (mine.locales, mine.layers, mine.test_concepts) == ("ar-EG", "strided", "9")
    assert parsed(["demo", "--quick", "--items", "mine.jsonl"]).locales == "all"  # those of the file


def test_an_argument_that_a_command_lacks_shows_what_it_has(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        parsed(["demo", "--lcales", "ko-KR"])
    said = capsys.readouterr().err
    assert "--locales LOCALES" in said
    assert "unrecognized arguments: --lcales ko-KR" in said


def test_help_shows_an_example_each(capsys: pytest.CaptureFixture) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            parser().parse_args([command, "--help"])
        assert f"example: steerlens {command}" in " ".join(capsys.readouterr().out.split())


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = "{'torch', 'transformers', 'transformer_lens', 'plotly', 'pandas', 'sklearn', 'datasets'}"
    for code in ("import steerlens", "import steerlens.cli; steerlens.cli.parser()", "import steerlens; steerlens.data.atlas()"):
        script = f"{code}\nimport sys\nprint(sorted({heavy} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
        assert done.stdout.strip() == "[]", code


def test_side_by_side_counts_wide_characters() -> None:
    text = side_by_side("before", "한국어 문장입니다 그리고 더 길어집니다", "after", "short", width=43)
    assert {line.count("│") for line in text.split("\n")} == {1}
    assert "한국어" in text


@pytest.mark.parametrize(
    ("given", "said"), [("1.0, 'promt'", "Did you mean prompt"), ("'2'", "strength '2' given"), ("torch.tensor(2.0)", "taken")]
)
def test_steps_say_what_is_wrong_with_them(given: str, said: str) -> None:
    """In a process of its own: here the type checker would speak first."""
    script = (
        "import torch, steerlens.steering as s\nfrom steerlens.errors import SteerlensError\n"
        f"try:\n    s.Step(torch.ones(2), 1, {given})\n    print('taken')\nexcept SteerlensError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said in done.stdout
