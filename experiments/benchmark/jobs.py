"""The jobs of the benchmark: ours, the obvious way with TransformerLens, and the operations that the job must do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from package import SteeringVectors
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import steerlens as sl
from steerlens.evaluation import Mode, Scorer, sweep
from steerlens.probing import PROBES, Folds, separability
from steerlens.steering import difference_of_means

LOCALE = "es-ES"
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


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


class Bench:
    """Model, items and vectors that all jobs share."""

    def __init__(self, model: sl.LensModel, *, quick: bool, other: Path | None) -> None:
        self.model = model
        split = sl.data.atlas([LOCALE]).split(seed=0)
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
            **self._theirs("extraction"),
        }
        return Job("extraction", ways, 2 * self.blocks * self._tokens(self.prompts))

    def means(self) -> Job:
        prompts = [*self.pairs.positive, *self.pairs.negative]
        ways: dict[str, Way] = {
            "steerlens": lambda: difference_of_means(self.model, self.pairs),
            "run_with_cache": lambda: self._batches(self._cached, prompts),
            **self._theirs("means"),
        }
        return Job("difference of means", ways, 2 * self.blocks * self._tokens(prompts))

    def scored(self) -> Job:
        scorer = Scorer(self.model, self.scored_items)
        ways = {"steerlens": lambda: scorer.score(self.plan), "run_with_hooks": lambda: self._plainly(self.scored_items)}
        rows, places = _tokens(scorer), _places(scorer)
        return Job("one scored plan", ways, 2 * self.blocks * rows + self._unembedding(places))

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
        once = 2 * self.blocks * _tokens(scorer) + self._unembedding(_places(scorer))
        flops = once + 2 * self.blocks * onward * above * len(STRENGTHS) + cells * self._unembedding(_places(scorer))
        return Job("exact sweep", ways, flops, {"run_with_hooks": cells})

    def probed(self) -> Job:
        """Both: the folds, a logistic probe a layer and fold, its held-out AUROC. ``separability`` does that and all the rest."""
        stack = self.model.residuals(self.prompts).where(lambda prompt: prompt.form != "explicit")
        ways = {
            "steerlens": lambda: _probed(stack),
            "scikit-learn loop": lambda: _sklearn(stack),
            "separability, with baselines and intervals": lambda: separability(stack),
        }
        return Job("probing", ways)

    def generated(self) -> Job:
        def steered() -> None:
            with self.plan.applied(self.model):
                self.model.generate(self.texts, 24, min_new_tokens=24)

        ways: dict[str, Way] = {
            "steerlens": steered,
            "unsteered": lambda: self.model.generate(self.texts, 24, min_new_tokens=24),
        }
        if package := self.package:
            ways["steering-vectors"] = lambda: package.run("generation")
        return Job("steered generation", ways)

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
            run(torch.tensor([rows[i] + [0] * (length - len(rows[i])) for i in indices]))

    @torch.no_grad()
    def _bare(self, tokens: torch.Tensor) -> None:
        self.model.tl.original_model.base_model(input_ids=tokens, use_cache=False)

    @torch.no_grad()
    def _cached(self, tokens: torch.Tensor) -> None:
        self.model.tl.run_with_cache(tokens, names_filter=lambda name: name.endswith("hook_resid_post"))

    @torch.no_grad()
    def _plainly(self, items: sl.data.Items) -> None:
        """Every choice as a text of its own, a batch an item, logits everywhere."""
        for item in items:
            place = sl.data.locale(item.locale)
            rows = [list(self.model.tokens(item.prompt().text + place.space + choice).ids) for choice in item.choices]
            length = max(map(len, rows))
            tokens = torch.tensor([row + [0] * (length - len(row)) for row in rows])
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


def _probed(stack: sl.ResidualStack) -> torch.Tensor:
    """AUROC by layer and fold, all in one solve."""
    labels = [int(prompt.kind == "factual") for prompt in stack.prompts]
    folds = Folds.by_concept(labels, [prompt.concept for prompt in stack.prompts])
    return folds.auroc(PROBES["logistic"](stack.residuals, folds))


def _sklearn(stack: sl.ResidualStack) -> list[float]:
    """The loop that one writes: a pipeline per layer and fold."""
    y = np.array([int(prompt.kind == "factual") for prompt in stack.prompts])
    groups, scores = [prompt.concept for prompt in stack.prompts], []
    for layer in stack.layers:
        x = stack.at(layer).numpy()
        for train, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(x, y, groups):
            probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
            scores.append(roc_auc_score(y[test], probe.fit(x[train], y[train]).decision_function(x[test])))
    return scores
