"""A scorer: items that are turned into rows of tokens once, so that many plans can be scored on them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from jaxtyping import Float
from torch import Tensor

from steerlens.data import Item, Items
from steerlens.errors import PromptError
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.questions import ask
from steerlens.models.derivatives import row_gradients
from steerlens.models.engine import MEMORY, Engine
from steerlens.models.lens import LensModel
from steerlens.models.targets import Sums
from steerlens.settings import Scoring, SteeredTokens
from steerlens.steering import SteeringPlan
from steerlens.steering.tokens import leaves_prompt, steered_tokens


class Scorer:
    """Items of one or more locales that can be scored under any plan."""

    def __init__(
        self,
        model: LensModel,
        items: Items | Sequence[Item],
        scoring: Scoring | None = None,
        *,
        batch_size: int | None = None,
        memory: int = MEMORY,
        short: bool = False,
        plans: int = 1,
    ) -> None:
        """Turns the items into rows of tokens.

        Args:
            model: the model that answers.
            items: the items.
            scoring: how choices are presented and scored; the defaults for ``None``.
            batch_size: the number of items in a batch; chosen for the device for ``None``.
            memory: the number of bytes that a sweep may keep of a batch's residuals, and a backward pass of its blocks. Layers
                that do not fit are cached in further passes.
            short: scores a sweep's plans with logits over a short list of the vocabulary: the tokens that carry the probability
                mass unsteered, and the tokens of the choices. This finds promising plans at a small part of the cost.
            plans: the number of plans that sweeps will have. The batches depend on it.

        Raises:
            PromptError: there are no items, or an item cannot be asked.
            ModelError: the architecture computes its logits in a way that cannot be reproduced token by token.
        """
        if not items:
            raise PromptError("no items given: expected at least one to score.")
        model.check_unembedding()
        self.model = model
        self.questions = [ask(model, item, scoring or Scoring()) for item in items]
        rows = [question.row for question in self.questions]
        make = getattr(model.backend, "engine", Engine)  # a backend that scores rows itself, as vLLM's
        self.engine = make(model, rows, batch_size=batch_size, memory=memory, short=short, plans=plans)

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def n_batches(self) -> int:
        """The number of batches that the items fill."""
        return self.engine.n_batches

    @property
    def base(self) -> list[Outcome]:
        """Every item's outcome without a plan of this scorer. They are computed once for the model's current hooks and
        weights."""
        return self._outcomes(self.engine.base)

    def score(self, plan: SteeringPlan | None = None) -> list[Outcome]:
        """Returns every item's outcome from full passes. A prefix that all items share runs once.

        Args:
            plan: the plan that steers the model; ``None`` for no steering.

        Raises:
            FingerprintError: the plan belongs to another model.
        """
        return self._outcomes(self.engine.log_probabilities(plan))

    def sweep(self, plans: Sequence[SteeringPlan]) -> Iterator[tuple[int, list[Outcome] | None]]:
        """Scores every item under every plan. What the plans share runs once: blocks below the first steered layer and, if no
        plan steers them, the tokens before a prompt's last token.

        Args:
            plans: any number of plans of this model.

        Yields:
            The plan's index and ``None`` after each of its batches, to show progress. After the last batch, its outcomes in
                place of ``None``.

        Raises:
            FingerprintError: a plan belongs to another model.
        """
        for index, sums in self.engine.sweep(plans):
            yield index, None if sums is None else self._outcomes(sums)

    def gradients(
        self, layers: Sequence[int], tokens: SteeredTokens, report: Callable[[int], None] | None = None
    ) -> Float[Tensor, "layer item d_model"]:
        """Returns the derivative of each item's margin with respect to a vector added after each layer at the steered tokens.

        The margin is the answer's score minus the score of the choice that is the best other one in the unsteered model.

        Args:
            layers: block indices; the derivatives are in ascending order.
            tokens: the tokens that would be steered.
            report: called with the number of items finished since the last call.

        Raises:
            LayerError: the model does not have a layer.
            ModelError: the backend does not differentiate.
        """
        steered = partial(steered_tokens, tokens=tokens)
        weigh, onward = self._margin_weights, leaves_prompt(tokens)
        return row_gradients(self.engine, layers, steered, weigh, leaves_prompt=onward, report=report)

    def _outcomes(self, sums: Sums) -> list[Outcome]:
        return [self._outcome(number, own) for number, own in enumerate(sums)]

    def _outcome(self, number: int, sums: Sequence[float]) -> Outcome:
        """An item's outcome. Each choice has the score of its best name."""
        question = self.questions[number]
        return Outcome(question.item, tuple(question.score(name, sums) for name in question.best_names(sums)))

    def _margin_weights(self, number: int, sums: Sequence[float]) -> list[float]:
        """The weight of each name's log probability in an item's margin: the answer's score minus that of the runner-up."""
        outcome, question = self._outcome(number, sums), self.questions[number]
        best = question.best_names(sums)
        of = {best[outcome.item.answer]: 1.0, best[outcome.runner_up]: -1.0}
        return [of.get(name, 0.0) / by for name, by in enumerate(question.divisors)]
