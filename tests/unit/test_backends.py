"""A backend is one class: what it declares is used, and what it cannot do is refused in words."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from places import HERE
from torch import Tensor
from transformers.cache_utils import Cache

import steerlens as sl
from steerlens.errors import ModelError
from steerlens.evaluation import Scorer, Scoring, attributions
from steerlens.models.backends import Backend, Capabilities
from steerlens.models.backends.arguments import Fitted, named
from steerlens.models.backends.earlier import Earlier, EarlierCache
from steerlens.models.batches import TokenBatch
from steerlens.models.capabilities import check_gradients
from steerlens.models.devices import weights_digest
from steerlens.models.hooks import Hook, residual_hook
from steerlens.models.passes import ModelState, announced, claimed, steered_here
from steerlens.models.roles import PAD
from steerlens.models.tokens import Tokenizer
from steerlens.models.unembedding import Unembedding
from steerlens.steering import SteeringVector
from tests.unit.test_engine import close, scores, swept


class Toy:
    """Three blocks in plain PyTorch, each of which adds a function of the mean over the tokens so far."""

    name = architecture = "toy"
    n_layers, d_model, context, attention_window = 3, 16, 0, None
    weight_processing = "none"
    capabilities = Capabilities(
        packed_choices=False,
        key_reuse=False,
        left_padding=True,
        cached_passes=False,
        hooks=True,
        gradients=True,
        generation=False,
        sharded=False,
    )

    def __init__(self, tokenizer: Tokenizer) -> None:
        drawn = partial(torch.randn, generator=torch.Generator().manual_seed(0))
        self.table = torch.nn.Parameter(drawn(600, self.d_model))
        self.blocks = [torch.nn.Parameter(drawn(self.d_model, self.d_model) / 4) for _ in range(self.n_layers)]
        self.state, self.hooks, self._tokenizer = ModelState(), [], tokenizer

    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    def parameters(self) -> list[torch.nn.Parameter]:
        return [self.table, *self.blocks]

    def weights_stamp(self) -> tuple[object, ...]:
        return tuple((weight.data_ptr(), weight._version) for weight in self.parameters())

    def weights_digest(self) -> str:
        return weights_digest({str(at): weight for at, weight in enumerate(self.parameters())})

    def hooks_on(self) -> tuple[object, ...]:
        return tuple(self.hooks)

    def final(self, batch: TokenBatch) -> Tensor:
        residual, real = self.table[batch.tokens], (batch.roles != PAD).float()[..., None]
        with claimed(self.state, lambda: False), announced(self.state, batch.roles):
            for layer, weight in enumerate(self.blocks):
                mean = (residual * real).cumsum(1) / real.cumsum(1).clamp(min=1)
                residual = residual + torch.tanh(mean @ weight)
                for place, hook in self.hooks:
                    if place == residual_hook(layer) and (changed := hook(residual, hook=place)) is not None:
                        residual = changed
            return self.final_norm(residual)

    def residuals_after(self, batch: TokenBatch, layers: Sequence[int], read: Callable[[Tensor], Tensor]) -> dict[int, Tensor]:
        seen: dict[int, Tensor] = {}

        def keep(residual: Tensor, hook: Any, layer: int) -> None:
            seen[layer] = read(residual)

        with self.hooked([(residual_hook(layer), partial(keep, layer=layer)) for layer in layers]):
            self.final(batch)
        return seen

    def final_norm(self, residual: Tensor) -> Tensor:
        return torch.nn.functional.rms_norm(residual, [self.d_model])

    def unembedding(self) -> Unembedding:
        return Unembedding(self.table.detach(), None, None)

    def logits(self, batch: TokenBatch) -> Tensor:
        return self.final(batch) @ self.table.T

    def embeddings(self, ids: Tensor) -> Tensor:
        return self.table[ids]

    @contextmanager
    def hooked(self, hooks: Sequence[Hook]) -> Iterator[None]:
        before = self.hooks
        self.hooks = [*before, *hooks]
        try:
            yield
        finally:
            self.hooks = before

    @contextmanager
    def applied(self, hooks: Sequence[Hook]) -> Iterator[None]:
        with steered_here(self.state, lambda: False), self.hooked(hooks):
            yield

    def _not(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    cached_pass = resume = attending = generate = next_logits = ends = _not


@pytest.fixture
def toy(llama: sl.LensModel) -> sl.LensModel:
    return sl.LensModel(Toy(llama.tokenizer), "toy")


@pytest.fixture
def vector(toy: sl.LensModel, items: sl.data.Items) -> SteeringVector:
    return sl.steering.difference_of_means(toy, items.english_pairs("es-ES"))


def test_a_backend_of_a_few_lines_is_captured(toy: sl.LensModel, llama: sl.LensModel) -> None:
    assert isinstance(toy.backend, Backend)
    assert isinstance(llama.backend, Backend)
    texts = ["Hello there, you", "Hi"]
    stack = toy.residuals(texts)
    for at, text in enumerate(texts):
        batch = toy.batch([toy.row(toy.tokens(text).ids)])
        last = toy.backend.final_norm(stack.at(2)[at])
        torch.testing.assert_close(last, toy.backend.final(batch)[0, -1].detach())
    assert torch.equal(sl.probing.token_embeddings(toy, stack.prompts).at(-1).isfinite().all(), torch.tensor(True))
    assert not toy.capabilities.packed_choices
    assert toy.capabilities.left_padding
    assert llama.capabilities.packed_choices
    assert llama.capabilities.key_reuse
    assert not llama.capabilities.sharded


def test_it_is_steered_scored_and_swept(toy: sl.LensModel, items: sl.data.Items, vector: SteeringVector) -> None:
    """Through the functions that users call; the scores are those of the toy's own logits."""
    some = list(items.of(locale="es-ES"))[:5]
    scorer, plans = Scorer(toy, some, Scoring("none")), [vector.at(1, 2.0), vector.at(0, -1.0, "last_onward"), vector.at(2, 0.0)]
    for plan in (None, *plans):
        found = scores(scorer.score(plan))
        for question, own in zip(scorer.questions, found, strict=True):
            expected = []
            for choice in question.row.choices:
                batch, first = toy.batch([toy.row(question.row.prompt, [choice])]), len(question.row.prompt) - 1
                with torch.no_grad(), toy.backend.hooked(plan.hooks(toy) if plan else []):
                    logs = toy.backend.logits(batch)[0].log_softmax(-1)
                expected.append(sum(float(logs[first + at, token]) for at, token in enumerate(choice)))
            assert own == pytest.approx(expected, abs=1e-3)
    for mine, plan in zip(swept(scorer, plans), plans, strict=True):
        close(mine, scores(scorer.score(plan)))
    close(scores(scorer.score(plans[2])), scores(scorer.base))
    assert scores(scorer.score(plans[0]))[0] != pytest.approx(scorer.base[0].scores, abs=1e-2)
    table = sl.evaluation.sweep(toy, items.of(kind="factual"), [vector], layers=[0, 2], strengths=[1.0]).cells()
    assert set(table["layer"]) == {0, 2}
    with vector.at(1, 2.0).applied(toy):
        inside = scores(scorer.score())
    close(inside, scores(scorer.score(plans[0])))


