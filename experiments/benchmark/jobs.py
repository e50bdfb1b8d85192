"""The jobs of the benchmark: ours, the obvious way with TransformerLens, and the operations that the job must do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import probing
import torch
from package import SteeringVectors

import steerlens as sl
from steerlens.evaluation import Mode, Scorer, sweep
from steerlens.models.roles import PAD
from steerlens.steering import difference_of_means

LOCALE = "es-ES"
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_NEW = 24
"""Tokens that are generated after each text."""

Way = Callable[[], object]


@dataclass(frozen=True)
class Job:
    """One thing that is done, in several ways; the first is ours. A way may return its own seconds and peak memory."""

    name: str
    ways: dict[str, Way]
    flops: float = 0.0
    """Floating-point operations that the job cannot do without; 0 where that is not counted."""
    times: dict[str, float] = field(default_factory=dict)
    """What a way's time has to be multiplied by, where it does a part of the job that stands for the whole."""
    tokens: int = 0
    """Tokens that the job reads or writes, those of a sweep once a cell; 0 where that says nothing."""
    own: tuple[str, ...] = ("steerlens",)
    """Ways that are ours, whose block calls and operations are counted."""
    repeats: int = 1
    """How often a way runs in one measurement: more than once where it takes some milliseconds, which the first pages of freshly
    taken memory and the threads of the way before it would double."""


