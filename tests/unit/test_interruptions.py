"""What interrupts a run loses nothing: temporary folders of killed writers, full disks, and a study that goes on."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from steerlens import scratch
from steerlens.errors import FileError
from steerlens.results import Folder
from steerlens.scratch import remove_abandoned, scratch_folder
from steerlens.storage import readable_errors, write_text
from steerlens.testing import places

ROOT = Path(__file__).parents[2]


def _killed_writer(folder: Path, name: str) -> None:
    """Leaves what a writer leaves that is killed."""
    if (child := os.fork()) == 0:
        with scratch_folder(folder, name) as (own, _):
            (own / name).write_text("half", encoding="utf-8")
            os._exit(0)
    os.waitpid(child, 0)


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    _killed_writer(tmp_path, "table.parquet")
    _killed_writer(tmp_path, "other[1].json")
    (tmp_path / ".table.parquet.abcdefgh.part").mkdir()  # killed before it made its lock
    foreign = tmp_path / ".mine.abcdefgh.part"
    foreign.mkdir()
    (foreign / "file").touch()
    with scratch_folder(tmp_path, "table.parquet") as (busy, _):
        assert len(list(tmp_path.iterdir())) == 5
        write_text(tmp_path / "table.parquet", "whole")
        left = {path.name.rpartition(".part")[0][:-9] for path in tmp_path.iterdir()}
        assert left == {".table.parquet", ".other[1].json", ".mine", ""}
        remove_abandoned(tmp_path)
        assert set(tmp_path.iterdir()) == {busy, foreign, tmp_path / "table.parquet"}
    assert set(tmp_path.iterdir()) == {foreign, tmp_path / "table.parquet"}


def test_a_folder_that_another_process_takes_for_abandoned_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, lock, made = tempfile.mkdtemp, scratch._lock, []

    def taken_before_its_lock_is_made(*given: object) -> str:
        made.append(make(*given))
        if len(made) == 1:
            remove_abandoned(tmp_path)
        return made[-1]

    def taken_before_it_is_locked(descriptor: int) -> bool | None:
        if len(made) == 2:
            (Path(made[-1]) / ".lock").unlink()
        return lock(descriptor)

    monkeypatch.setattr(tempfile, "mkdtemp", taken_before_its_lock_is_made)
    monkeypatch.setattr(scratch, "_lock", taken_before_it_is_locked)
    with scratch_folder(tmp_path, "x") as (folder, _):
        assert list(tmp_path.iterdir()) == [folder] == [Path(made[2])]


def test_a_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    written = write_text(tmp_path / "ours", "")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_errors_of_the_system_are_said_whoever_raises_them() -> None:
    full = Exception("I/O error: No space left on device (os error 28)")  # as tokenizers raises it
    with pytest.raises(FileError, match=r"cannot write x: I/O error: No space left"), readable_errors(Path("x"), "write"):
        raise full
    with pytest.raises(ZeroDivisionError), readable_errors(Path("x"), "write"):
        _ = 1 / 0


def test_two_processes_may_try_a_folder_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(path: Path, text: str) -> Path:
        """Another process has removed the file by now."""
        write_text(path, text).unlink()
        return path

    monkeypatch.setattr("steerlens.results.write_text", tried)
    assert Folder.ready(tmp_path).path == tmp_path


def test_what_is_half_written_left_or_another_is_seen(tmp_path: Path) -> None:
    right, own = tmp_path / "right", tmp_path / "own"
    for folder in (right, own):
        (folder / "tasks").mkdir(parents=True)
        (folder / "card.json").write_text('{"seconds": 1, "n": 2}', encoding="utf-8")
        (folder / "a.safetensors").write_bytes(b"numbers")
    (own / "card.json").write_text('{"seconds": 9, "n": 2}', encoding="utf-8")
    assert places.unlike(own, right) == places.half_written(own, right) == []
    kept = places.kept(own)
    (own / "a.safetensors").write_bytes(b"numb")
    (own / "tasks" / ".part").mkdir()
    (own / "page.html").write_text("<html>", encoding="utf-8")
    assert places.half_written(own, right) == ["a.safetensors is incomplete", "page.html is incomplete"]
    assert places.unlike(own, right) == ["a.safetensors differs", "page.html was left", "tasks/.part was left"]
    assert not kept
    (own / "tasks" / "t.parquet").touch()
    kept = places.kept(own)
    os.utime(own / "tasks" / "t.parquet", ns=(1, 1))
    assert places.lost(own, kept) == ["tasks/t.parquet was done again"]
    (own / "tasks" / "t.parquet").unlink()
    assert places.lost(own, kept) == ["tasks/t.parquet was lost"]


@pytest.mark.skipif(sys.platform != "linux", reason="the command needs Linux")
def test_a_study_that_was_killed_and_one_whose_disk_was_full_go_on_to_the_same_files() -> None:
    """One round of each: the command does as many as it is asked for, of six jobs."""
    command = [sys.executable, "-m", "steerlens.testing.interruptions", "--jobs", "study", "--rounds", "1", "--seed", "3"]
    ran = subprocess.run([*command, "--harms", "term,disk"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("right ") == 2, ran.stdout
