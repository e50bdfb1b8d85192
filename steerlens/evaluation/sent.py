"""A model that is sent to a worker: how to load it there, and how to check that it is the same model."""

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
"""The model that this thread has loaded, with the arguments of the loading and the expected fingerprint."""


@dataclass(frozen=True)
class SentModel:
    """The data with which a worker loads a model. It contains no weights."""

    spec: LoadSpec
    """The arguments of ``load``."""
    fingerprint: Fingerprint
    """The fingerprint that the loaded model must have. Files with the same name may differ between machines."""
    token_budget: int | None = None
    """The number of tokens in a batch, so that every worker makes the same batches as one process; ``None`` lets the worker
    choose."""

    @classmethod
    def of(cls, model: LensModel, device: str | None = None) -> "SentModel":
        """Returns the description of a model that is sent.

        Args:
            model: the model of this process.
            device: ``cpu`` or ``cuda``, the device of workers on other machines; ``None`` for workers on this machine, which
                load the model as it was loaded here.

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
        """Returns the model. The thread loads it when it is first requested, and releases it when another model is requested.

        Raises:
            ModelError: its files are not on this machine, or cannot be read.
            FingerprintError: its files differ from those of the process that sent it.
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
    """Returns the absolute path of a file or folder, so that a process in another folder finds it. Other names are returned
    unchanged."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def _check_is_here(name: str) -> None:
    """Refuses a path that another machine has and this one does not have."""
    if Path(name).is_absolute() and not Path(name).exists():
        raise ModelError(
            f"{name} is not on the machine {socket.gethostname()}, where a worker runs: expected the files of the model at the "
            "same path on every machine. Put the files into a folder that all machines share, or load the model by its id on "
            "the Hugging Face hub."
        )
