"""Control vectors of repeng (https://github.com/vgel/repeng, version 0.4), as objects.

``ControlVector.directions`` maps block indices to arrays ``[d_model]``, and ``ControlModel`` adds them to the output of these
blocks. Place and layer number are the same as here. repeng 0.4 needs NumPy below 2, and steerlens needs NumPy 2. If both cannot
be installed together, use a GGUF file to exchange vectors (``plan.export(path, "repeng")``, ``from_gguf``).
"""

from collections.abc import Mapping
from typing import Any

from steerlens.errors import ModelError, VectorError
from steerlens.exchange.additions import notes_of, only_addition
from steerlens.exchange.exported import said
from steerlens.exchange.incoming import incoming_vector, model_fingerprint
from steerlens.steering.vectors import SteeringVector


def to_repeng(plan: Any, model_type: str = "unknown") -> Any:
    """Returns a plan as repeng's ``ControlVector``: what the plan adds after each block, with its strength included.

    ``ControlModel(hf_model, plan.layers)`` and ``set_control(vector)`` steer with it, at every token.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.
        model_type: Hugging Face's name for the architecture, such as ``gemma3_text``; repeng compares it when two vectors are
            added.

    Raises:
        VectorError: the plan does more than add vectors, or has several choices of tokens.
        ModelError: repeng is not installed, or does not run with this NumPy.
    """
    added = only_addition(plan, "repeng")
    control_vector = _control_vector()
    said(notes_of(plan, added, "repeng"))
    return control_vector(model_type=model_type, directions={layer: vector.numpy() for layer, vector in added.vectors.items()})


def from_repeng(vector: Any, model: Any, name: str = "repeng") -> SteeringVector:
    """Returns repeng's ``ControlVector`` as a steering vector; strength 1 means repeng's coefficient 1.

    Args:
        vector: the ``ControlVector`` object; for a file, give its path to ``from_gguf``.
        model: the ``LensModel`` from which it was taken.
        name: the name of the vector.

    Raises:
        LayerError: the model does not have a layer.
        VectorError: it is not a ``ControlVector``, there is no model, the width differs, or numbers are not real and finite.
    """
    directions = getattr(vector, "directions", None)
    if not isinstance(directions, Mapping):
        raise VectorError(
            f"{type(vector).__name__} given: expected the class ControlVector of repeng, whose directions are stored by block "
            "index. To read a file that export_gguf of repeng wrote, give its path to sl.exchange.from_gguf."
        )
    notes = {"model_type": str(getattr(vector, "model_type", ""))}
    return incoming_vector(directions, model_fingerprint(model, "repeng's vector"), "repeng's vector", name, notes)


def _control_vector() -> Any:
    try:
        from repeng import ControlVector
    except (ImportError, AttributeError) as error:  # 0.4 looks for np.float_, which NumPy 2 does not have
        raise ModelError(
            f"repeng cannot be imported here ({type(error).__name__}: {error}). Install it with: pip install repeng. If repeng "
            "needs a different NumPy than steerlens, write the file with plan.export('x.gguf', 'repeng'), and read the file "
            "in a separate environment for repeng, with ControlVector.import_gguf('x.gguf')."
        ) from error
    return ControlVector
