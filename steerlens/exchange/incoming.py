"""Makes steering vectors from directions that other software computed. Directions that cannot be used raise an error with an
explanation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from steerlens.errors import FileError, LayerError, SteerlensError, VectorError
from steerlens.fingerprint import Fingerprint
from steerlens.models import LensModel
from steerlens.numeric import check_finite, float_tensor, layer_of
from steerlens.steering.vectors import SteeringVector


def model_fingerprint(model: Any, whose: str) -> Fingerprint:
    """Returns the fingerprint of the model to which a vector is bound.

    Args:
        model: a ``LensModel``.
        whose: a description of the vector, for the error.

    Raises:
        VectorError: no model was given.
    """
    if not isinstance(model, LensModel):
        given = "no model" if model is None else type(model).__name__
        raise VectorError(
            f"{whose} does not say from which model it was taken: expected model=, the LensModel from which the vector was "
            f"taken, but {given} was given. Give the model that sl.load returned."
        )
    return model.fingerprint


def incoming_vector(
    directions: Mapping[Any, Any], fingerprint: Fingerprint, whose: str, name: str, notes: Mapping[str, Any]
) -> SteeringVector:
    """Returns a steering vector that is made from the directions of other software.

    Args:
        directions: the directions by block index. A direction is a tensor or an array of real numbers, ``[d_model]``.
        fingerprint: the fingerprint of the model to which the vector is bound.
        whose: a description of the vector's source, for errors.
        name: the name of the vector.
        notes: other information on the vector, as JSON values.

    Raises:
        LayerError: the model does not have one of the layers.
        VectorError: there are no directions, the width of a direction differs from the model's width, or numbers are not real and
            finite.
    """
    if not directions:
        raise VectorError(f"{whose} contains no directions: expected a direction for at least one layer.")
    width, known = fingerprint.d_model, range(fingerprint.n_layers)
    taken = {}
    for key, given in directions.items():
        layer = layer_of(key, known, f"{fingerprint.name or 'the model'}, the model of {whose}")
        direction = float_tensor(given, f"{whose}, layer {layer},")
        if tuple(direction.shape) != (width,):
            raise VectorError(
                f"{whose} has a direction of shape {tuple(direction.shape)} at layer {layer}: expected ({width},), the d_model "
                f"of {fingerprint.name or 'the model'}. Give the model from which the vector was taken."
            )
        check_finite(direction, f"{whose}, layer {layer},")
        taken[layer] = direction
    layers = tuple(sorted(taken))
    stacked = torch.stack([taken[layer] for layer in layers])
    return SteeringVector(stacked, layers, fingerprint, name=name, notes={"from": whose, **notes})


@contextmanager
def file_errors(path: Any) -> Iterator[None]:
    """Turns errors about the numbers in a file into a ``FileError`` that names the file.

    Args:
        path: the file.

    Raises:
        FileError: the layers, shapes or numbers of the file cannot be used.
    """
    try:
        yield
    except (LayerError, VectorError) as error:
        raise FileError(f"{path} cannot be used: {error}") from error


def refused(path: Any, found: str, expected: str) -> SteerlensError:
    """Returns the error for a file with wrong content.

    Args:
        path: the file.
        found: a description of the file's content.
        expected: a description of the expected content, and advice.
    """
    return FileError(f"{path} {found}: expected {expected}.")
