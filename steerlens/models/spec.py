"""Describes how a model was loaded, so that another process can load the model again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from steerlens.errors import ModelError

if TYPE_CHECKING:
    from steerlens.models.lens import LensModel


@dataclass(frozen=True)
class LoadSpec:
    """The arguments of ``load`` as plain values without weights. These values can be sent to another process."""

    name: str
    """The name of an embedded model, a model id of the hub, or the path of a folder or GGUF file."""
    device: str | None = None
    """The requested device. With ``None``, the process that loads the model chooses the device."""
    dtype: str | None = None
    """The dtype: ``float32``, ``bfloat16`` or ``float16``. With ``None``, the dtype is chosen for the device."""
    revision: str | None = None
    """The branch, tag or commit on the hub."""
    adapter: str | None = None
    """The folder or hub id of an adapter that is merged into the weights."""
    prepend_bos: bool | None = None
    """Whether BOS is put in front of texts; with ``None`` the tokenizer decides."""
    trust_remote_code: bool = False
    """Whether code from the hub model's repository may run."""
    device_map: str | dict[str, str | int] | None = None
    """The requested device map. With ``auto`` or a similar method, the process that loads the model makes a map of its own
    devices."""
    max_memory: dict[str | int, str | int] | None = None
    """The largest amount of memory that the chosen device map may use on each device."""
    offload_folder: str | None = None
    """The folder for weights that stay on disk. It is used only for weights that the checkpoint stores in another form than the
    model needs."""

    def load(self) -> "LensModel":
        """Loads the model.

        Raises:
            UnknownNameError: there is no such model or dtype.
            ModelError: the model cannot be read, verified or run.
            SettingsError: this machine does not have the device, or a device of the map.
        """
        from steerlens.models.loading import load

        return load(
            self.name,
            self.device,
            self.dtype,
            adapter=self.adapter,
            revision=self.revision,
            trust_remote_code=self.trust_remote_code,
            prepend_bos=self.prepend_bos,
            device_map=self.device_map,
            max_memory=self.max_memory,
            offload_folder=self.offload_folder,
        )


def loadable(spec: LoadSpec | None, name: str, *, changed: bool) -> LoadSpec:
    """Returns a model's ``LoadSpec``, after a check that it still describes the model.

    Args:
        spec: how the model was loaded; ``None`` for a model that was made from an existing bridge or backend.
        name: the model's name.
        changed: whether the model's weights have changed since the model was loaded.

    Raises:
        ModelError: the model was made from an existing bridge or backend, or its weights were changed.
    """
    way_out = (
        "Save the model with save_pretrained of Hugging Face, and load that folder with steerlens.load. If the model is a "
        "HookedTransformer, load the checkpoint that it was made from."
    )
    if spec is None:
        raise ModelError(
            f"{name} was made from a model object, so another process cannot load it again: expected a model from "
            f"steerlens.load(name or path). {way_out}"
        )
    if changed:
        raise ModelError(
            f"the weights of {name} were changed or moved after the model was loaded, so loading it again would give a "
            f"different model. {way_out}"
        )
    return spec
