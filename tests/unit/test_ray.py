"""Workers of Ray: the tables of one process bit for bit, also where one dies; what is sent to them, and errors that come back."""

import json
import os
import pickle
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import steerlens as sl
from steerlens.data import Items
from steerlens.data.parallel import facts
from steerlens.errors import FileError, FingerprintError, LayerError, ModelError, SettingsError, UnknownNameError
from steerlens.evaluation import running, sweep
from steerlens.evaluation.sent import SentModel
from steerlens.evaluation.tasks import ScoringTask
from steerlens.executors import RayExecutor
from steerlens.steering import VectorSet, take
from steerlens.steering.directions import Add
from steerlens.steering.edits import Edit


@pytest.fixture(scope="module")
def stored(model_folders: dict[str, Path]) -> sl.LensModel:
    """A model that other processes can load again."""
    return sl.load(model_folders["llama"], "cpu")


@pytest.fixture(scope="module")
def vectors(stored: sl.LensModel, items: Items) -> VectorSet:
    return take(stored, items)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two workers of a Ray that is started here."""
    ray = pytest.importorskip("ray")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not find the tests
    without = tmp_path_factory.mktemp("without")  # Jupyter's grammar of addresses, which takes seconds in every process of Ray
    (without / "rfc3987_syntax.py").write_text("raise ImportError")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(without), prepend=os.pathsep)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # other tests run beside
        patch.setenv("RAY_AUTH_MODE", "disabled")  # writes nothing into the home folder
        for left in reversed(range(3)):  # its processes have fixed seconds to start in, which a busy machine may not give them
            try:
                ray.init("local", num_cpus=2, object_store_memory=100 << 20, include_dashboard=False, log_to_driver=False)
                break
            except Exception:
                ray.shutdown()
                if not left:
                    raise
        with sl.ray(num_cpus=1) as executor:
            yield executor
        ray.shutdown()


def _name(task: Any) -> str:
    return json.dumps([task.described(), [item.concept for item in task.items]], sort_keys=True)


def _noted(folder: Path, work: tuple[SentModel, Any], report: Any) -> pd.DataFrame:
    """Does a task, and notes before that it is begun."""
    with (folder / str(os.getpid())).open("a") as notes:
        notes.write(_name(work[1]) + "\n")
    return running.run_told(work, report)


def test_the_table_is_that_of_one_process_when_a_worker_is_killed(
    workers: Any,
    stored: sl.LensModel,
    items: Items,
    vectors: VectorSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("steerlens.evaluation.grid.PLANS", 1)  # a task a cell
    run = partial(sweep, stored, items, vectors, [1, 2], [1.0, 2.0])
    here = run()
    store, notes = tmp_path / "tasks", tmp_path / "notes"
    notes.mkdir()
    told, keep, finished = running.run_told, running._stored, []

    def kept(found: pd.DataFrame, path: Path) -> pd.DataFrame:
        """Kills the worker that is at work when the fourth result comes."""
        table = keep(found, path)
        finished.append(sum(1 for _ in store.glob("*.parquet")))
        if len(finished) == 4:
            busy = next(worker for worker, _, number in workers._waited.values() if number is not None)
            workers._ray.kill(busy)
        return table

    monkeypatch.setattr(running, "_stored", kept)
    monkeypatch.setattr(running, "run_told", partial(_noted, notes))
    there = run(executor=workers, resume=store)
    pd.testing.assert_frame_equal(here.frame, there.frame, check_exact=True)
    assert "A worker of Ray died, and another worker continues" in caplog.text
    begun = Counter(line for path in notes.iterdir() for line in path.read_text().splitlines())
    assert finished == list(range(1, len(begun) + 1))  # each is in the store as soon as it came
    assert len(list(notes.iterdir())) >= 2  # both had work
    assert sum(begun.values()) <= len(begun) + 1  # what the killed one was at, and nothing else, is done twice
    monkeypatch.setattr(running, "run_told", told)
    again = run(executor=workers, resume=store)
    pd.testing.assert_frame_equal(here.frame, again.frame, check_exact=True)
    assert len(finished) == len(begun)  # all of it was there


def _fail(value: int) -> int:
    if value == 2:
        raise LayerError(7, range(4), "model x")
    if value == 3:
        raise UnknownNameError("layer", "x", ["y"])
    return value


def test_an_error_comes_out_as_it_was_raised(workers: Any) -> None:
    with pytest.raises(LayerError, match=r"layer 7 is not in model x: it has layers 0 to 3"):
        list(workers.map(_fail, [1, 2]))
    with pytest.raises(UnknownNameError, match=r"unknown layer 'x'"):
        list(workers.map(_fail, [3]))
    assert list(workers.map(_fail, [5, 4, 1])) == [5, 4, 1]  # it goes on, and in their order


def _slow(value: float, report: Any) -> float:
    for _ in range(10):  # a loaded machine answers the first request for reports late
        time.sleep(0.3)
        report(value / 10)
    return value


def test_workers_tell_how_far_they_are(workers: Any) -> None:
    told, kept = [], []
    found = workers.run(
        _slow,
        [3.0, 6.0],
        report=lambda number, done: told.append((number, done)),
        keep=lambda number, value: kept.append(number) or -value,
    )
    assert list(found) == [-3.0, -6.0]
    assert sorted(kept) == [0, 1]
    assert {number for number, _ in told} <= {0, 1}
    assert told
    assert all(0 < done < (3.0, 6.0)[number] for number, done in told)


def _die(value: int) -> int:
    if value == 2:
        os._exit(1)
    return value


def test_work_that_kills_its_workers_is_given_up(workers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "retries", 0)
    found = workers.map(_die, [1, 2])
    assert next(found) == 1
    with pytest.raises(ModelError, match=r"1 workers of Ray died at the same piece of work, number 2 of 2"):
        next(found)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"workers": 0}, "workers 0 given for workers of Ray: expected 1 or more"),
        ({"num_gpus": -1}, "num_gpus -1 given"),
        ({"num_gpus": 1.5}, "num_gpus 1.5 given for workers of Ray: expected a fraction of one GPU"),
        ({"retries": -1}, "retries -1 given"),
    ],
)
def test_numbers_out_of_range_are_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        sl.ray(**asked)


def test_workers_without_room_are_refused(workers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "num_gpus", 1)
    with pytest.raises(SettingsError, match=r"1 GPUs and 1 cores each were requested, but the machines of Ray have 0 and 2"):
        list(workers.map(_fail, [1]))


def test_room_is_that_of_each_machine(workers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores of two machines are none for a worker that needs five."""
    machines = [{"Alive": True, "Resources": {"CPU": 4.0}}, {"Alive": True, "Resources": {"CPU": 4.0}}]
    gone = {"Alive": False, "Resources": {"CPU": 64.0}}
    monkeypatch.setattr(workers, "_ray", SimpleNamespace(nodes=lambda: [*machines, gone]))
    for cores, room in ((4, 2), (1.5, 4), (0.1, 80)):
        monkeypatch.setattr(workers, "num_cpus", cores)
        assert workers._room() == room
    monkeypatch.setattr(workers, "num_cpus", 5)
    with pytest.raises(SettingsError, match="0 and 4: expected room for at least one worker on one machine"):
        workers._room()


