"""The experiments on a tiny model, what their READMEs say, and whether results are those that were committed."""

import importlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from places import some_items
from public_files import blend_folder, global_mmlu_folder

import steerlens as sl
from experiments import common, steps
from experiments.common import NAMES, ROOT, Results, found, found_in, settings, summary
from experiments.controls.run import judged
from experiments.side_by_side import DATA, side_by_side
from experiments.words import one
from steerlens.evaluation import Chosen


@pytest.mark.parametrize("name", ["public", "paper"])
def test_the_finding_on_other_data(name: str) -> None:
    finding, other = (importlib.import_module(f"experiments.{name}.run") for name in ("finding", name))
    assert (other.run, other.shown) == (finding.run, finding.shown)
    assert settings("finding").keys() == settings(name).keys()
    assert settings(name)["data"] == name


def test_the_papers_data_are_read_from_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(steps.REAL_DATA, str(tmp_path))
    _main("paper", "--out", str(tmp_path / "out"))
    said = capsys.readouterr().out
    assert "paper: skipped. It needs Global-MMLU and BLEnD:" in said
    assert "global-mmlu does not exist" in said
    assert "set: put them there as global-mmlu/ and blend/" in said
    global_mmlu_folder(tmp_path / "global-mmlu")
    blend_folder(tmp_path / "blend")
    items = steps.SOURCES["paper"](["es-ES", "ko-KR"])
    assert items.name == "Global-MMLU and BLEnD"
    assert {(item.kind, item.locale) for item in items} == {
        (kind, code) for kind in ("factual", "cultural") for code in ("en-US", "es-ES", "ko-KR")
    }


def test_a_model_may_have_settings_of_its_own() -> None:
    own = json.loads((ROOT / "finding" / "config.json").read_text(encoding="utf-8"))["models"]
    assert "id-ID" in settings("finding")["locales"]
    for model, given in own.items():
        assert settings("finding", model=model) == {**settings("finding"), **given}
        assert settings("pairs", model=model)["locales"] == settings("finding", model=model)["locales"]
        assert settings("finding", model=model, smoke=True) == settings("finding", smoke=True)


def _main(name: str, *arguments: str) -> None:
    module = importlib.import_module(f"experiments.{name}.run")
    common.main(name, module.run, module.shown, arguments)


def _public(locales: Sequence[str]) -> sl.data.Items:
    """What stands for the public data: other items than the atlas's."""
    return some_items().sample(30, seed=5).where(lambda item: item.locale in ("en-US", *locales))


