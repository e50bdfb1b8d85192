"""Times every job side by side: ``python experiments/benchmark/run.py [--quick] [--runs 5] [--jobs extraction,probing]``."""

import argparse
import json
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from jobs import Bench, Job

import steerlens as sl


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer items and three runs")
    parser.add_argument("--runs", type=int, help="alternating runs of each way (default: 5, quick: 3)")
    parser.add_argument("--jobs", help="only these, with commas")
    parser.add_argument("--model", default="gemma-3-270m")
    args = parser.parse_args()
    bench, rate = Bench(sl.load(args.model), quick=args.quick), matrix_rate()
    wanted = args.jobs.split(",") if args.jobs else None
    rows = [
        row
        for job in bench.jobs()
        if wanted is None or job.name in wanted
        for row in timed(job, args.runs or (3 if args.quick else 5), rate)
    ]
    out = Path("results/benchmark")
    out.mkdir(parents=True, exist_ok=True)
    machine = {
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "gflops": rate / 1e9,
    }
    (out / "results.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=2))
    (out / "table.md").write_text(table(rows))
    print(f"\n{table(rows)}\n{machine}\n{out}/results.json")


def timed(job: Job, runs: int, rate: float) -> list[dict]:
    """Every way in turn, as often as asked for, after one run each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in job.ways}
    peaks = {name: peak(way)[1] for name, way in job.ways.items()}
    for _ in range(runs):
        for name, way in job.ways.items():
            seconds[name].append(peak(way)[0] * job.times.get(name, 1))
    ours, rows = next(iter(job.ways)), []
    for name in job.ways:
        ratios = sorted(theirs / own for theirs, own in zip(seconds[name], seconds[ours], strict=True))
        row = {"job": job.name, "way": name, "ratio": median(ratios), "low": ratios[0], "high": ratios[-1]}
        rows.append({**row, "seconds": median(seconds[name]), "peak_mib": peaks[name]})
    if job.flops:
        floor = job.flops / rate / median(seconds[ours])
        rows.append({"job": job.name, "way": "floor", "ratio": floor, "low": floor, "high": floor, "seconds": job.flops / rate})
    for row in rows:
        print(row)
    return rows


def peak(way: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call, and by how many MiB the process grew at most meanwhile, looked at every 5 ms."""
    grown, done, start = [0.0], threading.Event(), _resident()

    def watch() -> None:
        while not done.wait(0.005):
            grown[0] = max(grown[0], _resident() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    way()
    seconds = time.perf_counter() - begun
    done.set()
    watcher.join()
    return seconds, grown[0]


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def matrix_rate() -> float:
    """Operations a second of a large matrix product, the best of several."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = 0.0
    for _ in range(8):
        begun = time.perf_counter()
        a @ b
        best = max(best, 2 * 2048**3 / (time.perf_counter() - begun))
    return best


def table(rows: list[dict]) -> str:
    """Markdown. A ratio says how many times as long as ours a way takes; the floor's, what share of ours it would."""
    lines = ["| job | against | time, ours = 1 | over the runs | seconds | peak, MiB |", "| --- | --- | --- | --- | --- | --- |"]
    for r in rows:
        spread = "" if r["way"] == "floor" else f"{r['low']:.2f} to {r['high']:.2f}"
        memory = f"{r['peak_mib']:.0f}" if "peak_mib" in r else ""
        lines.append(f"| {r['job']} | {r['way']} | {r['ratio']:.2f} | {spread} | {r['seconds']:.2f} | {memory} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
