"""The scorer of items. A scorer turns items into rows of tokens once, and can then score the items under many plans."""

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
    """A scorer of items of one or more locales under any steering plan."""

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
            items: the items that are scored.
            scoring: how choices are presented and scored; ``None`` takes the defaults.
            batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
            memory: the largest number of bytes for the cached residuals of a batch in a sweep, or for the cached blocks in a
                backward pass. If the residuals of all layers do not fit, further passes cache the remaining layers.
            short: whether the logits of a sweep's plans are computed for only a part of the vocabulary. The part contains the
                tokens of the choices and the tokens that are probable in the unsteered model. A short vocabulary is enough to
                find promising plans and takes much less time.
            plans: the number of plans of later sweeps. The size of the batches depends on the number of plans.

        Raises:
            PromptError: there are no items, or no prompt can be made from an item.
            ModelError: the architecture computes its logits in a way that cannot be reproduced token by token.
        """
        if not items:
            raise PromptError("no items given: expected at least one item.")
        model.check_unembedding()
        self.model = model
        self.questions = [ask(model, item, scoring or Scoring()) for item in items]
        rows = [question.row for question in self.questions]
        make = getattr(model.backend, "engine", Engine)  # some backends, such as vLLM's, score rows themselves
        self.engine = make(model, rows, batch_size=batch_size, memory=memory, short=short, plans=plans)

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def n_batches(self) -> int:
        """The number of batches into which the items are divided."""
        return self.engine.n_batches

    @property
    def base(self) -> list[Outcome]:
        """The outcome of every item when the scorer applies no plan. The outcomes are computed once for the model's current
        hooks and weights."""
        return self._outcomes(self.engine.base)

    def score(self, plan: SteeringPlan | None = None) -> list[Outcome]:
        """Returns every item's outcome from full forward passes. A prefix that all items share is computed only once.

        Args:
            plan: the plan that steers the model; ``None`` means no steering.

        Raises:
            FingerprintError: the plan belongs to another model.
        """
        return self._outcomes(self.engine.log_probabilities(plan))

    def sweep(self, plans: Sequence[SteeringPlan]) -> Iterator[tuple[int, list[Outcome] | None]]:
        """Scores every item under every plan. The blocks below the first steered layer are run only once for all plans. If no
        plan steers the tokens before a prompt's last token, these tokens are also run only once.

        Args:
            plans: any number of plans of this model.

        Yields:
            A pair after each batch of a plan, to show progress. The pair contains the plan's index and ``None`` or, after the
            last batch of the plan, the plan's outcomes.

        Raises:
            FingerprintError: a plan belongs to another model.
        """
        for index, sums in self.engine.sweep(plans):
            yield index, None if sums is None else self._outcomes(sums)

    def gradients(
        self, layers: Sequence[int], tokens: SteeredTokens, report: Callable[[int], None] | None = None
    ) -> Float[Tensor, "layer item d_model"]:
        """Returns a derivative for each layer and item: the derivative of the item's margin with respect to a vector that is
        added after this layer alone, at the steered tokens.

        The margin is the answer's score minus the runner-up's score. The runner-up is the choice, other than the answer, that
        has the best score in the unsteered model.

        Args:
            layers: block indices. The derivatives are returned in ascending order of the layers.
            tokens: the tokens at which the vector is added.
            report: a function that is called with the number of items finished since the last call.

        Raises:
            LayerError: the model does not have a layer.
            ModelError: the backend cannot compute derivatives.
        """
        steered = partial(steered_tokens, tokens=tokens)
        weigh, onward = self._margin_weights, leaves_prompt(tokens)
        return row_gradients(self.engine, layers, steered, weigh, leaves_prompt=onward, report=report)

    def _outcomes(self, sums: Sums) -> list[Outcome]:
        return [self._outcome(number, own) for number, own in enumerate(sums)]

    def _outcome(self, number: int, sums: Sequence[float]) -> Outcome:
        """Returns the outcome of one item. Each choice gets the score of its best name."""
        question = self.questions[number]
        return Outcome(question.item, tuple(question.score(name, sums) for name in question.best_names(sums)))

    def _margin_weights(self, number: int, sums: Sequence[float]) -> list[float]:
        """Returns the weight of each name's log probability in an item's margin. The margin is the answer's score minus the
        runner-up's score."""
        outcome, question = self._outcome(number, sums), self.questions[number]
        best = question.best_names(sums)
        of = {best[outcome.item.answer]: 1.0, best[outcome.runner_up]: -1.0}
        return [of.get(name, 0.0) / by for name, by in enumerate(question.divisors)]
