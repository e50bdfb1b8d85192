"""The command line: its options, its messages and what each command does with items of the user's own."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest
from places import DEVICE

import steerlens as sl
from steerlens import commands
from steerlens.cli import main, parsed, parser
from steerlens.commands import arguments, look
from steerlens.commands.look import side_by_side
from steerlens.errors import DataError, SettingsError, UnknownNameError
from steerlens.evaluation import OBJECTIVES
from steerlens.evaluation.scores import AXES
from steerlens.evaluation.searching.objectives import objective_of
from steerlens.options import explanations, given_as, settings_of
from steerlens.settings import QUICK, ObjectiveName, SearchSettings, StudySettings

COMMANDS = ("demo", "probe", "sweep", "search", "align", "plane", "steer", "serve", "models", "data")


def _rows(items: sl.data.Items) -> str:
    """Items as JSON Lines."""
    rows = [
        {
            "concept": i.concept, "kind": i.kind, "locale": i.locale, "question": i.question,
            **({"choices": i.choices, "answer": i.choices[i.answer]} if i.kind == "factual"
               else {"explicit": i.explicit, "answers": i.answers}),
        }
        for i in items
    ]  # fmt: skip
    return "\n".join(map(json.dumps, rows))


@pytest.fixture(scope="module")
def mine(items: sl.data.Items, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of one's own with items in English, Spanish and Korean."""
    file = tmp_path_factory.mktemp("mine") / "items.jsonl"
    file.write_text(_rows(items), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def korean(items: sl.data.Items, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same minus the Spanish ones."""
    file = tmp_path_factory.mktemp("mine") / "korean.jsonl"
    file.write_text(_rows(items.where(lambda item: item.locale != "es-ES")), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def shared(model_folders: dict[str, Path]) -> list[str]:
    return ["--model", str(model_folders["llama"]), "--device", DEVICE, "--dtype", "float32"]


def test_version_is_the_packages(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"steerlens {sl.__version__}\n"


@pytest.fixture(scope="module")
def demo(shared: list[str], mine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a demo with items of one's own and the locales left out."""
    out = tmp_path_factory.mktemp("demo")
    grid = ["--layers", "1,2", "--strengths", "1", "--out", str(out)]
    assert main(["demo", *shared, "--items", str(mine), *grid]) == 0
    return out


def test_demo_takes_the_locales_of_the_file(demo: Path) -> None:
    assert (demo / "report.html").exists()
    manifest = json.loads((demo / "manifest.json").read_text())
    assert manifest["settings"]["locales"] == ["es-ES", "ko-KR"]
    assert manifest["settings"]["strengths"] == [1.0]
    assert manifest["data"]["name"] == "items.jsonl"


def test_a_steered_text_that_repeats_itself_is_said_to(llama: sl.LensModel) -> None:
    loop = "año del año del año del año del año del año del"
    (said,) = look._repeats(llama, ["una respuesta"], [loop])
    assert said.startswith("Warning: the steered text repeats itself (")
    assert "Try a weaker plan" in said
    assert look._repeats(llama, [loop], [loop]) == []  # so it does unsteered
    assert look._repeats(llama, ["x"], ["una respuesta"]) == []


def test_a_plan_that_steers_nothing_is_said_to(
    shared: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture, llama: sl.LensModel
) -> None:
    vector = sl.steering.take(llama, contrasts=[sl.steering.Contrast.of("own", [("a", "b")])])["own"]
    full = 1.0 * vector.at(1)
    for name, plan, said in (("full", full, False), ("empty", replace(full, steps=()), True)):
        caplog.clear()
        plan.save(tmp_path / f"{name}.safetensors")
        given = ["--plan", str(tmp_path / f"{name}.safetensors"), "--prompt", "x", "--max-new-tokens", "2"]
        with caplog.at_level("WARNING", logger="steerlens"):
            assert main(["steer", *shared, *given]) == 0
        assert ("steers nothing" in caplog.text) == said


def test_saved_plans_write_and_stand_on_the_plane(
    demo: Path, shared: list[str], mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    plan = str(demo / "plans" / "surgical-ko-KR.safetensors")
    assert main(["steer", *shared, "--plan", plan, "--prompt", "질문: 안녕?", "--max-new-tokens", "3", "--show"]) == 0
    assert "│" in capsys.readouterr().out
    steer = ["steer", *shared, "--plan", plan, "--prompt", "질문: 안녕?", "--max-new-tokens", "8"]
    drawn = []
    for seed in ("1", "1", "2"):
        assert main([*steer, "--sample", "--temperature", "2", "-n", "2", "--seed", seed, "--stop", "never", "--stop", "x"]) == 0
        drawn.append(capsys.readouterr().out)
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0].count("unsteered") == 2
    assert main([*steer, "--temperature", "2"]) == 2
    assert "Add sample=True" in capsys.readouterr().err
    plane = ["plane", *shared, "--items", str(mine), "--locale", "ko-KR", "--plan", f"mine={plan}", "--out", str(tmp_path)]
    assert main([*plane, "--controls", "--side-effects"]) == 0
    printed = capsys.readouterr().out
    assert "random direction" in printed
    assert "log-perplexity" in printed
    split = sl.data.load_items(mine).split()
    scored = sl.evaluation.Plane.load(tmp_path / "plane.parquet").frame
    factual = split.test.of(kind="factual", locale="ko-KR")
    assert set(scored.loc[(scored["score"] == "transfer") & (scored["locale"] == "ko-KR"), "n"]) == {len(factual)}


def test_search_sweep_and_probe_take_a_file(
    shared: list[str], mine: Path, korean: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    few = ["--dev-concepts", "2", "--test-concepts", "2", "--layers", "0,1", "--tokens", "all", "--locales", "ko-KR"]
    assert main(["search", *shared, "--items", str(mine), *few, "--out", str(tmp_path / "found")]) == 0
    assert "On test, change relative to unsteered" in capsys.readouterr().out
    assert sl.evaluation.Search.load(tmp_path / "found").chosen("ko-KR").name == "best"
    grid = ["--vector", "LOC", "--layers", "1", "--strengths", "1", "--out", str(tmp_path / "s")]
    assert main(["sweep", *shared, "--items", str(korean), *grid]) == 0  # the only locale beside English
    assert (tmp_path / "s" / "localization.html").exists()
    assert (tmp_path / "s" / "vectors.safetensors").exists()
    dev = StudySettings().parts(sl.data.load_items(korean)).dev.of(kind="cultural")
    assert set(sl.evaluation.Sweep.load(tmp_path / "s" / "sweep.parquet").frame["concept"]) == set(dev.concepts)
    assert main(["probe", *shared, "--locales", "ko-KR", "--out", str(tmp_path / "p")]) == 0
    assert "surface form" in capsys.readouterr().out


def test_align_and_place_what_came_of_it(
    shared: list[str], mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture, model_folders: dict[str, Path]
) -> None:
    """From items to an adapter, and by the command that it prints to the plane; on another model the adapter is refused."""
    out = tmp_path / "aligned"
    few = ["--steps", "2", "--batch-size", "2", "--checkpoints", "1", "--locales", "es-ES", "--seed", "1"]
    assert main(["align", *shared, "--items", str(mine), *few, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "contrastive" in printed
    place = shlex.split(printed.rpartition("To place the adapter on the plane: ")[2])
    assert place[0] == "steerlens"
    assert {"--seed", "1", "--items", str(mine)} <= set(place)
    assert main([*place[1:], "--out", str(tmp_path / "plane")]) == 0
    assert "MidAlign" in capsys.readouterr().out
    point = ["--locale", "es-ES", "--items", str(mine), "--adapter", f"early={out / 'checkpoints' / 'checkpoint-2'}"]
    other = ["plane", "--model", str(model_folders["qwen2"]), *point, "--out", str(tmp_path / "other")]
    assert main(other) == 2
    assert "cannot be used with" in capsys.readouterr().err
    assert main(["plane", *shared, "--locale", "es-ES", "--items", str(mine), "--out", str(tmp_path / "none")]) == 2
    assert "no methods given" in capsys.readouterr().err
    twice = ["--plan", "a=x", "--adapter", f"a={out}"]
    assert main(["plane", *shared, "--locale", "es-ES", "--items", str(mine), *twice, "--out", str(tmp_path / "none")]) == 2
    assert "a plan and an adapter" in capsys.readouterr().err


def test_a_sweep_extends_its_strengths(shared: list[str], korean: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    grid = ["--vector", "LOC", "--layers", "0,1,2,3", "--strengths", "1", "--out", str(tmp_path / "s")]
    given = ["sweep", *shared, "--items", str(korean), *grid]
    assert main([*given, "--mode", "exact", "--extend", "1"]) == 0
    assert "NaN" not in capsys.readouterr().out
    cells = sl.evaluation.Sweep.load(tmp_path / "s" / "sweep.parquet").cells("localization")
    assert cells["strength"].value_counts().to_dict() == {1.0: 4, 2.0: 3}  # of one strength, the largest is the best
    assert main([*given, "--extend", "1"]) == 2
    assert "extend 1 given for mode 'screened'" in capsys.readouterr().err


def test_a_sweep_needs_only_the_kind_that_its_vector_is_taken_from(
    shared: list[str], items: sl.data.Items, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    facts = tmp_path / "facts.jsonl"
    facts.write_text(_rows(items.of(kind="factual")), encoding="utf-8")
    grid = ["--locale", "ko-KR", "--layers", "1", "--strengths", "1", "--out", str(tmp_path / "s")]
    assert main(["sweep", *shared, "--items", str(facts), *grid]) == 0
    printed = capsys.readouterr().out
    assert "Change of transfer" in printed
    assert "localization" not in printed
    assert main(["sweep", *shared, "--items", str(facts), "--vector", "LOC", *grid]) == 2
    assert "facts.jsonl has no cultural items in ko-KR: expected cultural items in this locale" in capsys.readouterr().err


def test_every_command_asks_for_items_in_one_way(mine: Path, korean: Path, items: sl.data.Items) -> None:
    both, (first, second) = arguments.items(parsed(["demo", "--items", str(mine)]))
    assert (first, second, both.locales) == ("es-ES", "ko-KR", items.locales)
    some, codes = arguments.items(parsed(["search", "--items", str(mine), "--locales", "ko-KR"]))
    assert (some.locales, codes) == (("en-US", "ko-KR"), ("ko-KR",))
    assert arguments.items(parsed(["plane", "--items", str(korean), "--plan", "a=b"]))[1] == ("ko-KR",)
    assert arguments.items(parsed(["sweep"]))[1] == ("es-ES",)
    assert arguments.items(parsed(["probe"]))[1] == arguments.items(parsed(["search"]))[1] == ("es-ES", "ko-KR")
    assert arguments.items(parsed(["demo"]))[1] == StudySettings().locales
    with pytest.raises(SettingsError, match=r"contains items in en-US, es-ES, ko-KR: expected one locale"):
        arguments.items(parsed(["sweep", "--items", str(mine)]))
    with pytest.raises(UnknownNameError, match="the locales that the items contain"):
        arguments.items(parsed(["sweep", "--items", str(korean), "--locale", "es-ES"]))


def test_items_without_english_or_a_kind_are_refused(items: sl.data.Items, tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text(_rows(items.of(locale="ko-KR")), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"some\.jsonl has no items in en-US: expected some items, because the other locales are compared"
    ):
        arguments.items(parsed(["demo", "--items", str(file)]))
    assert arguments.items(parsed(["plane", "--items", str(file), "--plan", "a=b"]), (), english=False)[1] == ("ko-KR",)
    file.write_text(_rows(items.where(lambda item: (item.locale, item.kind) != ("ko-KR", "cultural"))), encoding="utf-8")
    with pytest.raises(DataError, match=r"some\.jsonl has no cultural items in ko-KR"):
        arguments.items(parsed(["search", "--items", str(file)]))


def test_mistakes_are_one_message_and_status_2(shared: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "plan.safetensors").write_bytes(b"too short")
    row = {"concept": "a", "kind": "factual", "locale": "en-US", "question": "Where is x?", "choices": ["x", "y"], "answer": "x"}
    (tmp_path / "bad.jsonl").write_text(json.dumps(row))
    for given, said in (
        (["demo", "--model", "gemma-3-270", "--out", str(tmp_path / "a")], "Did you mean gemma-3-270m"),
        (["demo", *shared, "--locales", "ko-KP", "--out", str(tmp_path / "b")], "Did you mean ko-KR"),
        (["demo", *shared, "--layers", "1,x", "--out", str(tmp_path / "c")], "separated by commas"),
        (["demo", *shared, "--tokens", "promt", "--out", str(tmp_path / "c")], "Did you mean prompt"),
        (["demo", *shared, "--strengths", ",", "--out", str(tmp_path / "c")], "separated by commas"),
        (["demo", *shared, "--strengths", "1,,2", "--out", str(tmp_path / "c")], "separated by commas"),
        (["demo", *shared, "--positions", "first", "--out", str(tmp_path / "c")], "expected last, mean or a whole number"),
        (["demo", *shared, "--layers", "99", "--out", str(tmp_path / "c")], "layer 99"),
        (["demo", *shared, "--mode", "screen", "--out", str(tmp_path / "c")], "Did you mean screened"),
        (["steer", *shared, "--plan", str(tmp_path / "plan.safetensors"), "--prompt", "x"], "truncated"),
        (["plane", *shared, "--plan", "nothing"], "NAME=FILE"),
        (["plane", *shared, "--plan", "a=x.safetensors", "--plan", "a=y.safetensors"], "two plans have the same name"),
        (["sweep", *shared, "--vector", "XX"], "unknown vector"),
        (["data", "--items", "missing.csv"], "cannot read"),
        (["data", "--locale", "ko-KP"], "Did you mean ko-KR"),
        (["data", "show", "--topic", "foot"], "Did you mean food"),
        (["data", "--topic", "festivals", "--kind", "factual"], "no items match"),
        (["data", "check", "--items", str(tmp_path / "bad.jsonl")], "contains the right answer"),
    ):
        assert main(given) == 2, given
        captured = capsys.readouterr()
        assert said in captured.err
        assert "Traceback" not in captured.err


def test_a_layer_that_a_model_lacks_is_refused_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(arguments, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"num_hidden_layers": 4}}))
    for model, layers in (("gemma-3-270m", "3,18"), (str(tmp_path), "4")):
        assert main(["sweep", "--model", model, "--layers", layers, "--out", str(tmp_path / "out")]) == 2
        assert f"layer {layers[-2:].strip(',')}" in capsys.readouterr().err


def test_an_interrupted_command_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def interrupted(_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setitem(commands.COMMANDS, "sweep", interrupted)
    out = tmp_path / "sweep"
    assert main(["sweep", "--out", str(out)]) == 130
    assert "No task was finished" in capsys.readouterr().err
    (out / "tasks").mkdir(parents=True)
    assert main(["sweep", "--out", str(out)]) == 130
    assert f"Everything that was finished is kept in {out}" in capsys.readouterr().err
    for name, said in (("a", "1 finished task is kept"), ("b", "2 finished tasks are kept")):
        (out / "tasks" / f"{name}.parquet").touch()
        assert main(["sweep", "--out", str(out)]) == 130
        assert f"{said} in {out}" in capsys.readouterr().err


def test_data_and_models(capsys: pytest.CaptureFixture) -> None:
    assert main(["data", "show", "--locale", "ko-KR", "--kind", "cultural", "-n", "2"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("explicit:") == printed.count("source:") == 2
    assert main(["data", "--topic", "food"]) == 0
    assert "answers shared with English, left out" in capsys.readouterr().out
    assert main(["data", "check", "--topic", "money", "--locale", "ko-KR"]) == 0
    assert "No problems" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "Gemma Terms of Use" in capsys.readouterr().out


def test_options_are_the_settings() -> None:
    """Defaults of the command line are the library's, and each value reads back as it was."""
    given = settings_of(StudySettings, parsed(["demo"]), locales=StudySettings().locales)
    assert given == StudySettings()
    assert settings_of(SearchSettings, parsed(["search"])) == SearchSettings()
    odd = "--layers 3,1 --strengths 0.5,4 --tokens all --positions -2 --train-concepts all --controls"
    changed = settings_of(StudySettings, parsed(["demo", *odd.split()]))
    assert (changed.layers, changed.strengths, changed.tokens, changed.positions) == ((3, 1), (0.5, 4.0), "all", -2)
    assert (changed.train_concepts, changed.controls, changed.dev_concepts) == (None, True, StudySettings().dev_concepts)
    assert given_as(changed.strengths) == "0.5,4"
    assert settings_of(StudySettings, parsed(["demo", "--dev-concepts", "3,5"])).dev_concepts == (3, 5)
    for bad in ("0,5", "3,5,7"):
        with pytest.raises(SettingsError, match="factual and cultural, such as 8,16"):
            settings_of(StudySettings, parsed(["demo", "--test-concepts", bad]))


@pytest.mark.parametrize("settings", [StudySettings, SearchSettings])
def test_every_setting_is_explained(settings: type) -> None:
    texts = explanations(settings)
    assert list(texts) == [field.name for field in fields(settings)]
    assert not any("`" in text or "None" in text or not text.endswith(".") for text in texts.values())


def test_objectives_are_those_that_there_are() -> None:
    for name in get_args(ObjectiveName):
        assert objective_of(name)[0] == name
    assert set(get_args(ObjectiveName)) == {*OBJECTIVES, *AXES}


def test_quick_gives_way_to_what_was_given() -> None:
    quick = parsed(["demo", "--quick"])
    assert arguments.study(quick, arguments.items(quick)[1]) == QUICK
    assert arguments.study(parsed(["demo"]), StudySettings().locales) == StudySettings()
    mine = parsed(["demo", "--quick", "--locales", "ar-EG", "--test-concepts", "9", "--layers", "all"])
    assert (mine.locales, mine.layers, mine.test_concepts, mine.strengths) == ("ar-EG", "all", "9", "1,2")
    assert parsed(["demo", "--quick", "--items", "mine.jsonl"]).locales is None  # those of the file


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


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    script = "import sys; from steerlens.cli import main; sys.exit(main(['data']))"
    done = subprocess.run(f'"{sys.executable}" -c "{script}" | head -n 1', shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("Items('atlas'")
    assert "BrokenPipe" not in done.stderr
