"""What a plan can become outside steerlens: the methods of ``SteeringPlan`` that lead to ``steerlens.exchange``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steerlens.exchange import Exported


class Exchanged:
    """Methods that write a plan for other tools, or apply it in plain PyTorch. What each tool can contain: ``docs/howto``."""

    def export(self, path: str | Path, to: str | None = None) -> "Exported":
        """Writes the plan for another tool and returns the file with the command that steers with it, which it prints as.

        Args:
            path: the file; ``x.gguf`` is a control vector of llama.cpp, ``x.svec`` a vector of AI Steerability 360,
                ``x.safetensors`` one for steering-vectors.
            to: the tool where the ending does not say it: a name of ``sl.exchange.TOOLS``.

        Raises:
            FileError: the file cannot be written.
            UnknownNameError: no such tool.
            VectorError: the tool cannot do what the plan does.
        """
        from steerlens.exchange import export

        return export(self, path, to)

    def to_repeng(self, model_type: str = "unknown") -> Any:
        """Returns the plan as repeng's ``ControlVector``, its strength included.

        Args:
            model_type: Hugging Face's word for the architecture, as ``gemma3_text``.

        Raises:
            ModelError: repeng is not installed.
            VectorError: the plan does something else than to add vectors at one choice of tokens.
        """
        from steerlens.exchange import to_repeng

        return to_repeng(self, model_type)

    def to_steering_vectors(self) -> Any:
        """Returns the plan as the ``SteeringVector`` of the package steering-vectors, its strength included.

        Raises:
            ModelError: steering-vectors is not installed.
            VectorError: the plan does something else than to add vectors at one choice of tokens.
        """
        from steerlens.exchange import to_steering_vectors

        return to_steering_vectors(self)

    @contextmanager
    def torch_hooks(self, hf_model: Any, *, same_weights: bool = True) -> Iterator[Any]:
        """Steers every pass of a Hugging Face model inside the block, without TransformerLens, and leaves nothing on it.

        Args:
            hf_model: a model as ``AutoModelForCausalLM.from_pretrained`` returns it.
            same_weights: whether it must have the weights that the plan was made for; all of them are read to know.

        Raises:
            FingerprintError: the model has other weights, or another type of number.
            ModelError: no Hugging Face model, or one whose blocks do not return the residual stream.
        """
        from steerlens.exchange import torch_hooks

        with torch_hooks(self, hf_model, same_weights=same_weights):
            yield hf_model

    def bake(self, hf_model: Any, *, front: bool = False, same_weights: bool = True) -> Any:
        """Returns a copy of a Hugging Face model with the plan in the biases of its blocks, where that is exact.

        Args:
            hf_model: a model as ``AutoModelForCausalLM.from_pretrained`` returns it; it is left as it is.
            front: whether the tokens in front of a prompt, such as BOS, may be steered too.
            same_weights: whether it must have the weights that the plan was made for; all of them are read to know.

        Raises:
            FingerprintError: the model has other weights, or another type of number.
            ModelError: the architecture has no bias there, or something follows it.
            VectorError: the plan does something else than to add vectors at all tokens.
        """
        from steerlens.exchange import bake

        return bake(self, hf_model, front=front, same_weights=same_weights)
