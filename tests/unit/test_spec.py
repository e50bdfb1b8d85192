"""A model knows how to load itself again, in another process too."""

import pickle
from pathlib import Path

import pytest
import torch

import steerlens as sl
from steerlens.errors import ModelError
from steerlens.models import LoadSpec


def test_a_sent_spec_loads_the_same_model(model_folders: dict[str, Path]) -> None:
    model = sl.load(model_folders["llama"], dtype="bfloat16", prepend_bos=False)
    sent = pickle.dumps(model.spec)
    assert len(sent) < 1000  # no weights
    again = pickle.loads(sent)  # noqa: S301 (bytes of our own)
    assert again == LoadSpec(str(model_folders["llama"]), dtype="bfloat16", prepend_bos=False)
    assert again.load().fingerprint == model.fingerprint
    assert again.load().spec == model.spec


def test_a_model_that_cannot_be_loaded_again_says_so(model_folders: dict[str, Path]) -> None:
    model = sl.load(model_folders["llama"])
    with pytest.raises(ModelError, match=r"made from a model object.*save_pretrained"):
        _ = sl.load(model.tl).spec
    with torch.no_grad():
        next(iter(model.backend.parameters())).mul_(1.5)
    with pytest.raises(ModelError, match="changed or moved after the model was loaded"):
        _ = model.spec
