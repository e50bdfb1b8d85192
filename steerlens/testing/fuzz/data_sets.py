"""Defines the targets for public data sets of items and of parallel texts."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from steerlens.testing.fuzz.items import Rows, sound, texts_sound
from steerlens.testing.fuzz.target import Target, write_json, write_lines, write_rows


def _hub(folder: Path, parts: Mapping[str, Rows], split: str = "test", *, readme: bool = False, kind: str = "parquet") -> None:
    """Writes a folder in the same layout as ``hf download``."""
    lines = ["---", "configs:"]
    for config, rows in parts.items():
        (write_rows if kind == "parquet" else write_lines)(folder / config / f"{split}-00000-of-00001.{kind}", rows)
        lines += [f"- config_name: {config}", "  data_files:", f"  - split: {split}", f"    path: {config}/{split}-*"]
    if readme:
        (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")


_OPTIONS = {f"option_{letter}": letter for letter in "abcd"}
_MMLU = {"sample_id": "a/1", "subject": "law", "question": "Q?", **_OPTIONS, "answer": "B", "culture": "['W']", "country": "[]"}
_PROX = {"question": "Q?", **{f"option_{n}": f"o{n}" for n in range(10)}, "answer": "I", "category": "law", "question_id": 3}
_MMMLU = {"Question": "Q?", "A": "a", "B": "b", "C": "c", "D": "d", "Answer": "D", "Subject": "law"}
_INCLUDE = {
    "question": "Q?",
    **_OPTIONS,
    "answer": 2,
    "country": "Greece",
    "domain": "D",
    "subject": "S",
    "regional_feature": "r",
}
_EASY = {"question_idx": 7, "prompt_question": "What?", "answer": "C", "country": "Peru"} | {
    f"prompt_option_{x}": x for x in "abcd"
}
_HARD = [{"question_idx": 7, "prompt_question": "W?", "prompt_option": x, "answer": x == "c", "country": "Peru"} for x in "abcd"]
_MCQ = {"MCQID": "q_1", "ID": "q", "country": "Spain", "prompt": "In Spain? Without any explanation", "answer_idx": "A"}


def _several(rows: Mapping[str, Any], key: str) -> Rows:
    return [{**rows, key: f"{rows[key]} {n}"} for n in range(3)]


def _anything_write(folder: Path) -> None:
    write_lines(folder / "test.jsonl", [{"q": f"Q{n}?", "c": ["x", "y"], "a": n % 2, "t": "T", "n": f"{n}"} for n in range(3)])


def _csv_set_write(folder: Path) -> None:
    lines = ["q,a,b,l", "Was?,None,NA,1", "Wie viel?,3,4,0", "Wer?,er,sie,1"]
    (folder / "test.csv").write_text("\n".join(lines), encoding="utf-8")


def _arrow_write(folder: Path) -> None:
    import pyarrow as pa

    rows = [{"q": f"Q{n}?", "c": ["x", "y"], "a": n % 2, "t": "T", "n": f"{n}"} for n in range(3)]
    table = pa.Table.from_pylist(rows)
    with pa.OSFile(str(folder / "test.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def _anything_load(columns: Mapping[str, Any], folder: Path) -> None:
    from steerlens.data import from_hub

    sound(from_hub("own/set", columns, locale="de-DE", path=folder))


def _public_load(name: str, locales: Sequence[str], folder: Path) -> None:
    from steerlens.data import public

    sound(public(name, locales, path=folder))


def _blend_write(folder: Path) -> None:
    def asked(question: str, *given: tuple[str, str, int]) -> dict[str, Any]:
        answers = [{"answers": [own], "en_answers": [english], "count": n} for own, english, n in given]
        return {"question": question, "en_question": "", "annotations": answers, "idks": {"idk": 0, "no-answer": 0}}

    write_json(folder / "US_data.json", {"a": asked("What is eaten in the US?", ("apple", "apple", 4), ("rice", "rice", 1))})
    write_json(folder / "Spain_data.json", {"a": asked("¿Qué se come en España?", ("pan", "bread", 3), ("manzana", "apple", 1))})
    write_json(
        folder / "South_Korea_data.json", {"a": asked("대한민국에서 무엇을 먹나요?", ("밥", "rice", 5), ("빵", "bread", 1))}
    )
    (folder / "US_questions.csv").write_text(",ID,Topic,Source\n0,a,Food,x\n", encoding="utf-8")


def _mkqa_write(folder: Path) -> None:
    def answer(text: str) -> list[dict[str, Any]]:
        return [{"type": "entity", "entity": "Q1", "text": text, "aliases": [f"the {text}"]}]

    rows = [
        {"example_id": n, "queries": {"en": f"q{n}", "es": f"p{n}"}, "answers": {"en": answer(f"e{n}"), "es": answer(f"s{n}")}}
        for n in range(6)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "mkqa.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def _bmlama_write(folder: Path) -> None:
    for name, ending in {"en": "", "es": " (es)"}.items():
        facts = [f"<mask> is {n}{ending}.\tLima{ending}\tRome, Lima{ending}, Oslo\tPeru" for n in range(3)]
        lines = ["Prompt\tAns\tCandidate Ans\tSubject", *facts]
        (folder / f"{name}.tsv").write_text("\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")


def _parallel_load(name: str, locales: Sequence[str], folder: Path) -> None:
    from steerlens.data import parallel

    texts_sound(getattr(parallel, name)(locales, path=folder))


def _tatoeba_write(folder: Path) -> None:
    (folder / "dev").mkdir()
    text = "eng\tspa\tHello.\tHola.\neng\tspa\tBye.\tAdiós.\nbroken\n"
    (folder / "dev" / "tatoeba-dev.eng-spa.tsv").write_text(text, encoding="utf-8")


def _flores_write(folder: Path) -> None:
    for name, texts in {"eng_Latn": ["One.", "Two."], "spa_Latn": ["Uno.", "Dos."]}.items():
        write_rows(folder / "dev" / f"{name}.parquet", [{"id": n, "text": text} for n, text in enumerate(texts)])


def _opus_write(folder: Path) -> None:
    write_rows(folder / "en-es" / "train.parquet", [{"translation": {"en": f"One {n}.", "es": f"Uno {n}."}} for n in range(3)])


def _aya_write(folder: Path) -> None:
    own = {"targets": "Pera", "language": "Spanish", "language_code": "spa"}
    write_lines(folder / "train.jsonl", [{"inputs": f"Di {n}.", **own} for n in range(3)])


def _manuals_write(folder: Path) -> None:
    page = '<page xmlns="http://projectmallard.org/1.0/" id="clock"><info><desc>x</desc></info><title>{}</title><p>{}</p></page>'
    for language, texts in {"C": ("The clock", "Press it."), "es": ("El reloj", "Pulse aquí.")}.items():
        (folder / language / "gnome-help").mkdir(parents=True)
        (folder / language / "gnome-help" / "clock.page").write_text(page.format(*texts), encoding="utf-8")


def _manuals_load(folder: Path) -> None:
    from steerlens.data.parallel import manuals

    texts_sound(manuals(folder, ["es-ES"]))


def _public(name: str, locales: Sequence[str], write: Callable[[Path], None], share: int = 20) -> Target:
    return Target(name, write, partial(_public_load, name, locales), share)


def _hub_set(name: str, locales: Sequence[str], parts: Mapping[str, Rows], **how: Any) -> Target:
    return _public(name, locales, partial(_hub, parts=parts, **how))


_COLUMNS = {"question": "q", "choices": "c", "answer": "a", "topic": "t", "concept": "n"}
_MCQ_ROWS = [
    {**_MCQ, "ID": f"q{n}", "MCQID": f"q{n}_1", "prompt": f"In Spain {n}?", "choices": '{"A": "x", "B": "y"}'} for n in range(3)
]
DATA_SETS = (
    _hub_set("global-mmlu", ["es"], {code: _several(_MMLU, "sample_id") for code in ("en", "es")}, readme=True),
    _hub_set("global-mmlu-lite", ["es"], {code: _several(_MMLU, "sample_id") for code in ("en", "es")}, kind="jsonl"),
    _hub_set("mmlu-prox", ["es"], {code: [_PROX] for code in ("en", "es")}),
    _hub_set("mmmlu", ["KO_KR"], {"KO_KR": _several(_MMMLU, "Question")}, kind="jsonl"),
    _hub_set("include", ["el-GR"], {"Greek": _several(_INCLUDE, "question")}),
    _hub_set("cultural-bench", ["en-US"], {"CulturalBench-Easy": _several(_EASY, "prompt_question")[:1]}, kind="jsonl"),
    _hub_set("cultural-bench-hard", ["en-US"], {"CulturalBench-Hard": _HARD}),
    _hub_set("blend-choices", ["es-ES"], {"multiple-choice-questions": _MCQ_ROWS}, kind="jsonl"),
    Target("from-hub", _anything_write, partial(_anything_load, _COLUMNS), 20),
    Target("from-hub-arrow", _arrow_write, partial(_anything_load, _COLUMNS), 20),
    Target("from-hub-csv", _csv_set_write, partial(_anything_load, {"question": "q", "choices": ["a", "b"], "answer": "l"}), 20),
    _public("blend", ["es-ES", "ko-KR"], _blend_write, 40),
    _public("mkqa", ["es"], _mkqa_write, 60),
    _public("bmlama", ["es-ES"], _bmlama_write, 40),
    Target("flores", _flores_write, partial(_parallel_load, "flores", ["es-ES"]), 20),
    Target("tatoeba", _tatoeba_write, partial(_parallel_load, "tatoeba", ["es-ES"]), 40),
    Target("opus100", _opus_write, partial(_parallel_load, "opus100", ["es-ES"]), 20),
    Target("aya", _aya_write, partial(_parallel_load, "aya", ["es-ES"]), 20),
    Target("manuals", _manuals_write, _manuals_load, 40),
)
"""The targets for public data sets of items and of parallel texts."""