class Bench:
    """Model, items and vectors that all jobs share."""

    def __init__(self, model: sl.LensModel, *, quick: bool, other: Path | None) -> None:
        self.model = model
        shown = tuple(replace(item, aliases=()) for item in sl.data.atlas([LOCALE]))  # the other ways score one name a choice
        split = sl.data.Items(shown, "atlas").split(seed=0)
        self.train, dev = split.train.sample(12 if quick else 20), split.dev
        self.swept_items = dev.sample(1 if quick else 3).of(locale=LOCALE)
        self.scored_items = dev.sample(4 if quick else 16).of(locale=LOCALE)
        self.facts = dev.of(kind="factual", locale=LOCALE)
        self.prompts = list(self.train.of(locale=LOCALE).prompts())
        self.pairs = self.train.english_pairs(LOCALE)
        self.vector = difference_of_means(model, self.pairs)
        self.plan = self.vector.at(model.n_layers // 2, 1.0, "last_onward")
        self.blocks = sum(p.numel() for p in model.tl.blocks.parameters())
        self.texts = [prompt.text for prompt in self.prompts[:4]]
        self.package = SteeringVectors(other, model_folder(model), self._told()) if other else None

    def jobs(self) -> list[Job]:
        return [self.extraction(), self.means(), self.scored(), self.swept(), self.probed(), self.generated()]

    def extraction(self) -> Job:
        ways: dict[str, Way] = {
            "steerlens": lambda: self.model.residuals(self.prompts),
            "blocks only": lambda: self._batches(self._bare),
            "run_with_cache": lambda: self._batches(self._cached),
            "Hugging Face, output_hidden_states": lambda: self._batches(self._hidden),
            **self._theirs("extraction"),
        }
        tokens = self._tokens(self.prompts)
        return Job("extraction", ways, 2 * self.blocks * tokens, tokens=tokens)

    def means(self) -> Job:
        prompts = [*self.pairs.positive, *self.pairs.negative]
        ways: dict[str, Way] = {
            "steerlens": lambda: difference_of_means(self.model, self.pairs),
            "run_with_cache": lambda: self._batches(self._cached, prompts),
            **self._theirs("means"),
        }
        tokens = self._tokens(prompts)
        return Job("difference of means", ways, 2 * self.blocks * tokens, tokens=tokens)

    def scored(self) -> Job:
        scorer = Scorer(self.model, self.scored_items)
        ways = {"steerlens": lambda: scorer.score(self.plan), "run_with_hooks": lambda: self._plainly(self.scored_items)}
        rows, places = _tokens(scorer), _places(scorer)
        return Job("one scored plan", ways, 2 * self.blocks * rows + self._unembedding(places), tokens=rows)

    def swept(self) -> Job:
        """The obvious way runs one cell, which stands for all: each costs it the same."""
        layers, cells, scorer = self.model.layers(), self.model.n_layers * len(STRENGTHS), Scorer(self.model, self.swept_items)

        def run(mode: Mode) -> object:
            return sweep(self.model, self.swept_items, [self.vector], layers, STRENGTHS, tokens="last_onward", mode=mode)

        ways = {
            "steerlens": lambda: run("exact"),
            "run_with_hooks": lambda: self._plainly(self.swept_items),
            "screened": lambda: run("screened"),
            "attribution": lambda: run("attribution"),
        }
        above = sum(self.model.n_layers - 1 - layer for layer in layers) / self.model.n_layers
        onward = sum(question.row.onward for question in scorer.questions)
        rows, unembedding = _tokens(scorer), self._unembedding(_places(scorer))
        flops = 2 * self.blocks * (rows + onward * above * len(STRENGTHS)) + (1 + cells) * unembedding
        own = ("steerlens", "screened", "attribution")
        return Job("exact sweep", ways, flops, {"run_with_hooks": cells}, cells * rows, own)

    def probed(self) -> Job:
        """Both: the folds, a logistic probe a layer and fold, its held-out AUROC. ``separability`` does that and all the rest."""
        stack = self.model.residuals(self.prompts).where(lambda prompt: prompt.form != "explicit")
        ways = probing.ways(stack)
        return Job("probing", ways, own=tuple(ways)[:1], repeats=10)

    def generated(self) -> Job:
        def written() -> object:
            return self.model.generate(self.texts, _NEW, min_new_tokens=_NEW)

        def steered() -> None:
            with self.plan.applied(self.model):
                written()

        ways: dict[str, Way] = {"steerlens": steered, "unsteered": written, "Hugging Face, unsteered": self._generate}
        if package := self.package:
            ways["steering-vectors"] = lambda: package.run("generation")
        return Job("steered generation", ways, tokens=_NEW * len(self.texts))

    def places_an_item(self) -> float:
        """Places that predict a token of a choice, of each item of the sweep."""
        return _places(Scorer(self.model, self.swept_items)) / len(self.swept_items)

    def _theirs(self, job: str) -> dict[str, Way]:
        if not (package := self.package):
            return {}
        return {
            "steering-vectors, one pair at once (its default)": lambda: package.run(job, 1),
            f"steering-vectors, {package.best} pairs at once (its best)": lambda: package.run(job, package.best),
        }

    def _told(self) -> dict:
        """What the package's worker needs."""
        pairs = [(a.text, b.text) for a, b in zip(self.pairs.positive, self.pairs.negative, strict=True)]
        layer = self.plan.layers[0]
        return {
            "threads": torch.get_num_threads(),
            "prompts": [prompt.text for prompt in self.prompts],
            "pairs": pairs,
            "texts": self.texts,
            "layer": layer,
            "direction": self.vector.direction(layer).tolist(),
        }

    def _batches(self, run: Callable[[torch.Tensor], object], prompts: list | None = None) -> None:
        rows = [list(self.model.tokens(prompt.text).ids) for prompt in prompts or self.prompts]
        for indices in self.model.batches([len(row) for row in rows]):
            length = max(len(rows[i]) for i in indices)
            run(self._tensor([rows[i] + [0] * (length - len(rows[i])) for i in indices]))

    def _tensor(self, rows: list[list[int]]) -> torch.Tensor:
        return torch.tensor(rows, device=self.model.device)

    @torch.no_grad()
    def _bare(self, tokens: torch.Tensor) -> None:
        self.model.tl.original_model.base_model(input_ids=tokens, use_cache=False)

    @torch.no_grad()
    def _cached(self, tokens: torch.Tensor) -> None:
        self.model.tl.run_with_cache(tokens, names_filter=lambda name: name.endswith("hook_resid_post"))

    @torch.no_grad()
    def _hidden(self, tokens: torch.Tensor) -> None:
        """On the very modules that the bridge runs; one token is unembedded."""
        self.model.tl.original_model(tokens, use_cache=False, output_hidden_states=True, logits_to_keep=1)

    @torch.no_grad()
    def _generate(self) -> None:
        """The texts as one batch, padded in front."""
        batch = self.model.batch([self.model.row(self.model.tokens(text).ids) for text in self.texts], "left")
        self.model.tl.original_model.generate(
            input_ids=batch.tokens,
            attention_mask=(batch.roles != PAD).long(),
            max_new_tokens=_NEW,
            min_new_tokens=_NEW,
            do_sample=False,
        )

    @torch.no_grad()
    def _plainly(self, items: sl.data.Items) -> None:
        """Every choice as a text of its own, a batch an item, logits everywhere."""
        for item in items:
            place = sl.data.locale(item.locale)
            rows = [list(self.model.tokens(item.prompt().text + place.space + choice).ids) for choice in item.choices]
            length = max(map(len, rows))
            tokens = self._tensor([row + [0] * (length - len(row)) for row in rows])
            self.model.tl.run_with_hooks(tokens, fwd_hooks=self.plan.hooks(self.model)).log_softmax(-1)

    def _tokens(self, prompts: Sequence[sl.data.Prompt]) -> int:
        return sum(len(self.model.tokens(prompt.text)) for prompt in prompts)

    def _unembedding(self, places: int) -> float:
        return 2.0 * self.model.d_model * self.model.tl.cfg.d_vocab * places


def model_folder(model: sl.LensModel) -> Path:
    """Where the embedded model lies in Hugging Face's layout."""
    return Path(model.tl.original_model.config._name_or_path)


def _tokens(scorer: Scorer) -> int:
    """Of all prompts, and of all choices behind them."""
    return sum(len(question.row) for question in scorer.questions)


def _places(scorer: Scorer) -> int:
    """Places that predict a token of a choice, each counted once however many choices go on from it."""
    return sum(len({choice[:n] for choice in q.row.choices for n in range(len(choice))}) for q in scorer.questions)
