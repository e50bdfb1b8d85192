"""Files of others that are damaged in one known way, each of which once ended in something else than an error in words."""

import gzip
import io
import json
import logging
import re
import shutil
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

import steerlens as sl
from steerlens import harness
from steerlens.alignment import Aligned
from steerlens.data import load_items
from steerlens.data.parallel.mallard import UnreadablePageError, page
from steerlens.errors import DataError, FileError, LayerError, ModelError, SettingsError, SteerlensError
from steerlens.evaluation import Answers
from steerlens.models.adapters import adapter_folder
from steerlens.models.cache import is_complete
from steerlens.models.gguf_header import read_metadata
from steerlens.models.shape import check_shape
from steerlens.scores import register_read
from steerlens.steering import SparseAutoencoder
from steerlens.storage import is_parsed, read_json
from steerlens.tables import ResultTable
from steerlens.testing.fuzz import TARGETS
from steerlens.testing.fuzz.containers import object_array


def _write(name: str, folder: Path, **changed: Any) -> Path:
    """The valid files of a target of the fuzzer, with some of them replaced; the names in ``changed`` have ``_`` for ``.``."""
    folder.mkdir(parents=True, exist_ok=True)
    TARGETS[name].write(folder)
    for file, content in changed.items():
        path = folder / file.replace("_", ".")
        path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")
    return folder


def _edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


# JSON of ours


def test_json_is_read_with_the_same_care_everywhere(tmp_path: Path) -> None:
    for text, said in (
        ("[" * 9_999, "deeply"),
        ('{"a": 1, "a": 2}', "'a' is twice"),
        ('"\\ud800"', "not Unicode"),
        ("9" * 5_000, "digits"),
    ):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(FileError, match=said):
            read_json(tmp_path / "x.json", "Write it again.")
        (tmp_path / "x.jsonl").write_text(f'{{"concept": {text}}}')
        with pytest.raises(DataError, match=said):
            load_items(tmp_path / "x.jsonl")
    assert is_parsed([1.0, 2.0, 3.0], tuple[float, float, float])
    assert not is_parsed([1.0], tuple[float, float, float])
    assert not is_parsed(10**400, float)


def test_messages_stay_short(tmp_path: Path) -> None:
    error = FileError("begin" + "x" * 1_000_000 + "end: do this")
    assert len(str(error)) == 20_000
    assert str(error).startswith("begin")
    assert str(error).endswith("end: do this")
    assert str(LayerError(7, range(10**30), "it")).startswith("layer 7 is not in it: it has layers 0 to 9999")


def test_folders_of_results(tmp_path: Path) -> None:
    folder = _write("aligned", tmp_path / "a")
    _edited(folder / "card.json", lambda card: card["training"].clear())
    with pytest.raises(FileError, match=r"lacks field 'steps'"):
        Aligned.load(folder)
    for sizes in ("[]", "{}", "null", "[" * 9_999):
        (tmp_path / "steerlens-files.json").write_text(sizes)
        assert not is_complete(tmp_path)


# Tables


def _table(path: Path, table: pa.Table, **meta: str) -> Path:
    pq.write_table(table.replace_schema_metadata(meta or None), path, compression="zstd", store_schema=bool(meta))
    return path


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"steerlens": "[1]"}, "not a JSON object"),
        ({"steerlens": "[" * 9_999}, "deeply"),
        ({"pandas": '{"index_columns": [1], "columns": [5]}'}, "truncated or is not a Parquet file"),
    ],
)
def test_metadata_of_tables(tmp_path: Path, meta: dict[str, str], said: str) -> None:
    with pytest.raises(FileError, match=said):
        ResultTable.load(_table(tmp_path / "x.parquet", pa.table({"a": [1]}), **meta))


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="two columns have the same name"):
        ResultTable.load(_table(tmp_path / "x.parquet", pa.Table.from_arrays([pa.array([1])] * 2, names=["a", "a"])))


