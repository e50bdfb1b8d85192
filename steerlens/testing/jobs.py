"""Makes the jobs that are interrupted: commands on tiny random models. Each job takes a few seconds on one core."""

import json
import os
import runpy
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import steerlens as sl
from steerlens.models.quiet import quiet_transformers
from steerlens.testing.families import FAMILIES
from steerlens.testing.folders import tiny_bpe, write_model

_LOCALE = "es-ES"
_CONCEPTS = 10
"""The number of concepts of each kind. With fewer concepts, train, dev or test would be too small for some jobs."""
_WIDTH, _INNER, _BLOCKS = 32, 64, 2
"""The width, the inner width and the number of blocks of the model in the GGUF file."""
_CONTROL = 3
"""GGUF's number for the type of a special token."""
CACHE = "STEERLENS_CACHE"
IMPORTED = (
    *(
        "steerlens.cli",
        "steerlens.commands.work",
        "steerlens.commands.look",
        "steerlens.report.html",
        "steerlens.alignment.calls",
    ),
    *("steerlens.alignment.training", "steerlens.plotting.page", "sklearn.linear_model", "pyarrow.parquet", "plotly.io", "gguf"),
    *("peft", "transformers.models.llama.modeling_llama", "transformer_lens.model_bridge"),
)
"""The modules that jobs import while they run. A process that runs many jobs imports these modules once."""


@dataclass(frozen=True)
class Job:
    """A job that writes into one folder, and continues from the content of this folder."""

    name: str
    run: Callable[[], None]
    """The function that runs the job in the same way as a command. The function ends by ``SystemExit`` with a status. If
    something is wrong, the function first prints a message."""
    exclusive: bool = False
    """Whether a second process with the same job at the same time is refused."""
    pooled: bool = False
    """Whether a pool of processes runs the job's tasks."""


def jobs(root: Path, place: Path) -> dict[str, Job]:
    """Writes the files that the jobs read, and returns the jobs by name.

    ``study`` runs all steps of a study, as in ``steerlens demo``. ``conversion`` is a sweep with a GGUF file, which is first
    converted into the cache. ``pool`` is a sweep by two processes. Each other job is the command with the same name.

    Args:
        root: a folder for models and items. The interruptions do not affect this folder.
        place: the folder into which the jobs write. The folder does not need to exist.
    """
    (llama,) = (family for family in FAMILIES if family.name == "Llama")
    model, items = root / "model", root / "items.jsonl"
    with quiet_transformers():
        write_model(llama, model)
    write_gguf(root / "tiny.gguf")
    items.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in _rows()), encoding="utf-8")
    os.environ[CACHE] = str(place / "cache")
    given = ("--device", "cpu", "--items", str(items), "--out", str(place / "out"))
    of = ("--model", str(model), *given)
    few, cells = "--train-concepts 4 --dev-concepts 2", "--layers 1,2 --strengths 1"
    made = (
        Job("study", _command(f"demo --locales {_LOCALE} {cells} {few} --test-concepts 3", *of)),
        Job("sweep", _command(f"sweep --locale {_LOCALE} {few}", *of)),
        Job("search", _command(f"search --locales {_LOCALE} {cells} --tokens all --vector-concepts 4 --dev-concepts 3", *of)),
        Job(
            "alignment",
            _command(f"align --locales {_LOCALE} --method tune --batch-size 2 --rank 2 --steps 4 --checkpoints 2", *of),
            exclusive=True,
        ),
        Job(
            "conversion",
            _command(
                f"sweep --locale {_LOCALE} {few} --layers 1 --strengths 1 --mode exact",
                "--model",
                str(root / "tiny.gguf"),
                *given,
            ),
        ),
        Job("pool", partial(_pooled, model, items, place / "out"), pooled=True),
    )
    return {job.name: job for job in made}


def write_gguf(path: Path) -> None:
    """Writes a tiny Llama with random weights and the tokenizer of all tiny models as a GGUF file.

    Args:
        path: the file.
    """
    import numpy as np
    from gguf import GGUFWriter

    writer, parts = GGUFWriter(path, "llama"), json.loads(tiny_bpe().to_str())
    vocabulary, special = parts["model"]["vocab"], {token["content"]: token["id"] for token in parts["added_tokens"]}
    tokens = sorted({**vocabulary, **special}, key={**vocabulary, **special}.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([_CONTROL if token in special else 1 for token in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in parts["model"]["merges"]])
    writer.add_bos_token_id(special["<bos>"])
    writer.add_eos_token_id(special["<eos>"])
    writer.add_block_count(_BLOCKS)
    writer.add_context_length(1024)
    writer.add_embedding_length(_WIDTH)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(_WIDTH // 2)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(tokens))
    drawn = np.random.default_rng(0)
    for name, shape in _shapes(len(tokens)).items():
        writer.add_tensor(f"{name}.weight", drawn.normal(0, 0.2, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (vocabulary, _WIDTH), "output": (vocabulary, _WIDTH)}
    shapes["output_norm"] = (_WIDTH,)
    for block in range(_BLOCKS):
        own: dict[str, tuple[int, ...]] = {"attn_norm": (_WIDTH,), "ffn_norm": (_WIDTH,)}
        own |= {f"attn_{part}": (_WIDTH, _WIDTH) for part in ("q", "k", "v", "output")}
        own |= {"ffn_gate": (_INNER, _WIDTH), "ffn_up": (_INNER, _WIDTH), "ffn_down": (_WIDTH, _INNER)}
        shapes |= {f"blk.{block}.{name}": shape for name, shape in own.items()}
    return shapes


def _rows() -> list[dict[str, Any]]:
    """Returns a few concepts of the atlas as rows of a file."""
    rows = []
    for item in sl.data.atlas([_LOCALE]).parallel().sample(_CONCEPTS):
        own = {name: getattr(item, name) for name in ("concept", "kind", "locale", "topic", "question")}
        if item.kind == "factual":
            rows.append({**own, "choices": list(item.choices), "answer": item.choices[item.answer]})
        else:
            rows.append({**own, "explicit": item.explicit, "answers": item.answers})
    return rows


def _command(words: str, *more: str) -> Callable[[], None]:
    """Returns a function that runs the command line in the same way as ``python -m steerlens.cli``."""
    return partial(_run_command, (*words.split(), *more))


def _run_command(given: tuple[str, ...]) -> None:
    sys.argv = ["steerlens", *given]
    runpy.run_module("steerlens.cli", run_name="__main__")


def _pooled(folder: Path, file: Path, out: Path) -> None:
    """Runs a sweep with a pool of processes, and reports errors in the same way as the command line."""
    try:
        model, items = sl.load(folder, "cpu"), sl.data.load_items(file)
        split = items.split(seed=0)
        vectors = sl.steering.take(model, split.train, locales=[_LOCALE])
        with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
            dev = split.dev.sample(2)
            swept = sl.evaluation.sweep(model, dev, vectors, [1, 2], [1.0, 2.0], executor=pool, resume=out / "tasks")
        swept.save(out / "sweep.parquet")
    except sl.errors.SteerlensError as error:
        sys.stderr.write(f"steerlens: {error}\n")
        raise SystemExit(2) from error