@pytest.fixture
def root(tmp_path: Path, llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the READMEs alone; every model that is loaded is the tiny one, and public data are other atlas items."""
    for readme in (ROOT / "README.md", *(ROOT / name / "README.md" for name in NAMES)):
        target = tmp_path / readme.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(readme, target)
    monkeypatch.setattr("steerlens.load", lambda _: llama)
    monkeypatch.setitem(steps.SOURCES, "public", _public)
    monkeypatch.setattr("experiments.across.run.public_folder", lambda: None)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return tmp_path


def test_all_run_on_a_local_file_and_write_their_readmes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--smoke", "--no-figures", "--out", str(root), "--model", "somewhere/tiny.gguf")
    for name in NAMES:
        if name in ("public", "paper"):  # the code of finding
            shutil.copytree(root / "finding" / "results", root / name / "results")
            continue
        _main(name, *options)
        record = Results(root / name / "results" / "tiny").json("record")
        assert record["config"] == settings(name, smoke=True)
        assert record["model"]["name"] == "tiny"
    for name in NAMES:
        results = Results(root / name / "results" / "tiny")
        figures, text = results.json("record")["figures"], (root / name / "README.md").read_text(encoding="utf-8")
        assert all((results.path / table).is_file() for tables in figures.values() for table in tables)
        assert all(f"](results/tiny/{figure})" in text or figure.startswith("sweep-") for figure in figures)
        assert "### On tiny" in text
        assert common.NOT_RUN not in text
    lines = (root / "README.md").read_text(encoding="utf-8")
    assert all(f"[{name}]({name}/README.md) | tiny | Nobody has written yet" in lines for name in NAMES)
    before = _tables(root)
    _main("pairs", *options)
    _main("finding", "--readme", "--out", str(root))
    assert not _changed(before, _tables(root))  # the same numbers from the same seed
    assert "controls: variants" in capsys.readouterr().out


MODEL = "gemma-3-270m"
TOLERANCE = 1e-3
"""Of a number in a table, relative and absolute together: a tenth of a point, or 0.001 nats."""


def _tables(root: Path) -> dict[str, pd.DataFrame]:
    return {path.relative_to(root).as_posix(): pd.read_csv(path) for path in sorted(root.glob("*/results/*/*.csv"))}


def _changed(old: dict[str, pd.DataFrame], new: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Says of each table that is not as it was what is different."""
    found = {name: "new" if name in new else "gone" for name in {*old} ^ {*new}}
    for name in {*old} & {*new}:
        try:
            pd.testing.assert_frame_equal(new[name], old[name], check_dtype=False, rtol=TOLERANCE, atol=TOLERANCE)
        except AssertionError as error:
            found[name] = " ".join(str(error).split())
    return found


def test_results_are_the_committed_ones_within_tolerance() -> None:
    """Fails after ``make experiments`` where a number moved: look whether it should have, and commit it."""
    names = _git("ls-tree", "-r", "--name-only", "HEAD", "experiments").splitlines()
    kept = [name for name in names if name.count("/results/") and name.endswith(".csv")]
    committed = {name.removeprefix("experiments/"): pd.read_csv(StringIO(_git("show", f"HEAD:{name}"))) for name in kept}
    assert _changed(committed, _tables(ROOT)) == {}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT.parent, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else pytest.skip("no git here")


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/results/*/chosen.json")), ids=lambda path: "-".join(path.parts[-4:-1:2]))
def test_committed_choices_can_be_read(path: Path) -> None:
    choices = [Chosen.from_dict(choice, str(path)) for choice in json.loads(path.read_text())]
    assert [choice.name for choice in choices] == ["EN", "LOC", "surgical"]
    assert all(choice.gains.valid for choice in choices)
    assert any(choice.steps for choice in choices)
    assert choices[-1].gains.perplexity is not None or len(choices[-1].steps) < 2  # of plans of both vectors


def test_a_number_that_moved_is_named() -> None:
    table = pd.DataFrame({"method": ["EN", "LOC"], "change": [0.1, 0.2]})
    assert not _changed({"a": table}, {"a": table.assign(change=table["change"] * 1.0005)})
    moved = _changed({"a": table, "b": table}, {"a": table.assign(change=[0.1, 0.25]), "c": table})
    assert (moved["b"], moved["c"]) == ("gone", "new")
    assert "change" in moved["a"]
    assert _changed({"a": table}, {"a": table[:1]})
    assert _changed({"a": table}, {"a": table.assign(change=[0.1, float("nan")])})


def test_without_the_data_nothing_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("public", "across"):
        monkeypatch.delenv("STEERLENS_REAL_DATA", raising=False)
        _main(name, "--out", str(tmp_path))
        assert f"{name}: skipped. It needs the files of BMLAMA-53 and BLEnD, and no folder was given" in capsys.readouterr().out
        monkeypatch.setenv("STEERLENS_REAL_DATA", str(tmp_path / "nowhere"))
        _main(name, "--out", str(tmp_path))
        assert "nowhere lacks bmlama53/ or blend/" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_what_others_chose_has_to_be_there(root: Path) -> None:
    with pytest.raises(SystemExit, match=r"pairs uses what finding chose on dev, and .* holds no results: run finding first"):
        _main("pairs", "--smoke", "--no-figures", "--out", str(root))


@pytest.mark.parametrize("name", NAMES)
def test_readmes_say_what_the_committed_tables_say(name: str) -> None:
    """Numbers in READMEs are written by runs: from these tables, by this code, with these settings."""
    shown = importlib.import_module(f"experiments.{name}.run").shown
    for record in (ROOT / name / "results").glob("*/record.json"):
        same = json.loads(record.read_text(encoding="utf-8"))["config"] == settings(name, model=record.parent.name)
        assert same != (record.parent / "found.md").read_text(encoding="utf-8").endswith(common.EARLIER)
        assert (record.parent / "found.md").read_text(encoding="utf-8") == found(name, Results(record.parent), shown)
    assert f"-->\n{found_in(ROOT, name)}<!-- /found -->" in (ROOT / name / "README.md").read_text(encoding="utf-8")
    assert f"-->\n{summary(ROOT)}<!-- /found -->" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_models_side_by_side_are_those_of_the_committed_tables() -> None:
    table = side_by_side()
    assert f"-->\n{table}<!-- /models -->" in (ROOT / "finding" / "README.md").read_text(encoding="utf-8")
    assert len(table.splitlines()[0].split("|")) - 3 == sum(
        len(list((ROOT / name / "results").glob("*/record.json"))) for name in DATA
    )
    plane = Results(ROOT / "finding" / "results" / MODEL).table("plane")
    gain = one(plane, locale="mean", method="LOC", score="localization")
    line = next(line for line in table.splitlines() if line.startswith("| LOC: localization"))
    assert f"| **{100 * gain['change']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]** |" in line


def _means(name: str, model: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / name / "results" / model / "plane.csv").query("locale == 'mean'").set_index(["method", "score"])


def test_what_is_said_of_all_models_is_in_their_tables() -> None:
    """On the atlas, LOC gains localization on two models, no EN plan gains transfer, and no plan gains on both axes."""
    folders = [record.parent for record in (ROOT / "finding" / "results").glob("*/record.json")]
    lows = {folder.name: _means("finding", folder.name)["low"] for folder in folders}
    assert {model for model, low in lows.items() if low["LOC", "localization"] > 0} == {MODEL, "qwen2.5-coder-0.5b-instruct"}
    assert all(low["EN", "transfer"] <= 0 for low in lows.values())
    assert all(min(low["surgical", "transfer"], low["surgical", "localization"]) <= 0 for low in lows.values())
    assert len(lows) == 3


def test_what_the_readme_says_of_en_is_in_the_tables() -> None:
    """Within the limits, EN gains transfer on public facts; late in the model, it erases within the limit on perplexity."""
    assert _means("public", MODEL)["low"]["EN", "transfer"] > 0
    assert settings("public")["limits"]
    erasure = importlib.import_module("experiments.erasure.run")
    within = erasure.shown(Results(ROOT / "erasure" / "results" / MODEL))["erased_within"]
    assert within
    assert all(name.startswith("EN at layer 13") for name in within)


def _control(method: str, against: str, low: float, high: float) -> dict:
    row = {"method": method, "against": against, "score": "transfer_margin", "n": 9}
    return {**row, "change": (low + high) / 2, "low": low, "high": high}


def test_controls_are_judged_by_both_intervals() -> None:
    given = {
        "too": (0.1, 0.3, -0.1, 0.1),
        "part": (0.1, 0.2, -0.3, -0.1),
        "not": (-0.1, 0.1, -0.3, -0.1),
        "more": (1, 2, 0.5, 1.5),
    }
    rows = [_control("EN", "unsteered", 0.1, 0.3)]
    for name, (low, high, low_beside, high_beside) in {**given, "open": (-0.1, 0.4, -0.3, 0.1)}.items():
        rows += [_control(f"EN: {name}", "unsteered", low, high), _control(f"EN: {name}", "EN", low_beside, high_beside)]
    assert judged(pd.DataFrame(rows), "EN") == {
        "EN: too": "does it too",
        "EN: part": "does a part of it",
        "EN: not": "does not do it",
        "EN: more": "does more",
        "EN: open": "cannot be told",
    }
    rows[0] = _control("EN", "unsteered", -0.1, 0.3)
    assert judged(pd.DataFrame(rows), "EN") == {}  # nothing is shown, so there is nothing to explain
