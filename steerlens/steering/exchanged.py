"""Use of a plan outside steerlens: the methods of ``SteeringPlan`` that call ``steerlens.exchange``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steerlens.exchange import Exported


class Exchanged:
    """Methods that write a plan for other tools, or apply it in plain PyTorch. ``docs/howto`` describes what each tool can
    do."""

    def export(self, path: str | Path, to: str | None = None) -> "Exported":
        """Writes the plan for another tool, and returns the file with the command that steers with it. Printing the result
        shows this command.

        Args:
            path: the file; ``x.gguf`` is a control vector of llama.cpp, ``x.svec`` a vector of AI Steerability 360,
                ``x.safetensors`` one for steering-vectors.
            to: the tool, if the ending does not identify it: a name in ``sl.exchange.TOOLS``.

        Raises:
            FileError: the file cannot be written.
            UnknownNameError: there is no such tool.
            VectorError: the tool cannot do what the plan does.
        """
        from steerlens.exchange import export

        return export(self, path, to)

    def to_repeng(self, model_type: str = "unknown") -> Any:
        """Returns the plan as repeng's ``ControlVector``, with its strength included.

        Args:
            model_type: Hugging Face's name for the architecture, such as ``gemma3_text``.

        Raises:
            ModelError: repeng is not installed.
            VectorError: the plan does more than add vectors at one choice of tokens.
        """
        from steerlens.exchange import to_repeng

        return to_repeng(self, model_type)

    def to_steering_vectors(self) -> Any:
        """Returns the plan as the ``SteeringVector`` of the package steering-vectors, with its strength included.

        Raises:
            ModelError: steering-vectors is not installed.
            VectorError: the plan does more than add vectors at one choice of tokens.
        """
        from steerlens.exchange import to_steering_vectors

        return to_steering_vectors(self)

    @contextmanager
    def torch_hooks(self, hf_model: Any, *, same_weights: bool = True) -> Iterator[Any]:
        """Steers every pass of a Hugging Face model inside the block, without TransformerLens, and removes its hooks
        afterwards.

        Args:
            hf_model: a model as returned by ``AutoModelForCausalLM.from_pretrained``.
            same_weights: whether it must have the weights for which the plan was made; all of them are read for this check.

        Raises:
            FingerprintError: the model has other weights, or another number type.
            ModelError: it is not a Hugging Face model, or its blocks do not return the residual stream.
        """
        from steerlens.exchange import torch_hooks

        with torch_hooks(self, hf_model, same_weights=same_weights):
            yield hf_model

    def bake(self, hf_model: Any, *, front: bool = False, same_weights: bool = True) -> Any:
        """Returns a copy of a Hugging Face model with the plan in the biases of its blocks, if this is exact.

        Args:
            hf_model: a model as returned by ``AutoModelForCausalLM.from_pretrained``; it is not changed.
            front: whether the tokens in front of a prompt, such as BOS, may be steered too.
            same_weights: whether it must have the weights for which the plan was made; all of them are read for this check.

        Raises:
            FingerprintError: the model has other weights, or another number type.
            ModelError: the architecture has no bias at this place, or another operation follows it.
            VectorError: the plan does more than add vectors at all tokens.
        """
        from steerlens.exchange import bake

        return bake(self, hf_model, front=front, same_weights=same_weights)
