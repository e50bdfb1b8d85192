"""Checks that a checkpoint is complete: no weight is missing, and the configuration fits the weights."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from steerlens.errors import ModelError
from steerlens.models.shape import check_shape
from steerlens.storage import read_json


def check_config(path: Path, name: str, size: int | None = None) -> None:
    """Refuses a configuration that is not an object, or that describes more weights than the files contain, or more blocks than
    any model has.

    Args:
        path: the ``config.json``.
        name: the name of the model in the error message, as the user gave it.
        size: the number of bytes of the model's weights; ``None`` if the weights have not been downloaded yet.

    Raises:
        ModelError: the configuration is refused.
        FileError: the file is missing or damaged.
    """
    left: list[Any] = [read_json(path, "Copy all files of the model again.")]
    if not isinstance(left[0], dict):
        raise ModelError(
            f"config.json of {name} contains a {type(left[0]).__name__}: expected an object with the settings of the model."
        )
    while left:
        settings = left.pop()
        left += [value for value in settings.values() if isinstance(value, dict)]
        try:
            check_shape(settings, size)
        except ValueError as error:
            raise ModelError(
                f"{name} cannot be loaded because of its config.json: {error}. Copy all files of the model again, or correct "
                "this file."
            ) from error


def config_of(source: str, revision: str | None, trust_remote_code: bool) -> Any:
    """Returns Hugging Face's configuration of a checkpoint; ``None`` if the configuration cannot be read. Loading the model then
    raises an error.

    Args:
        source: a folder, or an id on the hub.
        revision: branch, tag or commit on the hub.
        trust_remote_code: whether code in a hub model's repository may run.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=trust_remote_code)
    except Exception:
        return None


@contextmanager
def nothing_missing(name: str) -> Iterator[None]:
    """Refuses a checkpoint that lacks weights. The check applies only inside the ``with`` block, and only to the current thread.
    Without this check, Transformers would set missing weights to random numbers.

    Weights that stay quantized are not checked here, because another package reads these weights.

    Args:
        name: the name of the model in the error message, as the user gave it.

    Raises:
        ModelError: weights are missing.
    """
    from transformers import PreTrainedModel

    own, original = threading.get_ident(), PreTrainedModel.__dict__["from_pretrained"]

    def from_pretrained(cls: Any, *args: Any, output_loading_info: bool = False, **settings: Any) -> Any:
        model, said = original.__func__(cls, *args, output_loading_info=True, **settings)
        missing = sorted(map(str, said["missing_keys"]))
        quantized = getattr(model, "hf_quantizer", None) is not None and "gguf_file" not in settings
        if missing and threading.get_ident() == own and not quantized:
            raise ModelError(
                f"{name} lacks {len(missing)} of the weights of a {type(model).__name__} (the first one is {missing[0]}), which "
                "would be random numbers. Expected a complete checkpoint. Download it again, or correct its config.json."
            )
        return (model, said) if output_loading_info else model

    PreTrainedModel.from_pretrained = classmethod(cast(Any, from_pretrained))
    try:
        yield
    finally:
        PreTrainedModel.from_pretrained = original
