"""Scoring with vLLM: every choice of every row is a separate request, for which vLLM returns the log probabilities of its
tokens."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from steerlens.errors import ModelError
from steerlens.models.batches import Row
from steerlens.models.targets import Sums

if TYPE_CHECKING:
    from steerlens.steering import SteeringPlan
    from steerlens.vllm.model import VllmModel


class VllmEngine:
    """Rows, each a prompt with its choices, that can be run under any plan. It has the methods of ``models.engine.Engine``."""

    def __init__(self, model: "VllmModel", rows: Sequence[Row]) -> None:
        """Makes a request from every choice.

        Args:
            model: the model that runs the requests.
            rows: prompts with their choices, at least one row.
        """
        self.model, self.rows = model, tuple(rows)
        self.requests = [(number, choice) for number, row in enumerate(rows) for choice in range(len(row.choices))]
        self._base: tuple[object, Sums] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_batches(self) -> int:
        """The number of a plan's batches for the progress bar: one, because vLLM orders requests itself."""
        return 1

    @property
    def base(self) -> Sums:
        """The log probabilities without a plan of this engine. They are computed once for the plan that is applied now."""
        hooks = self.model.backend.hooks_on()
        if self._base is None or self._base[0] != hooks:
            self._base = (hooks, self.log_probabilities())
        return self._base[1]

    def log_probabilities(self, plan: "SteeringPlan | None" = None) -> Sums:
        """Returns the sum of log probabilities of every choice, by row, in nats.

        Args:
            plan: the plan that steers the model; ``None`` for no steering.

        Raises:
            FingerprintError: the plan belongs to another model.
            ModelError: vLLM did not run the plan at every token.
        """
        if plan is not None:
            plan.check(self.model)
        asked = [Row((*self.rows[n].prompt, *self.rows[n].choices[c]), (), self.rows[n].front) for n, c in self.requests]
        ends = [len(self.rows[n].prompt) for n, _ in self.requests]
        sums: Sums = [[] for _ in self.rows]
        outputs = self.model.requests.run(asked, plan, ends=ends, prompt_logprobs=0)
        for (number, _), row, end, output in zip(self.requests, asked, ends, outputs, strict=True):
            sums[number].append(summed(output.prompt_logprobs, row.prompt, end))
        return sums

    def sweep(self, plans: Sequence["SteeringPlan"]) -> Iterator[tuple[int, Sums]]:
        """Runs every row under every plan, one plan after another, as vLLM's passes cannot continue from each other.

        Args:
            plans: any number of plans of this model.

        Yields:
            The plan's index, with the log probabilities.

        Raises:
            FingerprintError: a plan belongs to another model.
        """
        for plan in plans:
            plan.check(self.model)
        for index, plan in enumerate(plans):
            yield index, self.log_probabilities(plan)


def summed(given: Sequence[Mapping[int, Any] | None] | None, ids: Sequence[int], first: int) -> float:
    """Returns the sum of the log probabilities of a text's tokens, from a given token onward.

    Args:
        given: vLLM's ``prompt_logprobs``: for each token except the first, objects with a ``logprob`` in nats, by token id.
        ids: the tokens of the text.
        first: the index of the first token that counts.

    Raises:
        ModelError: vLLM did not return a log probability for every token.
    """
    if given is None or len(given) != len(ids):
        raise ModelError(
            f"vLLM returned log probabilities of {len(given or ())} tokens, but the text has {len(ids)}: expected one for "
            "each. Install the version of vLLM that the extra vllm names."
        )
    each = [(given[at] or {}).get(ids[at]) for at in range(first, len(ids))]
    if None in each:
        raise ModelError(f"vLLM returned no log probability of token {ids[first + each.index(None)]}, which is in the text.")
    return float(sum(float(own.logprob) for own in each if own is not None))
