"""Other tools in an environment of their own, which ``make test-exchange`` makes: they need other versions than steerlens."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import Foreign

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("STEERLENS_EXCHANGE_PYTHON", ROOT / ".venv" / "exchange" / "bin" / "python"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips these tests where the environment was not made."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not PYTHON.is_file():
            item.add_marker(pytest.mark.skip(f"no {PYTHON}: run make test-exchange"))


@pytest.fixture
def foreign(tmp_path: Path) -> Foreign:
    """Runs a task of ``foreign.py`` in the other environment and returns the arrays that it made."""

    def run(task: str, **given: Any) -> dict[str, np.ndarray]:
        made = tmp_path / f"{task}.npz"
        (tmp_path / "task.json").write_text(json.dumps(given | {"made": str(made)}), encoding="utf-8")
        command = [str(PYTHON), str(Path(__file__).parent / "foreign.py"), task, str(tmp_path / "task.json")]
        alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(command, capture_output=True, text=True, env=alone, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        with np.load(made) as arrays:
            return dict(arrays)

    return run
