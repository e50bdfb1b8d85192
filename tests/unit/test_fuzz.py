"""Files that are damaged or made to do harm, given to every loader: by the fuzzer of steerlens.testing, and by hypothesis."""

import json
import os
import re
import socket
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import steerlens as sl
from steerlens import cli
from steerlens.activations import ResidualStack
from steerlens.data import load_items
from steerlens.errors import DataError, FileError, SteerlensError
from steerlens.fingerprint import Fingerprint
from steerlens.models.gguf_header import read_metadata
from steerlens.settings import Scoring
from steerlens.steering import StepSpec
from steerlens.storage import json_value, restored
from steerlens.testing.fuzz import TARGETS, Target, Tree, Verdict, judged, mutated
from steerlens.testing.fuzz import judging as fuzz_judging
from steerlens.testing.fuzz.__main__ import read_case, write_case
from steerlens.testing.fuzz.containers import PAYLOAD
from steerlens.testing.fuzz.targets import shares

CASES = 500
"""The nightly command runs 10,000."""
ROOT = Path(__file__).parents[2]
_RESETS = os.access("/proc/self/clear_refs", os.W_OK)
quickly = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.available])
def test_damaged_files_are_refused_or_read_rightly(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    judged(target, target.valid, tmp_path)  # the first load imports what it needs
    assert judged(target, target.valid, tmp_path) == Verdict("loaded")
    for number in range(shares(CASES, TARGETS)[name]):
        found = judged(target, target.case(0, number), tmp_path)
        assert found.outcome != "fault", (number, found.said)
    assert not list(tmp_path.iterdir())


# The fuzzer itself


def _leaves(folder: Path) -> None:
    (folder.parent / "half").write_text("written")
    raise FileError("refused")


def _writes_elsewhere(folder: Path) -> None:
    (folder.parent.parent / "elsewhere").write_text("x")


def _changes(folder: Path) -> None:
    next(folder.iterdir()).write_text("longer than before")


def _runs(folder: Path) -> None:
    exec(compile((folder / "x").read_text(), folder / "x", "exec"))


def _grows(_: Path) -> None:
    bytearray(1 << 28)


def _asks(_: Path) -> None:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", 9), 0.1)


def _hangs(_: Path) -> None:
    time.sleep(5)


def _fails(_: Path) -> None:
    {}["a"]


def _refuses_at_length(_: Path) -> None:
    error = FileError("")
    error.args = ("x" * 1_000_000,)
    raise error


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (_fails, "KeyError: 'a', at test_fuzz.py"),
        (_hangs, "took more than"),
        pytest.param(_grows, "memory grew", marks=pytest.mark.skipif(not _RESETS, reason="the peak of memory cannot be reset")),
        (_leaves, "half was left behind"),
        (_writes_elsewhere, "opened for writing"),
        (_changes, "files were changed"),
        (_runs, "was run; code in the file was executed"),
        (_asks, "socket.connect"),
        (_refuses_at_length, "a message of 1,000,000 characters"),
    ],
)
def test_faults_are_seen(load: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_judging, "SECONDS", 0.2 if load is _hangs else 60)
    monkeypatch.setattr(fuzz_judging, "GROWTH", 1 << 27)
    target = Target("planted", lambda _: None, load)
    found = judged(target, {"x": b"import os; os.mkdir('executed')"}, tmp_path)
    assert (found.outcome, said in found.said) == ("fault", True), found


def test_a_case_is_its_seed_and_number_and_can_be_kept(tmp_path: Path) -> None:
    target = TARGETS["sae-lens"]
    cases = [target.case(3, number) for number in range(40)]
    assert cases == [target.case(3, number) for number in range(40)]
    assert len({repr(case) for case in cases}) > 30
    tree: Tree = {"a/b": b"\xff\x00", "c": None, "d": "../a"}
    assert read_case(write_case(tmp_path, "plan", 0, 7, Verdict("fault", "said"), tree)) == ("plan", tree)


def test_valid_files_are_left_as_they_are() -> None:
    valid = {"x.json": b'{"a": [1, 2]}'}
    found = [mutated(valid, Random(n)) for n in range(200)]
    assert valid == {"x.json": b'{"a": [1, 2]}'}
    assert sum(tree != valid for tree in found) > 190


# By hypothesis

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda own: st.lists(own, max_size=4) | st.dictionaries(st.text(max_size=6), own, max_size=4),
    max_leaves=12,
)


