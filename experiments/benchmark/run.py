"""Times every job side by side: ``python experiments/benchmark/run.py [--quick] [--device cuda] [--shape gemma-3-4b]``."""

import argparse
import json
import platform
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median

import torch
from counting import counts, counts_table
from growth import growth, growth_table
from halves import Make, agreement_table, agreements
from jobs import Bench, Job, Way
from measuring import matrix_rate, measured
from page import with_block
from profiled import profiled, sentence
from shapes import SHAPES, made

import steerlens as sl
from steerlens.models.devices import choose_device, choose_dtype
from steerlens.tables import markdown_table

DOCS = Path(__file__).parents[2] / "docs" / "benchmark.md"
OUT = Path("results/benchmark")
EMBEDDED = "gemma-3-270m"
HALF = "half precision"


def main() -> None:
    args = _arguments()
    device, wanted = choose_device(args.device), args.jobs.split(",") if args.jobs else None
    make = partial(_model, args, device)
    model, runs = make(), args.runs or (1 if args.quick else 5)
    bench = Bench(model, quick=args.quick, other=args.steering_vectors if _is_usual(args) else None)
    rate = matrix_rate(device, model.dtype)
    rows, counted = [], []
    for job in bench.jobs():
        if wanted is None or job.name in wanted:
            rows += timed(job, runs, rate, device)
            counted += counts(model, job)
    extra = _extra(args, bench, make, runs, wanted)
    if bench.package:
        bench.package.close()
    machine = _machine(model, rate)
    found = {"machine": machine, "runs": runs, "rows": rows, "counts": counted, **{name: data for name, data, _ in extra}}
    text = "\n".join(
        [table(rows), counts_table(counted), *(f"{part}\n" for _, _, part in extra), described(machine, runs) + "\n"]
    )
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "results.json").write_text(json.dumps(found, indent=2))
    (OUT / "table.md").write_text(text)
    if args.docs:
        gpu = f"{machine['processor']}, {model.name}" if device.type == "cuda" else None
        DOCS.write_text(with_block(DOCS.read_text(encoding="utf-8"), text, gpu), encoding="utf-8")
    print(f"\n{text}\n{OUT}/results.json")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer items and one run")
    parser.add_argument("--runs", type=int, help="alternating runs of each way (default: 5, quick: 1)")
    parser.add_argument("--jobs", help="only these, with commas; 'growth' and 'half precision' among them")
    parser.add_argument("--model", default=EMBEDDED)
    parser.add_argument("--device", default="cpu", help="cpu (the default), cuda, cuda:1 …")
    parser.add_argument("--shape", choices=SHAPES, help="in place of a model, random weights of this shape")
    parser.add_argument(
        "--steering-vectors", type=Path, metavar="PYTHON", help="Python of an environment that has steering-vectors"
    )
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/benchmark.md")
    args = parser.parse_args()
    if args.device.partition(":")[0] not in ("cpu", "cuda"):
        parser.error(f"--device {args.device}: expected cpu or cuda, whose clock and memory can be read.")
    if args.docs and args.device == "cpu" and not _is_usual(args):
        parser.error("--docs on the CPU is for the embedded model only: leave out --shape and --model, or give --device cuda.")
    return args


def _is_usual(args: argparse.Namespace) -> bool:
    """Whether it is the embedded model on the CPU that runs, which other packages are compared on."""
    return args.device == "cpu" and args.shape is None and args.model == EMBEDDED


def _model(args: argparse.Namespace, device: torch.device, dtype: torch.dtype | None = None) -> sl.LensModel:
    if args.shape is None:
        return sl.load(args.model, device, dtype)
    return made(args.shape, device, choose_dtype(dtype, device))


def _extra(
    args: argparse.Namespace, bench: Bench, make: Make, runs: int, wanted: list[str] | None
) -> list[tuple[str, object, str]]:
    """What is no job of several ways: its name, its numbers, and what is said of it."""
    found: list[tuple[str, object, str]] = []
    if _is_usual(args) and (wanted is None or "growth" in wanted):
        grown = growth(bench.model, bench.facts, bench.vector, max(1, runs // 2))
        found.append(("growth", grown, growth_table(grown)))
    if wanted is None or HALF in wanted:
        dtypes = (torch.bfloat16, torch.float16) if bench.model.device.type == "cuda" else (torch.bfloat16,)
        same = agreements(make, bench.scored_items, bench.vector, dtypes)
        found.append((HALF, [asdict(each) for each in same], agreement_table(same)))
    if bench.model.device.type == "cpu":
        shares = profiled(bench.swept().ways["steerlens"])
        found.append(("profile", shares, sentence(shares, bench.places_an_item()) + "\n"))
    return found


def described(machine: dict, runs: int) -> str:
    """What it ran on."""
    return (
        f"{machine['processor']}, {machine['threads']} threads, PyTorch {machine['torch']}; {machine['model']}; a large matrix "
        f"product runs at {machine['gflops']} GFLOPS. Medians of {runs} alternating runs, after one that does not count."
    )


def _machine(model: sl.LensModel, rate: float) -> dict[str, object]:
    """What describes the device, the model and the versions."""
    card = model.device.type == "cuda"
    return {
        "processor": torch.cuda.get_device_name(model.device) if card else _processor(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "model": f"{model.name} in {str(model.dtype).removeprefix('torch.')}",
        "gflops": round(rate / 1e9),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _repeated(way: Way, times: int) -> object:
    found: object = None
    for _ in range(times):
        found = way()
    return found


def timed(job: Job, runs: int, rate: float, device: torch.device) -> list[dict]:
    """Every way in turn, as often as asked for, after one run each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in job.ways}
    peaks: dict[str, list[float]] = {name: [] for name in job.ways}
    for run in range(runs + 1):
        for name, way in job.ways.items():
            spent, grown = measured(partial(_repeated, way, job.repeats), device)
            if run:
                seconds[name].append(spent / job.repeats * job.times.get(name, 1))
                peaks[name].append(grown)
    ours, rows = next(iter(job.ways)), []
    for name in job.ways:
        ratios = sorted(theirs / own for theirs, own in zip(seconds[name], seconds[ours], strict=True))
        row = {"job": job.name, "way": name, "ratio": median(ratios), "low": ratios[0], "high": ratios[-1]}
        rows.append({**row, "seconds": median(seconds[name]), "peak_mib": median(peaks[name])})
        if job.tokens:
            rows[-1]["tokens_a_second"] = job.tokens / median(seconds[name])
    if job.flops:
        floor = job.flops / rate / median(seconds[ours])
        rows.append({"job": job.name, "way": "floor", "ratio": floor, "low": floor, "high": floor, "seconds": job.flops / rate})
    for row in rows:
        print(row)
    return rows


def table(rows: list[dict]) -> str:
    """Markdown. A ratio says how many times as long as ours a way takes; the floor's, what share of ours it would."""
    cells = []
    for r in rows:
        spread = "" if r["way"] == "floor" else f"{r['low']:.2f} to {r['high']:.2f}"
        memory = f"{r['peak_mib']:.0f}" if "peak_mib" in r else ""
        speed = f"{r['tokens_a_second']:,.0f}" if "tokens_a_second" in r else ""
        cells.append([r["job"], r["way"], f"{r['ratio']:.2f}", spread, f"{r['seconds']:.3g}", memory, speed])
    header = ["job", "against", "time, ours = 1", "over the runs", "seconds", "peak, MiB", "tokens a second"]
    return markdown_table(header, cells) + "\n"


if __name__ == "__main__":
    main()
