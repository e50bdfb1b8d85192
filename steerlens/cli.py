"""The command line: ``steerlens demo | probe | sweep | search | plane | steer | models | data``."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from steerlens.errors import SteerlensError

DEFAULT_MODEL = "gemma-3-270m"
_MODEL_HELP = "embedded model's name, Hugging Face id, folder or .gguf file (default: %(default)s)"

_POSITIONS_HELP = "where residuals are read: last, mean or a token's index (default: %(default)s)"

_QUICK = {
    "locales": "es-ES,ko-KR",
    "layers": "strided",
    "strengths": "1,2",
    "train_concepts": "48",
    "dev_concepts": "8",
    "test_concepts": "24",
}
"""What ``demo --quick`` stands for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; 2 for a mistake of the user's, with one message and no traceback."""
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
        print("steerlens: interrupted; what was finished has been kept", file=sys.stderr)
        return 130
    print(text)
    return 0


def parsed(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments; ``--quick`` stands for values of its own wherever nothing else was given."""
    args, unknown = parser().parse_known_args(given)
    if unknown:
        args.command.error(f"unrecognized arguments: {' '.join(unknown)}; see steerlens {args.command.prog.split()[-1]} --help")
    if getattr(args, "quick", False):
        defaults = parser().parse_args(["demo"])
        for name, value in _QUICK.items():
            if getattr(args, name) == getattr(defaults, name) and not (name == "locales" and args.items):
                setattr(args, name, value)
    return args


def parser() -> argparse.ArgumentParser:
    """The parser of every command; nothing heavy is imported for it."""
    top = argparse.ArgumentParser(
        prog="steerlens",
        description="See and steer factual transfer and cultural localization in multilingual language models.",
        epilog="Start with: steerlens demo",
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _demo(commands)
    _probe(commands)
    _sweep(commands)
    _search(commands)
    _plane(commands)
    _steer(commands)
    _add(commands, "models", "list the embedded models, their licences and whether they are in the cache", "steerlens models")
    _data(commands)
    return top


def _add(commands: Any, name: str, what: str, example: str) -> argparse.ArgumentParser:
    new: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=f"example: {example}"
    )
    new.set_defaults(run=_later(name), command=new)
    return new


def _later(name: str) -> Callable[[argparse.Namespace], str]:
    """The command's function, whose module is imported when it runs."""

    def run(args: argparse.Namespace) -> str:
        result: str = import_module("steerlens.commands").COMMANDS[name](args)
        return result

    return run


def _demo(commands: Any) -> None:
    demo = _add(
        commands,
        "demo",
        "run the whole chain and write the results and an HTML report",
        "steerlens demo --locales es-ES,ko-KR --layers all --out results/mine",
    )
    _model(demo)
    demo.add_argument("--items", metavar="FILE", help="your own items (.jsonl or .csv) instead of the atlas")
    demo.add_argument(
        "--quick", action="store_true", help="a first look, about 3 minutes on two cores: two locales, six layers, few concepts"
    )
    demo.add_argument("--locales", default="all", help="codes with commas, or all (default: %(default)s)")
    _grid(demo)
    for part, count, use in (("train", "96", "take vectors from"), ("test", "32", "score plans on")):
        demo.add_argument(
            f"--{part}-concepts",
            default=count,
            metavar="N",
            help=f"concepts of each kind to {use}, or all (default: %(default)s)",
        )
    demo.add_argument("--positions", default="last", help=_POSITIONS_HELP)
    _beside(demo)
    demo.add_argument("--seed", type=int, default=0, help="of the split, the folds and the bootstrap (default: %(default)s)")
    demo.add_argument("--out", default="results/demo", help="folder for the results (default: %(default)s)")


def _probe(commands: Any) -> None:
    probe = _add(
        commands,
        "probe",
        "score by layer how separable factual and cultural prompts are",
        "steerlens probe --locales ko-KR,ar-EG --out results/probe",
    )
    _model(probe)
    probe.add_argument("--locales", default="es-ES,ko-KR", help="codes with commas, or all (default: %(default)s)")
    probe.add_argument("--positions", default="last", help=_POSITIONS_HELP)
    probe.add_argument("--out", default="results/probe", help="folder for the table and figure (default: %(default)s)")


def _sweep(commands: Any) -> None:
    sweep = _add(
        commands,
        "sweep",
        "score one vector at many layers and strengths on dev",
        "steerlens sweep --vector LOC --locale ko-KR --layers 11,14 --strengths 1,2,4",
    )
    _model(sweep)
    sweep.add_argument("--vector", default="EN", help="EN or LOC (default: %(default)s)")
    sweep.add_argument("--locale", default="es-ES", help="locale (default: %(default)s)")
    _grid(sweep)
    sweep.add_argument("--seed", type=int, default=0, help="of the split (default: %(default)s)")
    sweep.add_argument("--out", default="results/sweep", help="folder for the table and figures (default: %(default)s)")


def _search(commands: Any) -> None:
    search = _add(
        commands,
        "search",
        "choose layers, strengths and tokens for each locale on train and dev, and test the choices",
        "steerlens search --locales es-ES,ko-KR --dev-concepts 30 --test-concepts all",
    )
    _model(search)
    search.add_argument("--items", metavar="FILE", help="your own items (.jsonl or .csv) instead of the atlas")
    search.add_argument("--locales", default="es-ES,ko-KR", help="codes with commas, or all (default: %(default)s)")
    search.add_argument(
        "--objective", default="lesser gain", help="lesser gain, sum of gains, transfer or localization (default: %(default)s)"
    )
    for part, count, use in (("dev", "15", "choose by in every locale"), ("test", "50", "test the choices on")):
        search.add_argument(
            f"--{part}-concepts",
            default=count,
            metavar="N",
            help=f"concepts of each kind to {use}, or all (default: %(default)s)",
        )
    search.add_argument("--seed", type=int, default=0, help="of the split, the folds and the bootstrap (default: %(default)s)")
    search.add_argument("--out", default="results/search", help="folder for the results and figures (default: %(default)s)")


def _plane(commands: Any) -> None:
    plane = _add(
        commands,
        "plane",
        "place saved plans on the transfer-localization plane, scored on test",
        "steerlens plane --locale es-ES --plan mine=results/demo/plans/surgical-es-ES.safetensors",
    )
    _model(plane)
    plane.add_argument("--locale", default="es-ES", help="locale that is scored (default: %(default)s)")
    plane.add_argument(
        "--plan", action="append", required=True, metavar="NAME=FILE", help="a saved plan; may be given several times"
    )
    plane.add_argument(
        "--seed", type=int, default=0, help="of the split: the one the plans were chosen with (default: %(default)s)"
    )
    _beside(plane)
    plane.add_argument("--out", default="results/plane", help="folder for the table and figure (default: %(default)s)")


def _beside(command: argparse.ArgumentParser) -> None:
    """What is put beside the plans' results on test."""
    command.add_argument(
        "--controls",
        action="store_true",
        help="score 20 random directions of each plan's norm and another locale's plan too (slow)",
    )
    command.add_argument(
        "--side-effects", action="store_true", help="perplexity, language and repetition of what is written, under every plan too"
    )


def _steer(commands: Any) -> None:
    steer = _add(
        commands,
        "steer",
        "print what a model writes before and after steering, side by side",
        'steerlens steer --plan results/demo/plans/surgical-es-ES.safetensors --prompt "Pregunta: ¿Qué se desayuna?"',
    )
    _model(steer)
    steer.add_argument("--plan", required=True, metavar="FILE", help="a saved plan")
    steer.add_argument("--prompt", required=True, help="the text to continue")
    steer.add_argument("--max-new-tokens", type=int, default=40, help="where both texts stop (default: %(default)s)")
    steer.add_argument("--show", action="store_true", help="also show which tokens are read and steered")


def _data(commands: Any) -> None:
    data = _add(
        commands,
        "data",
        "count, show or check the items of the atlas or of your own file",
        "steerlens data show --locale ko-KR --kind cultural -n 5",
    )
    data.add_argument(
        "action", nargs="?", default="count", choices=("count", "show", "check"), help="what to do (default: %(default)s)"
    )
    data.add_argument("--items", metavar="FILE", help="your own items (.jsonl or .csv) instead of the atlas")
    data.add_argument("--locale", help="only this locale")
    data.add_argument("--kind", choices=("factual", "cultural"), help="only this kind")
    data.add_argument("--topic", help="only this topic")
    data.add_argument("-n", type=int, default=5, help="how many items to show (default: %(default)s)")


def _grid(command: argparse.ArgumentParser) -> None:
    """What a sweep runs over. The defaults are those of ``StudySettings``, which is not imported: it would bring PyTorch."""
    command.add_argument(
        "--layers", default="all", help="layers to sweep: all, strided, or indices with commas (default: %(default)s)"
    )
    command.add_argument(
        "--mode", default="screened", help="exact: run every cell; screened: predict and run the promising (default: %(default)s)"
    )
    command.add_argument(
        "--dev-concepts", default="5", metavar="N", help="concepts of each kind to sweep on, or all (default: %(default)s)"
    )
    command.add_argument("--strengths", default="0.5,1,2", help="factors on the difference of means (default: %(default)s)")
    command.add_argument(
        "--tokens", default="last_onward", help="tokens steered: all, prompt, last_onward or generated (default: %(default)s)"
    )


def _model(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", default=DEFAULT_MODEL, help=_MODEL_HELP)
    command.add_argument("--device", help="cpu, cuda, … (default: a GPU if there is one)")
    command.add_argument("--dtype", help="float32, bfloat16 or float16 (default: what the device is good at)")


if __name__ == "__main__":
    sys.exit(main())
