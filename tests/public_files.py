"""Small files in exactly the formats of public data sets: a folder of the hub, Global-MMLU and BLEnD."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def hub_folder(root: Path, parts: dict[str, dict[str, list[dict]]], *, readme: bool = True) -> Path:
    """A folder as ``hf download`` leaves it: a Parquet file per config and split, and the README that names them."""
    lines = ["---", "configs:"]
    for config, splits in parts.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        (root / config).mkdir(parents=True)
        for split, rows in splits.items():
            pq.write_table(pa.Table.from_pylist(rows), root / config / f"{split}-00000-of-00001.parquet")
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    if readme:
        (root / "README.md").write_text("\n".join([*lines, "---", "# A data set"]), encoding="utf-8")
    return root


def mmlu_row(language: str, n: int, **changes: Any) -> dict[str, Any]:
    options = {f"option_{letter}": f"{language} {letter}{n}" for letter in "abcd"}
    return {
        "sample_id": f"anatomy/test/{n}",
        "subject": "anatomy",
        "subject_category": "STEM",
        "question": f"{language} {n}?",
        **options,
        "answer": "ABCD"[n % 4],
        "culture": "['Western Culture']" if n == 0 else "[]",
        "region": "[]",
        "country": "['United States of America']" if n == 0 else "[]",
        "cultural_sensitivity_label": ("CS", "CA", "-")[n % 3],
        "is_annotated": n % 3 != 2,
        **changes,
    }


def global_mmlu_folder(root: Path, *, readme: bool = True, **changes: Any) -> Path:
    languages = ("en", "es", "ko")
    test = {language: [mmlu_row(language, n, **(changes if n == 1 else {})) for n in range(6)] for language in languages}
    return hub_folder(root, {language: {"test": rows, "dev": rows[:2]} for language, rows in test.items()}, readme=readme)


SURE = {"idk": 0, "no-answer": 0, "not-applicable": 0, "it depends": 1}


def votes_of(*given: tuple[str, str, int]) -> list[dict[str, Any]]:
    return [{"answers": own.split("/"), "en_answers": english.split("/"), "count": n} for own, english, n in given]


def asked(question: str, *given: tuple[str, str, int], idks: dict[str, int] = SURE) -> dict[str, Any]:
    return {"question": question, "en_question": "", "annotations": votes_of(*given), "idks": idks}


FILES = {
    "US": {
        "a-1": asked("What is the most popular fruit in the US?", ("apple", "apple", 4), ("pear", "pear", 1)),
        "a-2": asked("What do people from the US eat?", ("bread", "bread", 3)),
        "a-3": asked("What is eaten?", ("bread", "bread", 3)),
        "a-4": asked("What do people drink in the US?", ("tea", "tea", 1), idks={"no-answer": 2, "not-applicable": 1}),
    },
    "Spain": {
        "a-1": asked("¿Cuál es la fruta más popular en España?", ("platano/plátano", "banana", 3), ("manzana", "apple", 1)),
        "a-2": asked("En España, ¿qué come la gente?", ("paella", "paella", 5), ("arroz", "rice", 1)),
        "a-3": asked("¿Qué se come?", ("tortilla", "omelette", 2), ("12", "12", 1), ("pan", "bread", 1)),
        "a-4": asked("¿Para España?", ("té", "tea", 2)),
    },
    "South_Korea": {
        "a-1": asked("대한민국에서 가장 인기 있는 과일은 무엇입니까?", ("바나나", "banana", 2), ("사과", "apple", 2)),
        "a-2": asked("대한민국 사람들은 무엇을 먹나요?", ("밥", "rice", 5), ("빵", "bread", 1)),
        "a-3": asked("무엇을 먹나요?", ("12", "12", 4), ("오믈렛", "omelette", 1)),
    },
}


def blend_folder(root: Path) -> Path:
    """Writes the answers of three countries and the questions of one."""
    annotations = root / "data" / "annotations"
    annotations.mkdir(parents=True)
    for country, rows in FILES.items():
        (annotations / f"{country}_data.json").write_text(json.dumps(rows), encoding="utf-8")
    questions = root / "data" / "questions"
    questions.mkdir()
    lines = [",ID,Topic,Source,Question,Translation", "0,a-1,Food,English (US),What?,What?"]
    (questions / "US_questions.csv").write_text("\n".join(lines), encoding="utf-8")
    return root
