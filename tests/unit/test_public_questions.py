"""One question is one concept in every public data set, and no right answer of it is among its wrong choices."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import steerlens as sl
from steerlens.data import Items
from steerlens.data.rows import same_text
from steerlens.data.splits import group_of
from steerlens.errors import DataError

LANGUAGES = ("Welsh", "Dutch", "Irish", "Greek", "Latin", "Hindi", "Urdu", "Thai")


def shared_questions(items: Items) -> set[str]:
    """Test questions, with their locale in front, that train or dev asks in the same locale."""
    split = items.split(seed=0)
    seen, asked = (
        {f"{item.locale}: {same_text(item.question)}" for part in parts for item in part}
        for parts in ((split.train, split.dev), (split.test,))
    )
    return seen & asked


def _bmlama(root: Path, *, only: tuple[str, ...] = ("en", "es", "ko")) -> Path:
    """Twenty countries of which each has three official languages, on lines that lie apart; line N is parallel."""
    root.mkdir()
    for code in only:
        lines = ["Prompt\tAns\tCandidate Ans\tSubject"]
        for turn in range(3):
            for country in range(20):
                at = [(country + turn + step) % 8 for step in range(8)]
                names = [f"{LANGUAGES[n]}{'' if code == 'en' else f' ({code})'}" for n in at]
                order = [*names[3:], names[0], *names[1:3]]  # the answer stands at the same place in every language
                # Spanish words a question otherwise on its second line, and asks two countries alike
                asked = f"L{country} {code} {'is' if code != 'es' or turn != 1 else 'es'} <mask>."
                asked = "L1 es is <mask>." if (code, country) == ("es", 2) else asked
                lines.append("\t".join((asked, names[0], ", ".join(order), f"L{country}")))
        (root / f"{code}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def test_a_question_of_bmlama_is_one_concept_however_many_answers_it_has(tmp_path: Path) -> None:
    items = sl.data.bmlama(["es", "ko"], path=_bmlama(tmp_path / "b"))
    assert items.of(locale="en-US").concepts == tuple(map(str, range(1, 21))), "the number of a question's first line"
    assert not shared_questions(items)
    assert items.notes["en-US: another right answer of a question"] == 40
    for item in items:
        country = (int(item.concept) - 1) % 20
        right = {LANGUAGES[(country + turn) % 8] for turn in range(3)}
        names = [choice.partition(" ")[0] for choice in item.choices]
        assert names[item.answer] == LANGUAGES[country % 8], "the first line's"
        assert right & set(names) == {names[item.answer]}, "its other right answers are no wrong choices"
        assert len(names) == 4


def test_concepts_and_choices_of_bmlama_do_not_depend_on_the_locales_asked_for(tmp_path: Path) -> None:
    root = _bmlama(tmp_path / "b")
    every = sl.data.bmlama(["ko", "es"], path=root)
    for asked in ([], ["es"], ["ko"]):
        some = sl.data.bmlama(asked, path=root)
        assert list(some) == [item for item in sl.data.bmlama(["es", "ko"], path=root) if item.locale in some.locales]
        assert set(some.split(seed=0).test.concepts) == {*every.split(seed=0).test.concepts} & {*some.concepts}


def test_two_questions_of_bmlama_that_are_one_in_another_language(tmp_path: Path) -> None:
    items = sl.data.bmlama(["es"], path=_bmlama(tmp_path / "b"))
    missing = set(items.of(locale="en-US").concepts) - set(items.of(locale="es-ES").concepts)
    assert "3" in missing, "its Spanish question is that of concept 2"
    assert items.notes["es-ES: question of another concept"] == 1
    for item in items.of(locale="es-ES"):
        if item.question == "L1 es is ___.":
            wrong = {choice for n, choice in enumerate(item.choices) if n != item.answer}
            assert not wrong & {f"{LANGUAGES[n]} (es)" for n in (1, 2, 3, 4)}


def test_lines_of_bmlama_that_are_not_parallel_are_left_out_and_counted(tmp_path: Path) -> None:
    root = _bmlama(tmp_path / "b")
    lines = (root / "ko.tsv").read_text(encoding="utf-8").split("\n")
    lines[1] = "\t".join(("L0 ko is <mask>.", "Welsh (ko)", "Welsh (ko), Dutch (ko)", "L0"))
    lines[-1] = lines[2].replace("L1 ko", "L99 ko")
    (root / "ko.tsv").write_text("\n".join(lines), encoding="utf-8")
    items = sl.data.bmlama(["ko"], path=root)
    assert items.notes["ko-KR: candidates not at the places of the English ones"] == 1
    assert items.notes["ko-KR: no such line in the English file"] == 1
    assert "1" not in items.of(locale="ko-KR").concepts


def _hub(path: Path, rows: list[dict[str, Any]], **columns: str) -> Items:
    path.mkdir(parents=True, exist_ok=True)
    (path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return sl.data.from_hub("own/scorer", {"question": "q", "choices": "c", "answer": "a", **columns}, locale="en-US", path=path)


def test_the_same_question_on_two_rows_is_asked_once(tmp_path: Path) -> None:
    rows = [{"q": f"Q{n % 30}?", "c": ["a", "b", f"c{n}"], "a": "a"} for n in range(60)]
    items = _hub(tmp_path, rows)
    assert len(items) == 30
    assert not shared_questions(items)
    assert items.notes == {"en-US: question of another concept": 30}
    assert items.concepts == tuple(map(str, range(30))), "the first row stays what it was"


def test_the_same_question_with_ids_that_agree_up_to_the_hash_stays(tmp_path: Path) -> None:
    rows = [{"q": "Q?", "c": ["a", "b", f"c{n}"], "a": "a", "id": f"one#{n}"} for n in range(3)]
    assert len(_hub(tmp_path, rows, concept="id")) == 3


def test_what_is_right_on_another_row_is_not_wrong_on_the_first(tmp_path: Path) -> None:
    rows = [
        {"q": "Official in Malta?", "c": ["Maltese", "English", "Thai"], "a": "Maltese"},
        {"q": "official  in Malta?", "c": ["English", "Urdu"], "a": "English"},
        {"q": "Official in Chad?", "c": ["Arabic", "Urdu"], "a": "Arabic"},
    ]
    items = _hub(tmp_path / "some", rows)
    assert [item.concept for item in items] == ["2"]
    assert items.notes == {"en-US: question of another concept": 1, "en-US: another right answer among the choices": 1}
    with pytest.raises(DataError, match=r"gives no items.*another right answer among the choices': 1"):
        _hub(tmp_path / "none", rows[:2])


def test_a_question_that_repeats_in_english_is_left_out_of_every_locale(tmp_path: Path) -> None:
    def row(code: str, question: str, n: int) -> dict[str, Any]:
        named = {"question": question, "answer": "A", "sample_id": f"law/{n}"}
        return named | {f"option_{letter}": f"{code} {letter}{n}" for letter in "abcd"}

    asked = {"en": ["Which?", "Which?", "Who?"], "es": ["¿Cuál?", "¿Qué?", "¿Quién?"]}
    for code, questions in asked.items():
        (tmp_path / code).mkdir()
        lines = [json.dumps(row(code, question, n)) for n, question in enumerate(questions)]
        (tmp_path / code / "test.jsonl").write_text("\n".join(lines), encoding="utf-8")
    items = sl.data.global_mmlu(["es"], path=tmp_path)
    assert items.of(locale="es-ES").concepts == items.of(locale="en-US").concepts == ("law/0", "law/2")
    assert items.notes == {"en-US: question of another concept": 1, "es-ES: question of another concept": 1}


def test_the_choices_of_one_hard_question_of_cultural_bench_stay_together(tmp_path: Path) -> None:
    rows = [
        {"question_idx": n, "prompt_question": f"In Peru, what {n}?", "prompt_option": x, "answer": x == "c", "country": "Peru"}
        for n in range(20)
        for x in "abcd"
    ]
    folder = tmp_path / "CulturalBench-Hard"
    folder.mkdir()
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    items = sl.data.cultural_bench(path=tmp_path, level="hard")
    split = items.split(seed=0)
    stems = [{item.question.split("\n")[0] for item in part} for part in (split.train, split.dev, split.test)]
    assert sum(map(len, stems)) == 20 == len(set.union(*stems))
    assert len({group_of(item.concept) for item in items}) == 20


def _asked_of_korea(root: Path, sets: list[tuple[str, str]]) -> Path:
    """Twenty questions, each with several sets of choices, of which the answer and one wrong choice are given."""
    config = root / "multiple-choice-questions"
    config.mkdir(parents=True)
    rows = []
    for question in range(20):
        for n, (answer, wrong) in enumerate(sets):
            choices = {"A": answer, "B": f"bread{n}", "C": wrong, "D": f"tea{n}"}
            row = {"MCQID": f"Q-{question}_{n}", "ID": f"Q-{question}", "country": "South_Korea", "answer_idx": "A"}
            rows.append(row | {"prompt": f"What {question}? Without any explanation", "choices": json.dumps(choices)})
    (config / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return root


def test_the_sets_of_choices_of_one_question_of_blend_stay_together(tmp_path: Path) -> None:
    items = sl.data.blend_choices(["ko-KR"], path=_asked_of_korea(tmp_path, [("rice", "soup")] * 4), per_question=3)
    assert len(items) == 60
    assert not shared_questions(items)


def test_what_is_right_in_another_set_of_choices_of_blend_is_not_wrong(tmp_path: Path) -> None:
    sets = [("rice", "soup"), ("soup", "corn"), ("rice", "Soup")]
    items = sl.data.blend_choices(["ko-KR"], path=_asked_of_korea(tmp_path / "some", sets), per_question=3)
    assert len(items) == 20
    assert all(item.choices == ("Soup", "Bread1", "Corn", "Tea1") for item in items)
    with pytest.raises(DataError, match="another right answer among the choices': 20"):
        sl.data.blend_choices(["ko-KR"], path=_asked_of_korea(tmp_path / "none", [("rice", "soup"), ("soup", "rice")]))


def test_what_as_many_people_here_answered_is_no_wrong_choice_of_blend(tmp_path: Path) -> None:
    given = {
        "US": [("eggs", 4), ("toast", 4), ("soup", 3)],
        "Spain": [("toast", 5)],
        "South_Korea": [("soup", 5)],
        "Indonesia": [("rice", 5)],
    }
    for country, answers in given.items():
        row = {"question": "What is eaten?", "en_question": "", "idks": {}}
        row["annotations"] = [{"answers": [text], "en_answers": [text], "count": n} for text, n in answers]
        (tmp_path / f"{country}_data.json").write_text(json.dumps({"a-1": row}), encoding="utf-8")

    items = sl.data.blend(["es-ES", "ko-KR", "id-ID"], path=tmp_path)
    (item,) = items.of(locale="en-US")
    assert item.answers == {"en-US": "Eggs", "ko-KR": "Soup", "id-ID": "Rice"}, "as many gave toast as eggs, fewer gave soup"
    assert items.notes["en-US: choices that as many people here gave as the answer"] == 1
    with pytest.raises(DataError, match="'en-US: choices that some people here gave': 1, 'en-US: fewer than 3 choices': 1"):
        sl.data.blend(["es-ES", "ko-KR", "id-ID"], path=tmp_path, exclusive=True)  # eggs and rice are two


def test_a_question_of_mkqa_is_asked_once_and_none_of_its_answers_is_wrong(tmp_path: Path) -> None:
    def row(n: int, query: str, text: str) -> dict[str, Any]:
        answers = {code: [{"type": "entity", "entity": "Q1", "text": f"{text} {code}", "aliases": []}] for code in ("en", "es")}
        return {"query": query, "example_id": n, "queries": {"en": query, "es": f"{query} (es) {n}"}, "answers": answers}

    rows = [row(n, f"q{n % 8}", f"t{n}") for n in range(16)]
    with gzip.open(tmp_path / "mkqa.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(map(json.dumps, rows)))
    for seed in range(8):
        items = sl.data.mkqa(["es"], path=tmp_path, seed=seed)
        assert items.concepts == tuple(map(str, range(8)))
        assert items.notes == {"question of an earlier example": 8}
        for item in items:
            other = f"t{int(item.concept) + 8} {item.locale[:2]}"
            assert other not in item.choices, "the answer that the other example of this question gives"
    assert not shared_questions(items)


def test_the_check_names_a_right_answer_among_wrong_choices() -> None:
    def item(concept: str, choices: tuple[str, ...], question: str = "What is spoken in Malta?") -> sl.data.Item:
        return sl.data.Item(concept, "factual", "en-US", question, choices, 0)

    one = item("a", ("Maltese", "English", "Thai"))
    problems = sl.data.check(Items((one, item("b", ("english", "Urdu", "Thai")))))
    found = [problem for problem in problems if "the wrong choice 'English'" in problem.what]
    assert [(problem.concept, problem.locale) for problem in found] == [("a", "en-US")]
    assert any("is asked twice, first for the concept a" in problem.what for problem in problems)
    apart = sl.data.check(Items((one, item("b", ("English", "Urdu", "Thai"), "What is spoken in Fiji?"))))
    assert apart == []
