"""A model that is sent to a worker: how it is loaded there, and what shows that it is the same one."""

import socket
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from steerlens.errors import ModelError, SettingsError
from steerlens.fingerprint import Fingerprint
from steerlens.models.embedded import EMBEDDED
from steerlens.models.lens import LensModel
from steerlens.models.spec import LoadSpec

_here = threading.local()
"""The model that this thread has loaded, with what it was loaded by and the fingerprint that was asked for."""


@dataclass(frozen=True)
class SentModel:
    """What a worker needs to load a model. It contains no weights."""

    spec: LoadSpec
    """The arguments of ``load``."""
    fingerprint: Fingerprint
    """The fingerprint that the loaded model must have. Files with the same name may differ between machines."""
    token_budget: int | None = None
    """The tokens of a batch, so that every worker makes the batches that one process makes; ``None`` lets the worker choose."""

    @classmethod
    def of(cls, model: LensModel, device: str | None = None) -> "SentModel":
        """Returns what is sent of a model.

        Args:
            model: the model of this process.
            device: ``cpu`` or ``cuda``, where workers of other machines have theirs; ``None`` for workers of this machine, which
                load it as it was loaded here.

        Raises:
            ModelError: the model was made from a live one, or its weights were changed.
            SettingsError: the model is on a GPU here, and the workers have none.
        """
        spec, here = model.spec, model.device.type
        if device == "cpu" and here == "cuda":
            raise SettingsError(
                f"{model.name} is on {model.device}, but the workers have no GPU: they would be slow, and rounding would "
                "differ. Expected workers with a GPU. Give executor=sl.ray(num_gpus=1), or load the model with device='cpu'."
            )
        if device is not None:
            adapter = None if spec.adapter is None else _absolute(spec.adapter)
            spec = replace(spec, name=spec.name if spec.name in EMBEDDED else _absolute(spec.name), adapter=adapter)
            if spec.device_map is None and here in ("cpu", "cuda"):
                spec = replace(spec, device=device)
        return cls(spec, model.fingerprint, model.token_budget if device in (None, here) else None)

    def load(self) -> LensModel:
        """Returns the model, which the thread loads when it is first asked for, and lets go when it is asked for another.

        Raises:
            ModelError: its files are not on this machine, or cannot be read.
            FingerprintError: its files are others than those of the process that sent it.
        """
        asked = (self.spec, self.fingerprint)  # by both, since the files of a name may have been written again
        held, model = _here.__dict__.get("loaded", (None, None))
        if model is None or held != asked:
            _here.__dict__.pop("loaded", None)
            model = None  # before the next one takes memory
            for name in filter(None, (self.spec.name, self.spec.adapter)):
                _check_is_here(name)
            model = self.spec.load()
            self.fingerprint.check(model.fingerprint, f"the work for {model.name}")
            _here.loaded = (asked, model)
        if self.token_budget is not None:
            model.token_budget = self.token_budget  # also where memory did not hold a batch of an earlier task
        return model


def _absolute(name: str) -> str:
    """Returns the whole path of a file or folder, which a process in another folder finds; other names as they are."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def _check_is_here(name: str) -> None:
    """Refuses a path that another machine has and this one has not."""
    if Path(name).is_absolute() and not Path(name).exists():
        raise ModelError(
            f"{name} is not on the machine {socket.gethostname()}, where a worker runs: expected the files of the model at the "
            "same path on every machine. Put the files into a folder that all machines share, or load the model by its id on "
            "the Hugging Face hub."
        )