def test_its_derivatives_are_those_of_a_small_step(toy: sl.LensModel, items: sl.data.Items, vector: SteeringVector) -> None:
    scorer, step = Scorer(toy, list(items.of(locale="es-ES"))[:3]), 1e-2  # rounding makes a smaller one noisy
    found = attributions(scorer, [(vector, [0, 2])], "all")[vector.name]
    for layer in (0, 2):
        up, down = (scorer.score(vector.at(layer, sign * step, "all")) for sign in (1, -1))
        for n, base in enumerate(scorer.base):
            rise = [o[n].scores[base.item.answer] - o[n].scores[base.runner_up] for o in (up, down)]
            assert found.slopes[layer][n] == pytest.approx((rise[0] - rise[1]) / (2 * step), abs=2e-2, rel=2e-2)


def test_what_it_cannot_do_is_refused_in_words(
    toy: sl.LensModel, vector: SteeringVector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="does not generate"):
        toy.generate("Hello")
    with pytest.raises(ModelError, match="does not generate"):
        next(sl.models.stream(toy, "Hello"))
    monkeypatch.setattr(Toy, "capabilities", replace(Toy.capabilities, hooks=False, gradients=False))
    with pytest.raises(ModelError, match="takes no hooks"), vector.at(1).applied(toy):
        pass
    with pytest.raises(ModelError, match="gives no derivatives"):
        check_gradients(toy)
    with pytest.raises(ModelError, match="not by TransformerLens"):
        _ = toy.tl
    with pytest.raises(ModelError, match="made from a model object"):
        _ = toy.spec


