"""Tasks: sent elsewhere, kept as they end, gone on from, and the same numbers bit for bit whichever way they are run."""

import pickle
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tqdm import tqdm

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import ModelError
from steerlens.evaluation import answered, plane, search, side_effects, sweep
from steerlens.evaluation.running import Running
from steerlens.evaluation.slopes import SlopePart, SlopeTask
from steerlens.evaluation.tasks import ScoringTask
from steerlens.evaluation.text_tasks import ReadingTask, ResidualTask, WritingTask
from steerlens.settings import SearchSettings
from steerlens.steering import VectorSet, take
from steerlens.steering.code import code_digest


@pytest.fixture(scope="module")
def stored(model_folders: dict[str, Path]) -> sl.LensModel:
    """A model that other processes can load again."""
    return sl.load(model_folders["llama"], "cpu")


@pytest.fixture(scope="module")
def vectors(stored: sl.LensModel, items: Items) -> VectorSet:
    return take(stored, items)


def test_a_task_is_sent_and_gives_the_same(stored: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    some, vector = tuple(items.of(locale="es-ES")), vectors["EN", "es-ES"]
    plan = vector.at([1, 2], 2.0)
    tasks = (
        ScoringTask(some, (plan, -plan)),
        SlopeTask((SlopePart(some, ((vector, (1, 3)),)),), "last_onward"),
        WritingTask(some[:2], plan, 3),
        ReadingTask(("Hello there", "¿Qué se desayuna?"), plan),
        ResidualTask(tuple(items.prompts()[:3])),
    )
    for task in tasks:
        again = pickle.loads(pickle.dumps(task))  # noqa: S301 (what executors do)
        pd.testing.assert_frame_equal(again.run(stored, lambda _: None), task.run(stored, lambda _: None))
        assert again.digest(stored) == task.digest(stored)
    digests = {task.digest(stored) for task in (*tasks, ScoringTask(some, (plan,)), ScoringTask(some, (2 * plan,)))}
    assert len(digests) == len(tasks) + 2


class _Counting:
    """An executor that notes how many tasks it is given at once."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def map(self, function: Callable[[Any], Any], values: Iterable[Any]) -> Iterable[Any]:
        work = list(values)
        self.given.append(len(work))
        return map(function, work)


def test_workers_of_a_plane_have_the_tasks_of_all_locales_before_them(
    stored: sl.LensModel, items: Items, vectors: VectorSet
) -> None:
    few, workers = items.sample(3), _Counting()
    plans = {"EN": {code: vectors["EN", code].at(1, 2.0) for code in ("es-ES", "ko-KR")}}
    found = answered(stored, few, plans, executor=workers)
    assert workers.given == [6, 1]  # for each locale facts, culture and its explicit prompts; then English, for consistency
    pd.testing.assert_frame_equal(found.frame, answered(stored, few, plans).frame)


def _jobs(model: sl.LensModel, items: Items, vectors: VectorSet, **how: object) -> list[pd.DataFrame]:
    """The tables of every function that runs tasks."""
    plans = {"EN": {code: vectors["EN", code].at(1, 2.0) for code in ("es-ES", "ko-KR")}}
    few = SearchSettings(n_folds=2, strengths=(1.0, 2.0), dev_concepts=4, first_layers=2, singles=1, combinations=2)
    return [
        sweep(model, items, vectors, [1, 2], [1.0, 2.0], mode="screened", **how).frame,
        plane(model, items, plans, **how).frame,
        side_effects(model, items, plans, concepts=2, max_new_tokens=3, **how).frame,
        search(model, items, ["es-ES"], settings=few, **how).tried.frame,
    ]


def test_processes_give_the_tables_of_one_process_bit_for_bit(stored: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    here = _jobs(stored, items, vectors)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for ours, theirs in zip(here, _jobs(stored, items, vectors, executor=pool), strict=True):
            pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_finished_tasks_are_not_run_again(
    stored: sl.LensModel, items: Items, vectors: VectorSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, ran = ScoringTask.run, []

    def counted(task: ScoringTask, model: sl.LensModel, report: object) -> pd.DataFrame:
        ran.append(task)
        return run(task, model, report)

    monkeypatch.setattr(ScoringTask, "run", counted)
    first = _jobs(stored, items, vectors, resume=tmp_path)
    all_of_them = len(ran)
    ran.clear()
    for again, table in zip(_jobs(stored, items, vectors, resume=tmp_path), first, strict=True):
        pd.testing.assert_frame_equal(again, table, check_exact=True)
    assert not ran
    lost = sorted(tmp_path.glob("*.parquet"))[::3]
    for path in lost:
        path.unlink()
    for again, table in zip(_jobs(stored, items, vectors, resume=tmp_path), first, strict=True):
        pd.testing.assert_frame_equal(again, table, check_exact=True)
    assert 0 < len(ran) <= len(lost) < all_of_them


def _asked(items: Items, plans: list[sl.steering.SteeringPlan]) -> list[ScoringTask]:
    return [ScoringTask((item,), (plan,)) for item in items.of(locale="es-ES") for plan in plans]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_task_has_its_own_result(
    stored: sl.LensModel, items: Items, vectors: VectorSet, tmp_path: Path, workers: int
) -> None:
    """Some tasks do the same as others, and workers keep results while earlier ones are still waited for."""
    vector = vectors["EN", "es-ES"]
    tasks = _asked(items, [vector.at(1, 2.0), vector.at(2, 1.0), vector.at(1, 2.0)])
    expected = list(Running().results(tasks, stored, tqdm(disable=True)))
    for _ in range(2):
        with ThreadPoolExecutor(max(1, workers)) as pool:
            found = list(Running(pool if workers else None, tmp_path).results(tasks, stored, tqdm(disable=True)))
        for task, own, right in zip(tasks, found, expected, strict=True):
            assert task.outcomes(own) == task.outcomes(right)
    assert len(list(tmp_path.glob("*.parquet"))) == len({task.digest(stored) for task in tasks}) == len(tasks) * 2 // 3


def test_nothing_is_kept_or_sent_under_hooks(stored: sl.LensModel, items: Items, vectors: VectorSet, tmp_path: Path) -> None:
    """Neither files nor workers know of hooks."""
    plan = vectors["LOC", "es-ES"].at(1, 5.0)
    tasks, running = _asked(items, [plan]), Running(None, tmp_path)
    with plan.applied(stored):
        steered = list(running.results(tasks, stored, tqdm(disable=True)))
        with ThreadPoolExecutor(1) as pool, pytest.raises(ModelError, match="has hooks, but the workers of an executor"):
            list(Running(pool).results(tasks, stored, tqdm(disable=True)))
    assert not list(tmp_path.glob("*.parquet"))
    free = next(iter(running.results(tasks, stored, tqdm(disable=True))))
    assert tasks[0].outcomes(steered[0]) != tasks[0].outcomes(free)


def test_what_a_task_reads_and_the_code_it_runs_are_of_its_name(stored: sl.LensModel, items: Items) -> None:
    """Of a task whose description is the same."""
    place, item = sl.data.locale("es-ES"), items.of(locale="es-ES")[0]
    task = ScoringTask((item,))
    before = task.digest(stored)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vars(place), "space", "  ")
        assert task.digest(stored) != before
    assert task.digest(stored) == before


def test_a_class_defined_again_with_other_code_is_another() -> None:
    """As a cell of a notebook does that was changed."""

    def once() -> type:
        return type("Twice", (), {"twice": lambda self: 2 * self.number, "name": property(lambda self: str(self.number))})

    def again() -> type:
        return type("Twice", (), {"twice": lambda self: 3 * self.number, "name": property(lambda self: str(self.number))})

    assert code_digest(once()) == code_digest(once()) != code_digest(again())


def test_another_model_or_scoring_is_another_task(stored: sl.LensModel, loaded: dict[str, sl.LensModel], items: Items) -> None:
    task = ScoringTask(tuple(items.of(locale="es-ES")))
    other = ScoringTask(tuple(items.of(locale="es-ES")), (), sl.evaluation.Scoring("character"))
    digests = {task.digest(stored), other.digest(stored), task.digest(loaded["qwen2"])}
    assert len(digests) == 3


def test_a_live_model_cannot_be_sent(llama: sl.LensModel, items: Items) -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(ModelError, match="cannot load it again"):
        sweep(sl.LensModel(llama.tl), items, take(llama, items), [1], [1.0], executor=pool)


def test_a_damaged_or_vanished_result_is_made_again(
    stored: sl.LensModel, items: Items, vectors: VectorSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a power failure leaves it, or a second run that was told not to resume."""
    tasks = _asked(items, [vectors["EN", "es-ES"].at(1, 2.0)])[:3]
    first = list(Running(None, tmp_path).results(tasks, stored, tqdm(disable=True)))
    damaged, vanishing = (tmp_path / f"{task.digest(stored)}.parquet" for task in tasks[:2])
    damaged.write_bytes(b"")
    again = Running(None, tmp_path).results(tasks, stored, tqdm(disable=True))
    found = [next(again)]
    vanishing.unlink()
    for own, right in zip([*found, *again], first, strict=True):
        pd.testing.assert_frame_equal(own, right, check_exact=True)
    assert caplog.text.count("the task is run again") == 2
    assert damaged.stat().st_size
    assert vanishing.is_file()


class _Dying(_Counting):
    """A pool whose worker dies after the first task."""

    def map(self, function: Callable[[Any], Any], values: Iterable[Any]) -> Iterable[Any]:
        first, *_ = values
        yield function(first)
        raise BrokenProcessPool("A process was terminated abruptly")


def test_a_lost_worker_is_said_in_words(stored: sl.LensModel, items: Items, vectors: VectorSet, tmp_path: Path) -> None:
    tasks = _asked(items, [vectors["EN", "es-ES"].at(1, 2.0)])
    with pytest.raises(ModelError, match=r"worker of the executor died .*abruptly.*; finished tasks are in .*\. .*fewer workers"):
        list(Running(_Dying(), tmp_path).results(tasks, stored, tqdm(disable=True)))
    assert len(list(tmp_path.glob("*.parquet"))) == 1
    with pytest.raises(ModelError, match=r"no results are kept, because the argument resume was not given"):
        list(Running(_Dying()).results(tasks, stored, tqdm(disable=True)))


def test_a_folder_says_what_it_holds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "tasks").mkdir()
    kept, foreign = (tmp_path / "tasks" / f"{name}.parquet" for name in ("a" * 64, "mine"))
    kept.touch()
    foreign.touch()
    with caplog.at_level("INFO", "steerlens"):
        assert Running.in_folder(tmp_path).folder == tmp_path / "tasks"
    assert "1 finished tasks" in caplog.text
    Running.in_folder(tmp_path, resume=False)
    assert not kept.exists()
    assert foreign.exists()  # what is not ours stays