def _some_of(valid: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A valid object, in which some values are others, missing or added."""
    changed = st.dictionaries(st.sampled_from([*valid, "x"]), VALUES, max_size=2)
    return st.builds(
        lambda new, gone: {k: v for k, v in (valid | new).items() if k not in gone},
        changed,
        st.sets(st.sampled_from([*valid]), max_size=1),
    )


FINGERPRINT = Fingerprint("w", "t", "float32", "none", 4, 8, (1,), 1, None, "tiny").to_dict()
STEP = {"vector": "EN", "layer": 1, "strength": 2.0, "tokens": "all"}
ITEM = {"concept": "c", "kind": "factual", "locale": "en-US", "question": "Q?", "choices": ["a", "b"], "answer": "b"}
CULTURAL = {
    "concept": "c",
    "kind": "cultural",
    "locale": "es-ES",
    "answers": {"es-ES": "a", "en-US": "b"},
    "templates": ["¿Qué {in}?"],
}


@quickly
@given(_some_of(FINGERPRINT), _some_of(STEP), _some_of({"style": "letters", "seed": 3, "chat": True}))
def test_objects_from_json_have_fields_of_their_types(fingerprint: Any, step: Any, scoring: Any) -> None:
    for make, values in (
        (Fingerprint.from_dict, fingerprint),
        (lambda own: restored(StepSpec, own, "it"), step),
        (Scoring.from_dict, scoring),
    ):
        try:
            made = make(values)
        except SteerlensError:
            continue
        assert isinstance(getattr(made, "n_layers", 1), int)
        assert isinstance(getattr(made, "layer", 1), int)


@quickly
@given(st.lists(_some_of(ITEM) | _some_of(CULTURAL) | VALUES, min_size=1, max_size=3))
def test_rows_of_items(tmp_path: Path, rows: list[Any]) -> None:
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    try:
        items = load_items(tmp_path / "items.jsonl", wordings=2, cloze=True)
    except DataError:
        pass
    else:
        assert all(0 <= item.answer < len(item.choices) and item.prompt().text for item in items)
        assert len(items.digest()) == 64


@quickly
@given(st.binary(max_size=60), st.integers(0, 2**64 - 1), st.integers(0, 14))
def test_headers_of_gguf(tmp_path: Path, tail: bytes, count: int, kind: int) -> None:
    key = len(b"k").to_bytes(8, "little") + b"k" + kind.to_bytes(4, "little") + count.to_bytes(8, "little")
    (tmp_path / "x.gguf").write_bytes(b"GGUF\x03\0\0\0" + bytes(8) + count.to_bytes(8, "little") + key + tail)
    with suppress(ValueError):
        assert read_metadata(tmp_path / "x.gguf").keys() <= {"k"}


@quickly
@given(
    st.lists(
        st.sampled_from(["data", "count", "show", "-n", "--kind", "--topic", "--min-votes"]) | st.text(max_size=5), max_size=5
    )
)
def test_arguments_of_the_command_line(arguments: list[str]) -> None:
    with suppress(SystemExit), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
        assert cli.parsed(["data", *arguments]).action in ("count", "show", "check")


@quickly
@given(st.binary(max_size=200))
def test_stacks_of_any_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(FileError):
        ResidualStack.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '"\\ud800"', "[" * 9_999, "9" * 5_000, "{", '{"a": "\\udc00x"}'])
def test_json_that_no_file_of_ours_holds(text: str) -> None:
    with pytest.raises(ValueError, match=r"twice|Unicode|deeply|digits|Expecting"):
        json_value(text)
    assert json_value('{"a": "\\ud83d\\ude00", "b": NaN}')["a"] == "😀"


# The promises of docs/security.md


def test_promises_have_tests() -> None:
    """Each promise names tests, which exist, and each row of the table names one at least."""
    rows = [
        line
        for line in (ROOT / "docs/security.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and "::" in line
    ]
    named = [re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row) for row in rows]
    assert len(rows) >= 8
    assert all(named)
    for file, test in (one for several in named for one in several):
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE), (file, test)


def test_code_beside_a_model_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and arrays that hold objects of Python, and code that a configuration names."""
    target, folder = TARGETS["model-folder"], tmp_path / "model"
    folder.mkdir()
    target.write(folder)
    monkeypatch.chdir(tmp_path)
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt"):
        (folder / name).write_bytes(PAYLOAD)
    (folder / "own.py").write_text("import os\nos.mkdir('executed')\n")
    config = json.loads((folder / "config.json").read_text())
    named = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model", "AutoTokenizer": ["own.Tokenizer", None]}
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "auto_map": named}))
    assert sl.load(folder, "cpu").n_layers == 4  # a known architecture: its own class is taken
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": named, "model_type": "own"}))
    with pytest.raises(SteerlensError):
        sl.load(folder, "cpu")
    assert not (tmp_path / "executed").exists()
