"""Scores rows with vLLM. Every choice of every row is a separate request, and vLLM returns the log probabilities of the request's
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
    """An engine that scores rows under any plan. A row is a prompt with its choices. ``models.engine.Engine`` has the same
    methods."""

    def __init__(self, model: "VllmModel", rows: Sequence[Row]) -> None:
        """Makes one request from each choice.

        Args:
            model: the model that runs the requests.
            rows: the prompts with their choices. There must be at least one row.
        """
        self.model, self.rows = model, tuple(rows)
        self.requests = [(number, choice) for number, row in enumerate(rows) for choice in range(len(row.choices))]
        self._base: tuple[object, Sums] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_batches(self) -> int:
        """The number of batches in which one plan is run, for the progress bar. The number is 1, because vLLM decides the order
        of the requests."""
        return 1

    @property
    def base(self) -> Sums:
        """The log probabilities of the choices without an additional plan. The plans of the ``with`` blocks around the call are
        applied. The log probabilities are computed again only if these plans change."""
        hooks = self.model.backend.hooks_on()
        if self._base is None or self._base[0] != hooks:
            self._base = (hooks, self.log_probabilities())
        return self._base[1]

    def log_probabilities(self, plan: "SteeringPlan | None" = None) -> Sums:
        """Returns the sum of log probabilities of every choice, by row, in nats.

        Args:
            plan: the plan that steers the model, or ``None`` for no steering.

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
        """Runs every row under every plan, one plan after another. Each plan needs complete passes, because vLLM cannot continue
        from the layers of an earlier pass.

        Args:
            plans: the plans for this model, in any number.

        Yields:
            The index of a plan, and the log probabilities under this plan.

        Raises:
            FingerprintError: a plan belongs to another model.
        """
        for plan in plans:
            plan.check(self.model)
        for index, plan in enumerate(plans):
            yield index, self.log_probabilities(plan)


def summed(given: Sequence[Mapping[int, Any] | None] | None, ids: Sequence[int], first: int) -> float:
    """Returns the sum of the log probabilities of a text's tokens, from the token with index ``first`` on.

    Args:
        given: the ``prompt_logprobs`` of vLLM. Each token except the first has a mapping from token ids to objects with a
            ``logprob`` in nats.
        ids: the tokens of the text.
        first: the index of the first token that is included in the sum.

    Raises:
        ModelError: vLLM did not return a log probability for every token.
    """
    if given is None or len(given) != len(ids):
        raise ModelError(
            f"vLLM returned log probabilities of {len(given or ())} tokens, but the text has {len(ids)}: expected one log "
            "probability for each token. Install the version of vLLM that the extra vllm names."
        )
    each = [(given[at] or {}).get(ids[at]) for at in range(first, len(ids))]
    if None in each:
        raise ModelError(
            f"vLLM returned no log probability of token {ids[first + each.index(None)]}, which is in the text: expected one log "
            "probability for each token. Install the version of vLLM that the extra vllm names."
        )
    return float(sum(float(own.logprob) for own in each if own is not None))
