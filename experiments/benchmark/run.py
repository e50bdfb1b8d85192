"""Times every job side by side: ``python experiments/benchmark/run.py [--quick] [--runs 5] [--jobs extraction,probing]``."""

import argparse
import json
import platform
import re
import time
from pathlib import Path
from statistics import median

import torch
from growth import growth, growth_table
from jobs import Bench, Job, Way
from profiled import profiled, sentence
from timing import peak

import steerlens as sl
from steerlens.tables import markdown_table

DOCS = Path(__file__).parents[2] / "docs" / "benchmark.md"
BLOCK = re.compile(r"(<!-- bench: .*? -->\n).*?(<!-- /bench -->)", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer items and one run")
    parser.add_argument("--runs", type=int, help="alternating runs of each way (default: 5, quick: 1)")
    parser.add_argument("--jobs", help="only these, with commas")
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument(
        "--steering-vectors", type=Path, metavar="PYTHON", help="Python of an environment that has steering-vectors"
    )
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/benchmark.md")
    args = parser.parse_args()
    bench, rate = Bench(sl.load(args.model), quick=args.quick, other=args.steering_vectors), matrix_rate()
    wanted, runs = args.jobs.split(",") if args.jobs else None, args.runs or (1 if args.quick else 5)
    rows = [row for job in bench.jobs() if wanted is None or job.name in wanted for row in timed(job, runs, rate)]
    grown = growth(bench.model, bench.facts, bench.vector, max(1, runs // 2)) if "growth" in (wanted or ("growth",)) else []
    shares = profiled(bench.swept().ways["steerlens"])
    places = bench.places_an_item()
    if bench.package:
        bench.package.close()
    out = Path("results/benchmark")
    out.mkdir(parents=True, exist_ok=True)
    machine = {
        "processor": _processor(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "gflops": round(rate / 1e9),
    }
    (out / "results.json").write_text(
        json.dumps({"machine": machine, "runs": runs, "rows": rows, "growth": grown, "profile": shares}, indent=2)
    )
    text = f"{table(rows)}\n{growth_table(grown) if grown else ''}\n{sentence(shares, places)}\n\n{described(machine, runs)}\n"
    (out / "table.md").write_text(text)
    if args.docs:
        page = DOCS.read_text(encoding="utf-8")
        DOCS.write_text(BLOCK.sub(lambda found: found[1] + text + found[2], page), encoding="utf-8")
    print(f"\n{text}\n{out}/results.json")


def described(machine: dict, runs: int) -> str:
    """What it ran on."""
    return (
        f"{machine['processor']}, {machine['threads']} threads, PyTorch {machine['torch']}; a large matrix product runs at "
        f"{machine['gflops']} GFLOPS. Medians of {runs} alternating runs, after one that does not count."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def timed(job: Job, runs: int, rate: float) -> list[dict]:
    """Every way in turn, as often as asked for, after one run each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in job.ways}
    peaks: dict[str, list[float]] = {name: [] for name in job.ways}
    for run in range(runs + 1):
        for name, way in job.ways.items():
            spent, grown = measured(way)
            if run:
                seconds[name].append(spent * job.times.get(name, 1))
                peaks[name].append(grown)
    ours, rows = next(iter(job.ways)), []
    for name in job.ways:
        ratios = sorted(theirs / own for theirs, own in zip(seconds[name], seconds[ours], strict=True))
        row = {"job": job.name, "way": name, "ratio": median(ratios), "low": ratios[0], "high": ratios[-1]}
        rows.append({**row, "seconds": median(seconds[name]), "peak_mib": median(peaks[name])})
    if job.flops:
        floor = job.flops / rate / median(seconds[ours])
        rows.append({"job": job.name, "way": "floor", "ratio": floor, "low": floor, "high": floor, "seconds": job.flops / rate})
    for row in rows:
        print(row)
    return rows


def measured(way: Way) -> tuple[float, float]:
    """Seconds and peak memory in MiB, those that the way itself tells if it does."""
    told: list[object] = []
    here = peak(lambda: told.append(way()))
    there = told[0]
    return there if isinstance(there, tuple) else here


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
    cells = []
    for r in rows:
        spread = "" if r["way"] == "floor" else f"{r['low']:.2f} to {r['high']:.2f}"
        memory = f"{r['peak_mib']:.0f}" if "peak_mib" in r else ""
        cells.append([r["job"], r["way"], f"{r['ratio']:.2f}", spread, f"{r['seconds']:.2f}", memory])
    return markdown_table(["job", "against", "time, ours = 1", "over the runs", "seconds", "peak, MiB"], cells) + "\n"


if __name__ == "__main__":
    main()