def test_tables_that_unfold_are_not_unfolded(tmp_path: Path) -> None:
    """Two kilobytes stand for 100,000 texts of ten million letters."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), pa.array(["x" * 10_000_000]))
    for column in (
        texts,
        pa.ListArray.from_arrays(pa.array([0, 100_000], pa.int32()), texts),
        pa.StructArray.from_arrays([texts], ["f"]),
    ):
        path = _table(tmp_path / "x.parquet", pa.table({"a": column}))
        assert path.stat().st_size < 4_000
        with pytest.raises(FileError, match="its content takes more than"):
            ResultTable.load(path)
    frame = ResultTable.load(_table(tmp_path / "y.parquet", pa.table({"a": ["x" * 1_000] * 50_000}))).frame
    assert len(frame) == 50_000


def test_scores_that_a_table_makes_known(tmp_path: Path) -> None:
    for read in ([], {"x": 1}, {"x": {"of": "os.system"}}, {"x": {"unit": 5}}):
        with pytest.raises(FileError, match="read_scores of the table"):
            register_read({"read_scores": read})
    table = ResultTable.load(_write("table", tmp_path / "t") / "answers.parquet")
    Answers(table.frame, {"model": []}).check(items="x")
    with pytest.raises(SettingsError, match="was made with other parts than the given ones"):
        Answers(table.frame, {"model": []}).check(model={"name": "x"})


# Models


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    """Transformers draws them at random, anew in each load."""
    folder = _write("model-folder", tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.2.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ModelError, match=r"lacks 1 of the weights of a LlamaForCausalLM \(the first one is model\.layers\.2\.mlp\.up_proj"
    ):
        sl.load(folder, "cpu")


def test_shapes_beyond_the_weights(tmp_path: Path) -> None:
    folder = _write("model-folder", tmp_path / "m")
    for settings, said in (
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, but at most 2,000"),
        ({"hidden_size": 10**7}, "the width is 10000000, but"),
        ({"text_config": {"n_layer": 5_000}}, "n_layer is 5000"),
        ({"num_hidden_layers": 6}, "lacks 18 of the weights"),
    ):
        TARGETS["model-folder"].write(folder)
        _edited(folder / "config.json", lambda config, own=settings: config.update(own))
        with pytest.raises(ModelError, match=said):
            sl.load(folder, "cpu")
    (folder / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="contains a list"):
        sl.load(folder, "cpu")
    check_shape({"num_hidden_layers": 48, "hidden_size": 3840, "vocab_size": 262_208, "intermediate_size": 15_360}, 7 << 30)


def _gguf(tail: bytes, count: int = 1) -> bytes:
    return b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + count.to_bytes(8, "little") + tail


def _number(number: int, width: int = 8) -> bytes:
    return number.to_bytes(width, "little")


@pytest.mark.parametrize(
    ("tail", "count", "said"),
    [
        (_number(2**62), 1, "cut short"),
        (_number(1) + b"k" + _number(8, 4) + _number(2**40), 1, "cut short"),
        (_number(1) + b"k" + _number(9, 4) + _number(0, 4) + _number(2**63), 1, "cut short"),
        (_number(1) + b"k" + _number(77, 4), 1, "type 77"),
        (_number(1) + b"k" + _number(9, 4) + (_number(9, 4) + _number(1)) * 9, 1, "nested too deeply"),
        ((_number(1) + b"k" + _number(0, 4) + b"\x01") * 2, 2, "'k' twice"),
        (b"", 2**64 - 1, "cut short"),
    ],
)
def test_headers_of_gguf_are_not_taken_at_their_word(tmp_path: Path, tail: bytes, count: int, said: str) -> None:
    (tmp_path / "x.gguf").write_bytes(_gguf(tail, count))
    with pytest.raises(ValueError, match=said):
        read_metadata(tmp_path / "x.gguf")
    with pytest.raises(ModelError, match=said):
        sl.load(tmp_path / "x.gguf", "cpu")


def test_vocabularies_and_shapes_of_gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEERLENS_CACHE", str(tmp_path / "cache"))
    content = (_write("gguf", tmp_path / "g") / "tiny.gguf").read_bytes()
    for key, old, new, said in (
        (b"llama.block_count", 1, 3_000, "block_count is 3000"),
        (b"llama.embedding_length", 16, 2**30, "the width is 1073741824"),
        (b"llama.block_count", 1, 3, "lacks 18 of the weights"),
        (b"tokenizer.ggml.token_type", 5, 6, "token_type"),
    ):
        at = content.index(key) + len(key) + 4
        assert content[at : at + 4] == _number(old, 4)
        (tmp_path / "x.gguf").write_bytes(content[:at] + _number(new, 4) + content[at + 4 :])
        with pytest.raises(ModelError, match=said):
            sl.load(tmp_path / "x.gguf", "cpu")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_settings_of_adapters_that_name_code(tmp_path: Path) -> None:
    folder = _write("adapter", tmp_path / "a")
    assert adapter_folder(str(folder)) == folder
    _edited(folder / "adapter_config.json", lambda config: config.update(megatron_config={"a": 1}, megatron_core="a.evil"))
    with pytest.raises(ModelError, match="without megatron_config"):
        adapter_folder(str(folder))


def test_autoencoders(tmp_path: Path) -> None:
    """A third of a megabyte that would be more than a gigabyte of numbers, and a model's name that is none."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("W_enc.npy", "w") as member:
        member.write(object_array("|i1", f"({320 << 20},)", b""))
        for _ in range(320):
            member.write(bytes(1 << 20))
    with pytest.raises(FileError, match="its unpacked content has 335,54"):
        SparseAutoencoder.load(_write("gemma-scope", tmp_path / "s", params_npz=packed.getvalue()), layer=3)
    with zipfile.ZipFile(tmp_path / "params.npz", "w") as archive:  # a header that asks for six gigabytes
        archive.writestr("W_enc.npy", object_array("<U3", f"({1 << 29},)", bytes(64)))
    with pytest.raises(FileError, match=r"W_enc\.npy' has 192 bytes, which do not fit the <U3 array of shape \(536870912,\)"):
        SparseAutoencoder.load(tmp_path / "params.npz", layer=3)
    folder = _write("sae-lens", tmp_path / "l")
    _edited(folder / "cfg.json", lambda cfg: cfg["metadata"].update(model_name=[5]))
    with pytest.raises(FileError, match=r"names \[5\] as the model of the autoencoder: expected a text"):
        SparseAutoencoder.load(folder)