def _wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_work_that_is_given_while_other_work_runs(workers: Any) -> None:
    """What comes for one call of ``map`` while another one waits is not lost."""
    while len(workers._free) < 2:  # both are there
        list(workers.map(_wait, [0.2, 0.2]))
    first = workers.map(_wait, [0.0, 0.2, 0.1])
    got = [next(first)]
    assert list(workers.map(_wait, [0.3, 0.1])) == [0.3, 0.1]  # meanwhile the other worker gives what the first call asked for
    assert [*got, *first] == [0.0, 0.2, 0.1]


def _made(edit: Edit) -> torch.Tensor:
    return edit(torch.zeros(1, 1, 4), 1.0, torch.ones(1, 1, dtype=torch.bool))


def test_an_operation_of_a_script_is_sent(workers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker can import it, and it is made from another operation."""
    monkeypatch.setattr("steerlens.steering.edits.EDITS", {})

    @dataclass(frozen=True, eq=False)
    class Twice(Add):
        operation = "twice"

        def __call__(self, residual: torch.Tensor, strength: float, steered: torch.Tensor) -> torch.Tensor:
            return super().__call__(residual, 2 * strength, steered)

    (made,) = workers.map(_made, [Twice(torch.ones(4))])
    assert made.tolist() == [[[2.0] * 4]]


def test_closed_workers_take_no_work() -> None:
    """They would start another Ray."""
    ray = pytest.importorskip("ray")
    closed = RayExecutor(1, 0, 1, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray, "is_initialized", lambda: False)
        with pytest.raises(SettingsError, match="workers of Ray that are already closed"):
            list(closed.map(_fail, [1]))


# Without Ray


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install 'steerlens\[ray\]'"):
        sl.ray()


@pytest.mark.parametrize("error", [ModelError("a"), LayerError(7, range(4), "x"), UnknownNameError("layer", "x", ["y"], "Ask.")])
def test_errors_are_sent_whole(error: Exception) -> None:
    error.add_note("A note.")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (what executors do)
    assert (type(again), str(again), again.args, again.__notes__) == (type(error), str(error), error.args, ["A note."])


def test_a_worker_has_the_model_that_was_sent(stored: sl.LensModel, model_folders: dict[str, Path]) -> None:
    sent = pickle.loads(pickle.dumps(SentModel.of(stored, "cpu")))  # noqa: S301 (what executors do)
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(sent.load).result()
        assert there is not stored
        assert there.fingerprint == stored.fingerprint
        assert pool.submit(sent.load).result() is there  # loaded once
        other = replace(sent, spec=replace(sent.spec, name=str(model_folders["gemma3"])))
        with pytest.raises(FingerprintError, match="weights"):
            pool.submit(other.load).result()


def test_files_that_were_written_anew_are_read_anew(model_folders: dict[str, Path], tmp_path: Path) -> None:
    """As an adapter that was trained again in its folder: the worker's own model is another one by then."""
    folder = shutil.copytree(model_folders["llama"], tmp_path / "model")
    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(SentModel.of(sl.load(folder, "cpu"), "cpu").load).result().fingerprint
        weights = load_file(folder / "model.safetensors")
        save_file({name: 2 * own for name, own in weights.items()}, folder / "model.safetensors", {"format": "pt"})
        again = sl.load(folder, "cpu")
        there = pool.submit(SentModel.of(again, "cpu").load).result()
    assert there.fingerprint == again.fingerprint != before


def test_every_task_begins_with_the_batches_that_were_sent(stored: sl.LensModel) -> None:
    sent = replace(SentModel.of(stored, "cpu"), token_budget=512)
    with ThreadPoolExecutor(1) as pool:
        model = pool.submit(sent.load).result()
        model.token_budget = 64  # as after a batch that did not fit
        assert pool.submit(sent.load).result().token_budget == 512


def test_files_that_another_machine_does_not_have_are_named(
    stored: sl.LensModel, model_folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model_folders["llama"].parent)
    relative = sl.load(model_folders["llama"].name, "cpu")
    assert SentModel.of(relative, "cpu").spec.name == str(model_folders["llama"].resolve())  # workers run in other folders
    assert SentModel.of(relative, "cuda").spec.device == "cuda"
    gone = replace(SentModel.of(stored, "cpu"), spec=replace(stored.spec, name=str(tmp_path / "gone")))
    with pytest.raises(ModelError, match=r"gone is not on the machine .*at the same path on every machine"):
        gone.load()


def test_a_screened_task_gives_the_same_twice(
    stored: sl.LensModel, model_folders: dict[str, Path], items: Items, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new worker compares ways of computing, and an old one does not any more."""
    monkeypatch.setattr("steerlens.models.unembedding._LIKELY", 0.02)  # so that the short list leaves something out
    some, vector = tuple(items.of(locale="es-ES")), take(stored, items)["EN", "es-ES"]
    task = ScoringTask(some, (vector.at(1, 2.0), vector.at(2, 1.0)), short=True)
    fresh = sl.load(model_folders["llama"], "cpu")
    first, second = (task.run(fresh, lambda _: None) for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_several_trainings(stored: sl.LensModel, items: Items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    from steerlens.alignment import ContinuedTraining, Training, TrainingSettings, several, train_all

    settings = TrainingSettings(steps=1, checkpoints=1, batch_size=2)
    common = (facts(items), ContinuedTraining())
    two = [Training(*common, out=tmp_path / name, locales=("es-ES",), settings=settings) for name in ("a", "b")]
    with ThreadPoolExecutor(1) as pool:
        made = train_all(stored, two, executor=pool)
    assert [one.folder.name for one in made] == ["a", "b"]
    assert made[0].card.model == made[1].card.model
    again = train_all(stored, two)  # what is there is not trained again
    assert [one.card for one in again] == [one.card for one in made]
    with pytest.raises(SettingsError, match="expected a separate folder for each"):
        train_all(stored, [two[0], two[0]])
    monkeypatch.setattr(several, "_trained_elsewhere", lambda _: replace(made[0].card, seconds=0.0))
    with ThreadPoolExecutor(1) as pool, pytest.raises(FileError, match="a folder that all machines share"):
        train_all(stored, two, executor=pool)
