"""Defines the target for the arguments of the command line."""

import contextlib
import io
import json
import os
import shlex
import shutil
from pathlib import Path
from random import Random
from typing import Any

from steerlens.errors import ModelError, SettingsError
from steerlens.testing.fuzz.artifacts import plan
from steerlens.testing.fuzz.items import corpus_write, items_write
from steerlens.testing.fuzz.mutations import Tree
from steerlens.testing.fuzz.target import Target, right

_COMMANDS = (
    "demo --quick --locales es-ES,ko-KR --layers 1,2 --strengths 1,2 --mode halving --budget 5m",
    "probe --items items.jsonl --positions mean --seed 3",
    "sweep --vector LOC --locale ko-KR --layers all --extend 2 --tokens all",
    "search --locales es-ES --objective transfer --dev-concepts 3 --test-concepts all",
    "align --method midalign --corpus texts.jsonl --steps 4 --learning-rate 1e-4",
    "plane --plan mine=plan.safetensors --adapter other=folder --locale es-ES --controls",
    "steer --plan plan.safetensors --prompt Hi --max-new-tokens 3 --temperature 0.5 -n 2",
    "serve --plan a=plan.safetensors --port 8000 --vllm-options '--max-model-len 4096'",
    "models",
    "data count",
    "data show --items items.jsonl --locale es-ES --kind cultural -n 2",
    "data check --items items.jsonl --wordings 2 --cloze --topic t --min-votes 1",
    "steer --plan plan.safetensors --prompt Hi --device cpu --dtype float32 --max-memory 0=1GiB,cpu=2",
    "steer --plan plan.safetensors --prompt Hi --device-map auto --max-memory cpu=2GiB",
)
_WORDS = (
    "- -- -1 0 1 nan inf -inf 1e999 1_0 ٣ 1,,2 , all None a=b = a= =b a=b=c é %s %(prog)s {} [ --help --version @items.jsonl "
    "items.jsonl plan.safetensors cuda:99999999999999999999 cuda:-1 meta float64 0=1,0=2 1e400h 0s --seed --quick --out --model "
    "--layers=0 --strengths=0 --budget=1h es-ES,es-ES en-US strided"
)
_ODD = (
    *_WORDS.split(),
    *("", " ", "'", '"', "x\x00y", "\udcff", "\u202e", "9" * 30, "9" * 5_000, "x" * 10_000),
)
"""Values that are inserted among arguments, or that replace an argument."""


def _write(folder: Path) -> None:
    items_write(folder)
    corpus_write(folder)
    plan().save(folder / "plan.safetensors")
    (folder / "arguments").write_text(json.dumps(shlex.split(_COMMANDS[10])))


def _damage(valid: Tree, random: Random) -> Tree:
    """Changes only the arguments of the command. All other inputs of the command have their own targets."""
    given = shlex.split(random.choice(_COMMANDS))
    for _ in range(random.choice((1, 1, 2, 3))):
        at, how = random.randrange(len(given) + 1), random.randrange(6)
        if how == 0:
            given.insert(at, random.choice(_ODD))
        elif how == 1 and given:
            del given[at % len(given)]
        elif how == 2:
            other = shlex.split(random.choice(_COMMANDS))
            given[at:at] = other[random.randrange(len(other)) :]
        elif given:
            given[at % len(given)] = random.choice(_ODD)
    return {**valid, "arguments": json.dumps(given).encode()}


def _load(folder: Path) -> None:
    """Runs a command up to the point at which a model would be read. A command with a path outside the folder is not run."""
    from steerlens import cli
    from steerlens.models import loading

    given = json.loads((folder / "arguments").read_text())
    if any(".." in text or text.startswith(("/", "~")) for text in given):
        return
    here, work = Path.cwd(), folder.parent / "work"
    shutil.copytree(folder, work)
    os.chdir(work)
    read = loading.source_of

    def refused(name: str) -> Any:
        raise ModelError(f"{name} is not read here.")

    said = io.StringIO()
    loading.source_of = refused
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = cli.main(given)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        loading.source_of = read
        os.chdir(here)
        shutil.rmtree(work, ignore_errors=True)
    if code == 2:
        raise SettingsError(said.getvalue()[:1000])
    right(code == 0, f"status {code!r}")
    right("Traceback" not in said.getvalue(), "a traceback")


COMMAND_LINE = (Target("command-line", _write, _load, 30, damage=_damage),)
"""The target for the arguments of the command line."""
