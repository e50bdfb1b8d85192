"""Makes sure that loading a model changes nothing on the machine: no package is installed, and no file that can run code is
read."""

import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

import torch

from steerlens.errors import ModelError

_INSTALLERS = {"pip", "pip3", "uv", "conda", "mamba"}
_READER = "load"
"""The name of the function in PyTorch that reads files which can run code."""
_lock, _inside = threading.Lock(), 0
_originals: tuple[Callable[..., Any], Callable[..., Any]] = (subprocess.Popen.__init__, getattr(torch, _READER))


@contextmanager
def untouched() -> Iterator[None]:
    """Prevents two actions inside the ``with`` block: starting an installer of packages, and reading weights that are not
    safetensors.

    For a checkpoint of a model that also reads images, TransformerLens would install ``torchvision``, and with it another
    PyTorch.

    Raises:
        ModelError: code inside the ``with`` block tries one of these two actions. This code may handle the error.
    """
    global _inside, _originals
    with _lock:
        _inside += 1
        if _inside == 1:
            _originals = (subprocess.Popen.__init__, getattr(torch, _READER))
            _set(_starting(_originals[0]), _no_load)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _set(*_originals)


def _set(start: Callable[..., Any], load: Callable[..., Any]) -> None:
    setattr(subprocess.Popen, "__init__", start)  # noqa: B010 (mypy knows that this is a method)
    setattr(torch, _READER, load)


def _starting(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(process: Any, args: Any, *rest: Any, **named: Any) -> None:
        words = (
            args.split() if isinstance(args, str) else [str(word) for word in args] if isinstance(args, Sequence) else [str(args)]
        )
        if "install" in words and any(PurePath(word).name in _INSTALLERS for word in words):
            raise ModelError(
                f"loading this model would run {' '.join(words)!r}, which can replace the installed PyTorch. The command was "
                "not run. In a separate environment, install what the model needs, and load the model there."
            )
        original(process, args, *rest, **named)

    return start


def _no_load(*_: Any, **__: Any) -> Any:
    raise ModelError(
        "the weights are not in safetensors format, and code that is hidden in other formats could run when they are read: "
        "expected *.safetensors. Choose a revision of the model that has such files. If you trust the model, you can also "
        "convert it with AutoModelForCausalLM.from_pretrained(model).save_pretrained(folder), and load that folder."
    )
