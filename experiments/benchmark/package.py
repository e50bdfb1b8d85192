"""The steering-vectors package, in a process of its own, since it needs other versions of what both are built on."""

import json
import subprocess
from pathlib import Path
from typing import Any

BATCH_SIZES = (8, 16, 32)


class SteeringVectors:
    """A worker that does the package's jobs when asked."""

    def __init__(self, python: Path, folder: Path, settings: dict[str, Any]) -> None:
        command = [str(python), str(Path(__file__).with_name("worker.py")), str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._ask(settings)
        self.best = min(BATCH_SIZES, key=lambda size: min(self.run("means", size)[0] for _ in range(2)))

    def run(self, job: str, batch_size: int = 1) -> tuple[float, float]:
        """Seconds and peak memory in MiB of one run, as the worker measured them."""
        answer = json.loads(self._ask({"job": job, "batch_size": batch_size}))
        return answer["seconds"], answer["peak_mib"]

    def close(self) -> None:
        """Ends the worker."""
        self.process.terminate()

    def _ask(self, request: dict[str, Any]) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the steering-vectors worker ended; what it said stands above")
        return answer