def test_arguments_are_cut_by_their_names() -> None:
    """In a batch of as many rows as columns a shape says nothing."""
    fitted = Fitted(start=1, length=3, rows=3, copies=2)
    by_token, shared = torch.arange(9.0).view(3, 3), torch.arange(9.0).view(1, 3, 3)
    given = {
        "position_ids": by_token,
        "position_embeddings": (shared, shared),
        "cache_position": torch.arange(3),
        "attention_mask": torch.ones(3, 1, 3, 5),
        "alibi": torch.ones(6, 1, 3),
        "position_bias": torch.ones(3, 1, 3),
        "use_cache": False,
    }
    found = fitted(given)
    assert torch.equal(found["position_ids"], by_token[:, 1:].repeat(2, 1))
    assert all(torch.equal(part, shared[:, 1:]) for part in found["position_embeddings"])
    assert found["cache_position"].tolist() == [1, 2]
    assert found["attention_mask"].shape == (6, 1, 2, 5)
    assert found["alibi"].shape == (12, 1, 3)
    assert found["position_bias"] is given["position_bias"]
    assert found["use_cache"] is False
    assert fitted({"position_ids": by_token})["position_ids"] is found["position_ids"]  # cut once for all blocks
    with pytest.raises(NotImplementedError, match=r"'router_state' of shape \(3, 3\)"):
        fitted({"router_state": by_token})
    assert Fitted(start=0, length=3, rows=3, copies=1)({"router_state": by_token})["router_state"] is by_token


def test_arguments_without_names_are_named_by_the_blocks_signature(llama: sl.LensModel) -> None:
    block, residual, mask = llama.tl.blocks[0], torch.zeros(1), torch.ones(1)
    assert named(block, (residual, mask), {"position_ids": residual}) == {"attention_mask": mask, "position_ids": residual}
    assert named(block, (), {"hidden_states": residual, "attention_mask": mask}) == {"attention_mask": mask}
    with pytest.raises(NotImplementedError, match="The meaning of the other arguments is not known"):
        named(block, (residual,) * 40, {})


def test_an_argument_that_is_not_known_is_not_guessed(
    model_folders: dict[str, Path], items: sl.data.Items, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The plain way serves, with a warning that names the argument."""
    model, some = sl.load(model_folders["llama"], **HERE), list(items.of(locale="es-ES"))[:3]
    vector = sl.steering.difference_of_means(model, items.english_pairs("es-ES"))
    plans = [vector.at(layer, strength, "last_onward") for layer in (0, 1) for strength in (1.0, 2.0)]
    expected = swept(Scorer(model, some), plans)
    model = sl.load(model_folders["llama"], **HERE)
    monkeypatch.setattr("steerlens.models.backends.arguments._BY_TOKEN", frozenset())
    with caplog.at_level(logging.WARNING):
        found = swept(Scorer(model, some), plans)
    for mine, theirs in zip(found, expected, strict=True):
        close(mine, theirs)
    assert "a block was given a tensor 'position_" in caplog.text


def test_earlier_keys_come_in_hugging_faces_own_cache() -> None:
    before, kept = (torch.zeros(1, 2, 3, 4), torch.ones(1, 2, 3, 4)), {}
    cache = EarlierCache(Earlier(7, before, 1, kept, a_copy_each=False))
    assert isinstance(cache, Cache)
    keys, values = cache.update(torch.full((2, 2, 5, 4), 9.0), torch.full((2, 2, 5, 4), 8.0), 0)
    assert keys.shape == values.shape == (2, 2, 8, 4)
    assert (cache.get_seq_length(), cache.get_mask_sizes(5, 7)) == (3, (8, 0))
    assert kept[7][0].shape == (2, 2, 4, 4)
    assert cache.update(torch.zeros(2, 2, 5, 4), torch.zeros(2, 2, 5, 4), 0)[0].shape == (2, 2, 8, 4)  # it does not grow
