"""The benchmark on a tiny model of a shape, as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_tiny_shape_gives_every_table(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "experiments" / "benchmark" / "run.py"), "--quick", "--shape", "tiny"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    jobs = "extraction,exact sweep,probing,half precision"
    done = subprocess.run(
        [*command, "--jobs", jobs], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results" / "benchmark" / "results.json").read_text())
    ways = {(row["job"], row["way"]) for row in found["rows"]}
    assert {
        ("extraction", "Hugging Face, output_hidden_states"),
        ("extraction", "floor"),
        ("exact sweep", "run_with_hooks"),
    } <= ways
    counts = {(row["job"], row["way"]): row for row in found["counts"]}
    assert counts["extraction", "steerlens"]["blocks"] % 4 == 0
    assert counts["probing", "steerlens, folds assigned anew"]["blocks"] == 0
    assert found["half precision"][0]["answers"] > 0
    table = (tmp_path / "results" / "benchmark" / "table.md").read_text()
    assert sum(line.startswith("| --- |") for line in table.splitlines()) == 3
    assert "tiny, random weights in float32" in table


def test_a_shape_on_the_cpu_never_goes_into_the_docs() -> None:
    command = [sys.executable, str(ROOT / "experiments" / "benchmark" / "run.py"), "--shape", "tiny", "--docs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert "embedded model only" in done.stderr
