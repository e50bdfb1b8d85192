"""The description of a model that is sent to a worker. The worker loads the model from the description, and checks that the
loaded model is the described model."""

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
"""The model that this thread has loaded, with the arguments of ``load`` and the expected fingerprint."""


@dataclass(frozen=True)
class SentModel:
    """The data with which a worker loads a model. The data do not contain the model's weights."""

    spec: LoadSpec
    """The arguments of ``load``."""
    fingerprint: Fingerprint
    """The fingerprint that the loaded model must have. Files with the same name may differ between machines."""
    token_budget: int | None = None
    """The number of tokens in a batch, which makes the batches of every worker equal to the batches of this process. ``None``
    lets the worker choose."""

    @classmethod
    def of(cls, model: LensModel, device: str | None = None) -> "SentModel":
        """Returns the description of a model that is sent.

        Args:
            model: the model of this process.
            device: ``cpu`` or ``cuda``, the device of workers on other machines; ``None`` for workers on this machine, which
                load the model with the same arguments as this process.

        Raises:
            ModelError: the model was made from a model in memory and not from files, or its weights were changed.
            SettingsError: the model is on a GPU in this process, and the workers have no GPU.
        """
        spec, here = model.spec, model.device.type
        if device == "cpu" and here == "cuda":
            raise SettingsError(
                f"{model.name} is on {model.device}, but the workers have no GPU: expected workers with a GPU, because workers "
                "without a GPU are slow and round differently. Give executor=sl.ray(num_gpus=1), or load the model with "
                "device='cpu'."
            )
        if device is not None:
            adapter = None if spec.adapter is None else _absolute(spec.adapter)
            spec = replace(spec, name=spec.name if spec.name in EMBEDDED else _absolute(spec.name), adapter=adapter)
            if spec.device_map is None and here in ("cpu", "cuda"):
                spec = replace(spec, device=device)
        return cls(spec, model.fingerprint, model.token_budget if device in (None, here) else None)

    def load(self) -> LensModel:
        """Returns the model. The thread loads the model at the first request, and releases the model when another model is
        requested.

        Raises:
            ModelError: the model's files are not on this machine, or cannot be read.
            FingerprintError: the model's files differ from the files of the process that sent the model.
        """
        asked = (self.spec, self.fingerprint)  # files of the same name may have been overwritten
        held, model = _here.__dict__.get("loaded", (None, None))
        if model is None or held != asked:
            _here.__dict__.pop("loaded", None)
            model = None  # releases the memory before the next model is loaded
            for name in filter(None, (self.spec.name, self.spec.adapter)):
                _check_is_here(name)
            model = self.spec.load()
            self.fingerprint.check(model.fingerprint, f"the task for {model.name}")
            _here.loaded = (asked, model)
        if self.token_budget is not None:
            model.token_budget = self.token_budget  # an earlier task without enough memory may have lowered the number
        return model


def _absolute(name: str) -> str:
    """Returns the absolute path of a file or folder, so that a process in another folder finds it. Other names are returned
    unchanged."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def _check_is_here(name: str) -> None:
    """Raises an error if an absolute path does not exist on this machine."""
    if Path(name).is_absolute() and not Path(name).exists():
        raise ModelError(
            f"{name} is not on the machine {socket.gethostname()}, where a worker runs: expected the files of the model at the "
            "same path on every machine. Put the files into a folder that all machines share, or load the model by its id on "
            "the Hugging Face hub."
        )
