"""The command line: ``steerlens demo | probe | sweep | search | align | plane | steer | serve | models | data``."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from steerlens.data import KINDS
from steerlens.errors import SteerlensError
from steerlens.options import add_settings, given_as
from steerlens.settings import LESSER_GAIN, QUICK, ObjectiveName, SearchSettings, StudySettings
from steerlens.training import TrainingSettings

ALIGNMENTS = ("midalign", "clo", "tune", "continued")
DEFAULT_MODEL = "gemma-3-270m"
_FEW = "es-ES,ko-KR"
_GRID = ("layers", "strengths", "mode", "budget", "dev_concepts", "tokens", "positions", "seed")
"""The names of the settings of a sweep."""
_BESIDE = ("controls", "side_effects")
"""The names of the settings for additional measurements on test."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status. A user's mistake gives status 2 and one message without a traceback."""
    args = parsed(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "huggingface_hub", "filelock", "transformers", "choreographer", "kaleido"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        text = args.run(args)
    except SteerlensError as error:
        print(f"steerlens: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"steerlens: interrupted. {_kept(getattr(args, 'out', None))}", file=sys.stderr)
        return 130
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the program that reads the output, such as ``head``, has stopped reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise the interpreter prints an error at its end
    return 0


def _kept(out: str | None) -> str:
    """Returns a sentence that says what an interrupted command leaves in its folder of results."""
    tasks = len(list(Path(out, "tasks").glob("*.parquet"))) if out else 0
    if tasks:
        return (
            f"{tasks} finished task{'s are' if tasks > 1 else ' is'} kept in {out}. The same command continues with the others."
        )
    if out and Path(out).is_dir() and any(Path(out).iterdir()):
        return f"Everything that was finished is kept in {out}. The same command continues from there."
    return "No task was finished, so the same command starts from the beginning."


def parsed(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the parsed arguments. ``--quick`` sets its own values for options that were not given."""
    top = parser()
    args, unknown = top.parse_known_args(given)
    if unknown:
        args.command.error(f"unrecognized arguments: {' '.join(unknown)}; see steerlens {args.command.prog.split()[-1]} --help")
    if getattr(args, "quick", False):
        usual, own = asdict(StudySettings()), asdict(QUICK)
        differ = {name: value for name, value in own.items() if value != usual[name]}
        quick = {
            name: value if isinstance(value, bool) else given_as(value) for name, value in differ.items() if hasattr(args, name)
        }
        args.command.set_defaults(atlas_locales=quick.pop("locales"), **quick)
        args = top.parse_args(given)
    return args


def parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands. The function imports no large package."""
    top = argparse.ArgumentParser(
        prog="steerlens",
        description="See and steer factual transfer and cultural localization in multilingual language models.",
        epilog="Start with: steerlens demo",
    )
    top.add_argument("--version", action="version", version=f"steerlens {version('steerlens')}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_demo, _probe, _sweep, _search, _align, _plane, _steer, _serve, _models, _data):
        add(commands)
    return top


def _add(commands: Any, name: str, what: str, example: str) -> argparse.ArgumentParser:
    new: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=f"example: {example}"
    )
    new.set_defaults(run=_later(name), command=new)
    return new


def _later(name: str) -> Callable[[argparse.Namespace], str]:
    """Returns the function that runs a command. The command's module is imported when the function runs."""

    def run(args: argparse.Namespace) -> str:
        result: str = import_module("steerlens.commands").COMMANDS[name](args)
        return result

    return run


def _demo(commands: Any) -> None:
    what = "run the complete study, from probes to the test of steering plans, and write the results and an HTML report"
    demo = _add(commands, "demo", what, "steerlens demo --locales es-ES,ko-KR --layers all --out results/mine")
    _model(demo)
    _items(demo, locales=",".join(StudySettings().locales))
    demo.add_argument(
        "--quick", action="store_true", help="Run for 2 to 6 minutes on two cores, with one locale, six layers and few concepts."
    )
    add_settings(demo, StudySettings, (*_GRID, "train_concepts", "test_concepts", *_BESIDE))
    _out(demo, "results/demo")


def _probe(commands: Any) -> None:
    what = "measure at each layer how well probes separate factual from cultural prompts"
    probe = _add(commands, "probe", what, "steerlens probe --locales ko-KR,ar-EG --out results/probe")
    _model(probe)
    _items(probe, locales=_FEW)
    add_settings(probe, StudySettings, ("positions", "seed"))
    _out(probe, "results/probe", tasks=False)


def _sweep(commands: Any) -> None:
    what = "steer with one vector at many layers and strengths, and score the answers on the dev part of the items"
    sweep = _add(commands, "sweep", what, "steerlens sweep --vector LOC --locale ko-KR --layers 11,14 --strengths 0.5,1,2")
    _model(sweep)
    _items(sweep, locale="es-ES")
    sweep.add_argument("--vector", default="EN", help="The vector: EN or LOC. Default: %(default)s.")
    add_settings(sweep, StudySettings, (*_GRID, "train_concepts"))
    more = "With --mode exact: how many times the sweep may double the largest strength while the best score is at this strength."
    sweep.add_argument("--extend", type=int, default=0, metavar="N", help=f"{more} Default: %(default)s.")
    sweep.set_defaults(train_concepts="all")
    _out(sweep, "results/sweep")


def _search(commands: Any) -> None:
    what = "choose layers, strengths and tokens for each locale on train and dev, and test the choices"
    search = _add(commands, "search", what, "steerlens search --locales es-ES,ko-KR --dev-concepts 30 --test-concepts all")
    _model(search)
    _items(search, locales=_FEW)
    objectives = ", ".join(get_args(ObjectiveName))
    search.add_argument(
        "--objective", default=LESSER_GAIN, help=f"The objective that the choices maximize: {objectives}. Default: %(default)s."
    )
    number = ("vector_concepts", "dev_concepts", "test_concepts")
    add_settings(search, SearchSettings, ("layers", "strengths", "tokens", "positions", "seed", *number))
    _out(search, "results/search")


def _align(commands: Any) -> None:
    what = "align languages with English by training an adapter on parallel facts"
    align = _add(commands, "align", what, "steerlens align --method midalign --locales es-ES,ko-KR --out results/midalign")
    _model(align)
    _items(align, locales=_FEW)
    align.add_argument("--method", default="midalign", choices=ALIGNMENTS, help="The method. Default: %(default)s.")
    align.add_argument(
        "--corpus", metavar="FILE", help="A file of parallel texts (.jsonl). Default: the facts of the items' train part."
    )
    add_settings(align, TrainingSettings, ("steps", "batch_size", "accumulate", "learning_rate", "rank", "checkpoints", "seed"))
    _out(align, "results/aligned", tasks=False)


def _plane(commands: Any) -> None:
    what = "place saved plans and adapters on the transfer-localization plane, scored on test"
    example = "steerlens plane --locale es-ES --plan mine=results/demo/plans/surgical-es-ES.safetensors"
    plane = _add(commands, "plane", what, example)
    _model(plane)
    _items(plane, locale="es-ES")
    named = "A saved plan and its name on the plane. The option may be given several times."
    plane.add_argument("--plan", action="append", default=[], metavar="NAME=FILE", help=named)
    adapted = "The folder of an adapter, and the name of the adapter on the plane. The option may be given several times."
    plane.add_argument("--adapter", action="append", default=[], metavar="NAME=FOLDER", help=adapted)
    add_settings(plane, StudySettings, ("test_concepts", "seed", *_BESIDE))
    plane.set_defaults(test_concepts="all")
    _out(plane, "results/plane")


def _steer(commands: Any) -> None:
    what = "print what a model writes before and after steering, side by side"
    example = (
        'steerlens steer --plan results/demo/plans/LOC-es-ES.safetensors --prompt "Pregunta: ¿Qué moneda se usa para pagar?"'
    )
    steer = _add(commands, "steer", what, example)
    _model(steer)
    steer.add_argument("--plan", required=True, metavar="FILE", help="A saved plan.")
    steer.add_argument("--prompt", required=True, help="The prompt that the model continues.")
    steer.add_argument(
        "--max-new-tokens", type=int, default=40, help="The largest number of tokens of each text. Default: %(default)s."
    )
    steer.add_argument("--sample", action="store_true", help="Draw each token from the model's probabilities.")
    steer.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="With --sample: the temperature. A lower temperature gives less varied texts. Default: %(default)s.",
    )
    steer.add_argument(
        "-n", type=int, default=1, help="With --sample: the number of unsteered texts and of steered texts. Default: %(default)s."
    )
    steer.add_argument("--seed", type=int, help="With --sample: the seed. The same seed gives the same texts again.")
    stops = "A text that ends the continuations. The option can be repeated. Default: the word for 'Question' in the prompt."
    steer.add_argument("--stop", action="append", default=[], metavar="TEXT", help=stops)
    steer.add_argument("--show", action="store_true", help="Also show each token's role and the layers at which it is steered.")


def _serve(commands: Any) -> None:
    what = "start an OpenAI-compatible server whose requests choose a plan by name (needs the extra vllm)"
    serve = _add(commands, "serve", what, "steerlens serve --plan LOC-es-ES=results/demo/plans/LOC-es-ES.safetensors")
    _model(serve, device=False)
    named = "A saved plan and its name in requests. The option may be given several times."
    serve.add_argument("--plan", action="append", default=[], metavar="NAME=FILE", help=named)
    serve.add_argument("--name", help="The model's name in requests. Default: the last part of --model.")
    serve.add_argument("--host", default="127.0.0.1", help="The address that the server listens on. Default: %(default)s.")
    serve.add_argument("--port", type=int, default=8000, help="The port. Default: %(default)s.")
    more = "Other options of vllm serve, such as '--max-model-len 4096 --tensor-parallel-size 2'."
    serve.add_argument("--vllm-options", default="", metavar="TEXT", help=more)


def _models(commands: Any) -> None:
    _add(
        commands,
        "models",
        "list the models that pip can install, with their licences, and whether they are in the cache",
        "steerlens models",
    )


def _data(commands: Any) -> None:
    what = "count, show or check the items of the atlas or of your own file"
    data = _add(commands, "data", what, "steerlens data show --locale ko-KR --kind cultural -n 5")
    actions = ("count", "show", "check")
    data.add_argument("action", nargs="?", default="count", choices=actions, help="The action. Default: %(default)s.")
    _items(data)
    data.add_argument("--locale", help="Only this locale.")
    data.add_argument("--kind", choices=KINDS, help="Only this kind.")
    data.add_argument("--topic", help="Only this topic.")
    data.add_argument(
        "--wordings", type=int, default=1, metavar="N", help="The number of wordings of each question. Default: %(default)s."
    )
    data.add_argument("--cloze", action="store_true", help="Also include statements that end before their answer.")
    data.add_argument(
        "--min-votes",
        type=int,
        default=0,
        metavar="N",
        help="The smallest number of survey votes that the answer of a cultural item must have. Default: no limit.",
    )
    data.add_argument("-n", type=int, default=5, help="The number of items that are shown. Default: %(default)s.")


def _model(command: argparse.ArgumentParser, *, device: bool = True) -> None:
    kinds = "A name from 'steerlens models', a Hugging Face id, a folder or a .gguf file"
    command.add_argument("--model", default=DEFAULT_MODEL, help=f"{kinds}. Default: %(default)s.")
    if device:
        command.add_argument(
            "--device", help="The device: cpu, cuda or another device of PyTorch. Default: a GPU if there is one."
        )
        spread = "How to distribute a model that does not fit on one device: auto, balanced, balanced_low_0 or sequential."
        command.add_argument("--device-map", metavar="VALUE", help=spread)
        most = "With --device-map: the memory limits of the GPUs, by number, and of the CPU. Example: 0=20GiB,1=20GiB,cpu=60GiB."
        command.add_argument("--max-memory", metavar="SIZES", help=most)
    command.add_argument("--dtype", help="float32, bfloat16 or float16. Default: chosen for the device.")


def _items(command: argparse.ArgumentParser, *, locales: str = "", locale: str = "") -> None:
    """Adds the arguments for items and for one locale or several locales. The default locales ``locales`` and ``locale`` apply to
    the items of the atlas."""
    command.add_argument("--items", metavar="FILE", help="Your own items (.jsonl or .csv), instead of the atlas.")
    if locales:
        command.set_defaults(atlas_locales=locales)
        other = f"Default: {locales} of the atlas, or all locales of a file."
        command.add_argument("--locales", help=f"Locale codes separated by commas, or all. {other}")
    if locale:
        command.set_defaults(atlas_locale=locale)
        other = f"Default: {locale} of the atlas, or the only locale of a file other than English."
        command.add_argument("--locale", help=f"The locale that is steered and scored. {other}")


def _out(command: argparse.ArgumentParser, folder: str, *, tasks: bool = True) -> None:
    """Adds the argument for the folder of results, and the argument that continues from the finished tasks in this folder."""
    command.add_argument("--out", default=folder, help="The folder for results and figures. Default: %(default)s.")
    if tasks:
        kept = "Continue from the finished tasks in the folder, or run all tasks again. Default: continue."
        command.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True, help=kept)


if __name__ == "__main__":
    sys.exit(main())
