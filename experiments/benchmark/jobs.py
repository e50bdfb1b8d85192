"""The jobs of the benchmark: ours, the obvious way with TransformerLens, and the operations that the job must do."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import steerlens as sl
from steerlens.evaluation import Exam, sweep
from steerlens.probing import PROBES, Folds, separability
from steerlens.steering import SteeringPlan, difference_of_means

LOCALE = "es-ES"
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Job:
    """One thing that is done, in several ways; the first is ours."""

    name: str
    ways: dict[str, Callable[[], object]]
    flops: float = 0.0
    """Floating-point operations that the job cannot do without; 0 where that is not counted."""
    times: dict[str, float] = field(default_factory=dict)
    """What a way's time has to be multiplied by, where it does a part of the job that stands for the whole."""


class Bench:
    """Model, items and vectors that all jobs share."""

    def __init__(self, model: sl.LensModel, *, quick: bool) -> None:
        self.model = model
        split = sl.data.atlas([LOCALE]).split(seed=0)
        self.train, dev = split.train.sample(24 if quick else 48), split.dev.sample(4 if quick else 8)
        self.items = dev.of(locale=LOCALE)
        self.prompts = list(self.train.of(locale=LOCALE).prompts())
        self.vector = difference_of_means(model, self.train.english_pairs(LOCALE))
        self.plan = self.vector.at(model.n_layers // 2, 1.0, "last_onward")
        self.blocks = sum(p.numel() for p in model.tl.blocks.parameters())

    def jobs(self) -> list[Job]:
        return [self.extraction(), self.means(), self.scored(), self.swept(), self.attributed(), self.probed(), self.generated()]

    def extraction(self) -> Job:
        tokens = sum(len(self.model.tokens(prompt.text)) for prompt in self.prompts)
        ways = {
            "steerlens": lambda: self.model.residuals(self.prompts),
            "blocks only": lambda: self._batches(self._bare),
            "run_with_cache": lambda: self._batches(self._cached),
        }
        return Job("extraction", ways, 2 * self.blocks * tokens)

    def means(self) -> Job:
        pairs = self.train.english_pairs(LOCALE)
        prompts = [*pairs.positive, *pairs.negative]
        tokens = sum(len(self.model.tokens(prompt.text)) for prompt in prompts)
        ways = {
            "steerlens": lambda: difference_of_means(self.model, pairs),
            "run_with_cache": lambda: self._batches(self._cached, prompts),
        }
        return Job("difference of means", ways, 2 * self.blocks * tokens)

    def scored(self) -> Job:
        exam = Exam(self.model, self.items)
        ways = {"steerlens": lambda: exam.score(self.plan), "run_with_hooks": lambda: self._plainly(self.plan)}
        return Job("one scored plan", ways, self._scoring(exam, 1.0))

    def swept(self) -> Job:
        """The obvious way runs one cell, which stands for all: each costs it the same."""
        layers, cells = self.model.layers(), self.model.n_layers * len(STRENGTHS)
        exam = Exam(self.model, self.items)
        ways = {
            "steerlens": lambda: sweep(self.model, self.items, [self.vector], layers, STRENGTHS, tokens="last_onward"),
            "run_with_hooks": lambda: self._plainly(self.plan),
        }
        above = sum(self.model.n_layers - 1 - layer for layer in layers) / self.model.n_layers
        flops = len(STRENGTHS) * (above * self._scoring(exam, 1.0, places=0) + len(layers) * self._scoring(exam, 0.0))
        return Job("exact sweep", ways, flops, {"run_with_hooks": cells})

    def attributed(self) -> Job:
        ways = {
            mode: lambda mode=mode: sweep(self.model, self.items, [self.vector], None, STRENGTHS, tokens="last_onward", mode=mode)
            for mode in ("attribution", "screened", "exact")
        }
        return Job("attribution sweep", ways)

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
        texts = [prompt.text for prompt in self.prompts[:4]]

        def steered() -> None:
            with self.plan.applied(self.model):
                self.model.generate(texts, 24, min_new_tokens=24)

        return Job(
            "steered generation",
            {"steerlens": steered, "unsteered": lambda: self.model.generate(texts, 24, min_new_tokens=24)},
        )

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
    def _plainly(self, plan: SteeringPlan) -> None:
        """Every choice as a text of its own, a batch an item, logits everywhere."""
        for item in self.items:
            place = sl.data.locale(item.locale)
            rows = [list(self.model.tokens(item.prompt().text + place.space + choice).ids) for choice in item.choices]
            length = max(map(len, rows))
            tokens = torch.tensor([row + [0] * (length - len(row)) for row in rows])
            self.model.tl.run_with_hooks(tokens, fwd_hooks=plan.hooks()).log_softmax(-1)

    def _scoring(self, exam: Exam, share: float, places: float = 1.0) -> float:
        """Operations of scoring: the blocks at every token of prompt and choices, the unembedding where one is predicted."""
        tokens = sum(len(question.row) for question in exam.questions)
        unembedded = sum(1 + sum(len(c) - 1 for c in question.row.choices) for question in exam.questions)
        vocabulary = self.model.tl.cfg.d_vocab
        return 2 * (share * self.blocks * tokens + places * self.model.d_model * vocabulary * unembedded)


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
