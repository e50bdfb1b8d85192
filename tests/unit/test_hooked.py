"""What is said of a ``HookedTransformer`` where TransformerLens has none: it is known by its name, and other classes are refused.

What one computes is tested in environments that have one (``tests/hooked``, ``make test-hooked``).
"""

import importlib.metadata
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import steerlens as sl
from steerlens.errors import ModelError
from steerlens.models.backends import HookedBackend, backend_of, hooked
from steerlens.models.backends.hooked import is_hooked_transformer
from steerlens.models.backends.hooked_packing import packed, padding_of
from steerlens.models.backends.versions import bridge_class
from steerlens.models.batches import Row, token_batch

ROOT = Path(__file__).parents[2]


def _kind(module: str, name: str = "HookedTransformer", *bases: type) -> type:
    return type(name, bases, {"__module__": module})


def test_the_class_is_known_by_its_name() -> None:
    own = _kind("transformer_lens.HookedTransformer")
    assert is_hooked_transformer(own())
    assert is_hooked_transformer(_kind("mine", "Derived", own)())
    assert not is_hooked_transformer(_kind("mine")())
    assert not is_hooked_transformer(_kind("transformer_lens.HookedEncoder", "HookedEncoder")())
    assert not is_hooked_transformer("transformer_lens.HookedTransformer")


def test_other_classes_are_refused_and_backends_pass(llama: sl.LensModel) -> None:
    for given in (_kind("mine")(), _kind("transformer_lens.HookedEncoder", "HookedEncoder")(), torch.nn.Linear(2, 2)):
        with pytest.raises(ModelError, match=f"{type(given).__name__} was given: expected .* or a HookedTransformer"):
            sl.load(given)
    assert backend_of(llama.backend) is llama.backend
    assert not isinstance(llama.backend, HookedBackend)


def test_a_model_without_a_tokenizer_is_refused() -> None:
    given = _kind("transformer_lens.HookedTransformer")()
    given.tokenizer, given.parameters = None, lambda: iter([torch.zeros(1)])
    with pytest.raises(ModelError, match="has no tokenizer"):
        sl.load(given)
    given.cfg = SimpleNamespace()
    with pytest.raises(ModelError, match=r"has no tokenizer. Give the HookedTransformer a tokenizer with set_tokenizer"):
        sl.LensModel(given)


def test_older_versions_say_what_they_can_load(monkeypatch: pytest.MonkeyPatch, model_folders: dict[str, Path]) -> None:
    assert bridge_class().__name__ == "TransformerBridge"
    monkeypatch.setattr("steerlens.models.backends.versions.version", lambda _: "3.7.3")
    with pytest.raises(ModelError, match=r"TransformerLens 3\.7\.3 is installed: .* make a HookedTransformer"):
        sl.load(model_folders["llama"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_centred_weights_are_told_from_others(dtype: torch.dtype) -> None:
    """As TransformerLens centres them: the mean over the last dimension is taken off, and rounding is left."""
    drawn = torch.randn(40, 32, generator=torch.Generator().manual_seed(0)).to(dtype) + 0.1
    assert hooked._centred(drawn - drawn.mean(-1, keepdim=True))
    assert hooked._centred(torch.zeros(3, dtype=dtype))
    assert not hooked._centred(drawn)
    assert not hooked._centred(torch.randn(40, 512, generator=torch.Generator().manual_seed(0)).to(dtype))
    half = drawn - drawn.mean(-1, keepdim=True)
    half[7] += 0.1
    assert not hooked._centred(half)
    assert not hooked._centred(torch.zeros(4, 2, dtype=torch.uint8))


def test_only_packed_batches_are_placed() -> None:
    """Of others, positions follow from the mask of padding; of packed ones all columns count, and hooks say the rest."""
    plain = token_batch([Row((5, 6, 7)), Row((5,))], 0, torch.device("cpu"), torch.float32, "left")
    assert padding_of(plain, 2).tolist() == [[1, 1, 1], [0, 0, 1]] * 2
    with packed(None, plain):
        pass
    both = token_batch([Row((5, 6), ((7,), (8, 9)))], 0, torch.device("cpu"), torch.float32, "aligned")
    assert padding_of(both).tolist() == [[1] * 5]
    with pytest.raises(AttributeError), packed(None, both):
        pass


def test_the_tested_versions_are_those_that_the_documentation_names() -> None:
    page = (ROOT / "docs/howto/hooked-transformer.md").read_text(encoding="utf-8")
    for major in "23":
        pins = (ROOT / f"tests/hooked/transformer-lens-{major}.txt").read_text(encoding="utf-8")
        names = ("transformer-lens", "transformers", "numpy")
        versions = [re.search(rf"^{name}==([0-9.]+)$", pins, re.MULTILINE) for name in names]
        row = "| " + " | ".join(found[1] for found in versions if found) + " |"
        assert row in page
        assert row.startswith(f"| {major}.")
    assert importlib.metadata.version("transformer-lens").startswith("4.")