# Data


@pytest.mark.parametrize("first", ["null", "[" * 50_000, '{"question": ' * 50_000, "5"])
def test_json_lines_of_data_sets_do_not_end_the_process(tmp_path: Path, first: str) -> None:
    """Arrow's reader ends the process where the first row is null, or nested deeply."""
    folder = _write("from-hub", tmp_path / "d", test_jsonl=f"{first}\n")
    columns = {"question": "q", "choices": "c", "answer": "a"}
    with pytest.raises(FileError, match=r"row 1 of .* is|nested too deeply"):
        sl.data.from_hub("own/set", columns, locale="de-DE", path=folder)
    rows = [{"q": "Q?", "c": ["x", "y"], "a": 1}, {"q": "R?", "c": ["x", "y"], "a": 0, "more": "2020-01-01"}]
    for name, text in {"test.jsonl": "\n".join(map(json.dumps, rows)), "test.json": json.dumps(rows, indent=1)}.items():
        (tmp_path / name).write_text(text)
        items = sl.data.from_hub("own/set", columns, locale="de-DE", path=tmp_path / name)
        assert [(item.question, item.answer) for item in items] == [("Q?", 1), ("R?", 0)]


@pytest.mark.parametrize(
    ("configs", "said"),
    [
        ("\n- config_name: es\n  data_files: ../../secret.csv", "outside this folder"),
        ("\n- config_name: es\n  data_files: https://127.0.0.1:9/x.csv", "outside this folder"),
        ('\n- config_name: es\n  data_files: "\\x2fetc\\x2fhostname"', "outside this folder"),
        ("\n- config_name: es\n  data_files: zip://x.csv::x.zip", "outside this folder"),
        ("!!python/object/apply:os.mkdir ['executed']", "could not determine a constructor"),
        ("[&a [x], *a, *a]", "without aliases"),
        ("\n- config_name: en\n  data_files: x.tar", "has a format that cannot be read"),
    ],
)
def test_cards_of_data_sets(tmp_path: Path, configs: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = _write("global-mmlu", tmp_path / "d", README_md=f"---\nconfigs: {configs}\n---\n")
    (folder / "x.tar").write_bytes(b"x")
    with pytest.raises(FileError, match=said) as caught:
        sl.data.global_mmlu(["es"], path=folder)
    assert len(str(caught.value)) < 2_000
    assert not (tmp_path / "executed").exists()


def test_local_files_ask_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's libraries would tell it of every load of a local data set, and ask it about an adapter's base model."""
    asked: list[Any] = []
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *given, **_: asked.append(given) or (_ for _ in ()).throw(OSError("no network"))
    )
    for name in ("global-mmlu", "from-hub", "from-hub-csv", "flores", "adapter", "model-folder"):
        TARGETS[name].load(_write(name, tmp_path / name))
    assert not asked


def test_public_data_sets_of_another_form(tmp_path: Path) -> None:
    own = {"question": "q", "choices": "c", "answer": "a", "concept": "n"}
    for row, said in (({"n": ""}, "'concept': empty"), ({"a": "9" * 5_000}, "index from 0"), ({"c": 5}, "an index from 0 to 0")):
        folder = _write("from-hub", tmp_path / "h", test_jsonl=json.dumps({"q": "Q?", "c": ["x", "y"], "a": 1, "n": "1", **row}))
        with pytest.raises(DataError, match=said):
            sl.data.from_hub("own/set", own, locale="de-DE", path=folder)
    folder = _write("blend", tmp_path / "b")
    for change in (
        {"annotations": [5]},
        {"annotations": [{"answers": "one text", "en_answers": [], "count": 1}]},
        {"idks": ["a"]},
        {"annotations": 3.5},
    ):
        TARGETS["blend"].write(folder)
        _edited(folder / "Spain_data.json", lambda rows, own=change: rows["a"].update(own))
        with pytest.raises(DataError, match="annotations or the field idks has another form"):
            sl.data.blend(["es-ES"], path=folder)


def test_mkqa_that_unfolds_or_is_damaged(tmp_path: Path) -> None:
    folder = _write("mkqa", tmp_path / "m")
    packed, row = (folder / "mkqa.jsonl.gz").read_bytes(), {"example_id": 1, "queries": {"en": "q"}, "answers": {"en": [5]}}
    for content, said in (
        (gzip.compress(b"[" * (1 << 27)), "far larger than a file of this size"),
        (packed[:30] + bytes(40) + packed[70:], "Expected the complete file of MKQA"),
        (gzip.compress(json.dumps(row).encode()), "has another form"),
    ):
        (folder / "mkqa.jsonl.gz").write_bytes(content)
        with pytest.raises(SteerlensError, match=said):
            sl.data.mkqa(["es"], path=folder)


def test_pages_in_encodings_that_are_none(tmp_path: Path) -> None:
    for encoding in ("idna", "utf-7", "utf-16", "no-such"):
        (tmp_path / "x.page").write_text(f'<?xml version="1.0" encoding="{encoding}"?><page/>')
        with pytest.raises(UnreadablePageError):
            page(tmp_path / "x.page")


def test_numbers_of_rows(tmp_path: Path) -> None:
    row = {"concept": "c", "kind": "factual", "locale": "en-US", "question": "Q?", "choices": ["a", "b"], "answer": "b"}
    for given, said in (
        ({"popularity": float("nan")}, "a finite number"),
        ({"popularity": True}, "a finite"),
        ({"difficulty": True}, "1 "),
    ):
        (tmp_path / "x.jsonl").write_text(json.dumps(row | given))
        with pytest.raises(DataError, match=said):
            load_items(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_text(json.dumps(row | {"difficulty": 2.0, "popularity": 3.5}))
    (item,) = load_items(tmp_path / "x.jsonl")
    assert (type(item.difficulty), item.popularity) == (int, 3.5)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("code", 5, "field 'code' contains 5; expected a text"),
        ("code", "../x", "expected a BCP 47 code"),
        ("names", "(", "not a valid regular expression"),
        ("countries", {"es-PE": 1}, "an object with texts by slot for each locale code"),
        ("script", ["Latn"], "field 'script'"),
        ("like", {"a": 1}, "field 'like'"),
    ],
)
def test_locales_of_another_form(tmp_path: Path, field: str, value: Any, said: str) -> None:
    known = sl.data.known_locales()
    folder = _write("locale", tmp_path / "es-PE")
    _edited(folder / "locale.json", lambda own: own.update({field: value}))
    with pytest.raises(DataError, match=re.escape(said)):
        sl.data.add_locale(folder)
    (folder / "locale.json").write_text("[]")
    with pytest.raises(FileError, match="contains a list"):
        sl.data.add_locale(folder)
    assert sl.data.known_locales() == known


@pytest.fixture
def _locales() -> Any:
    """What is known of locales is put back."""
    from steerlens.data import locales

    known: tuple[dict[str, Any], ...] = (locales._locales(), locales._folders(), locales._further())
    before = [dict(own) for own in known]
    yield
    for own, kept in zip(known, before, strict=True):
        own.clear()
        own.update(kept)


@pytest.mark.usefixtures("_locales")
def test_items_of_ones_own_locales(tmp_path: Path) -> None:
    folder = _write("locale", tmp_path / "es-PE")
    (folder / "written.jsonl").write_bytes(b'{"concept": "\xff"}')
    sl.data.add_locale(folder)
    with pytest.raises(FileError, match="is not UTF-8"):
        sl.data.atlas(["es-PE"])
    TARGETS["locale"].write(folder)
    _edited(folder / "locale.json", lambda own: own["countries"]["es-PE"].pop("in"))
    sl.data.add_locale(folder)
    with pytest.raises(DataError, match="Add 'in' to this country"):
        sl.data.atlas(["es-PE"])
    further = _write("further-locale", tmp_path / "es-PE-2")
    changes = ({"answers": 5}, "'answers' contains 5"), ({"wordings": {"a": 1}}, "'wordings'"), ({"x": 1}, "the fields")
    for change, said in changes:
        TARGETS["further-locale"].write(further)
        _edited(further / "own.json", lambda own, new=change: own.update(new))
        sl.data.add_locale(further)
        with pytest.raises(DataError, match=said):
            sl.data.atlas(["es-PE"])


# Other software


def test_results_of_harnesses_of_another_form(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    folder = _write("lm-eval", tmp_path / "l")
    results = json.loads((folder / "results.json").read_text())
    for path, value in (
        (("samples", "quiz"), 5),
        (("samples", "quiz"), [{"filter": "none"}]),
        (("results",), {}),
        (("configs",), [1]),
    ):
        given = json.loads(json.dumps(results))
        holder = given["mine"]
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
        with pytest.raises(SettingsError, match=r"'mine' are not what lm_eval\.simple_evaluate"):
            harness.lm_eval_answers(given)
    for own in results.values():
        own["results"] = {"quiz": {"acc,none": 0.123}}
    with pytest.raises(SettingsError, match="no score that was measured for single items"):
        harness.lm_eval_answers(results)
    for log in (SimpleNamespace(status="success", samples=[1]), SimpleNamespace(status="success"), 5):
        with pytest.raises(SettingsError, match="log 'mine'"):
            harness.inspect_answers({"mine": log})


def test_requests_and_vectors_of_vllm(tmp_path: Path) -> None:
    from steerlens.vllm.choosing import with_plan

    for body in ({"vllm_xargs": ["a"]}, {"plan": ["EN"]}):
        with pytest.raises(SettingsError, match="expected a name as plan, and an object"):
            with_plan(body, "tiny", ("EN",))
    folder = _write("vllm-lens", tmp_path / "v")
    _edited(folder / "vector.json", lambda own: own[0]["activations"].update(data="é"))
    with pytest.raises(FileError, match="not base64"):
        TARGETS["vllm-lens"].load(folder)
    shutil.rmtree(folder)
