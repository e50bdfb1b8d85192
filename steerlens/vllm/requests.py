"""Sends requests to vLLM. A request is a row of tokens with a plan. The number of requests that are sent together is limited,
because vllm-lens is slow with many requests."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from steerlens.models.batches import Row
from steerlens.vllm.placed import PlacedPlan, extra_args

if TYPE_CHECKING:
    from steerlens.steering import SteeringPlan

_AT_ONCE = 64
"""The number of requests that are sent at the same time. The number is small, because vllm-lens searches through all of these
requests once for each request, at every block."""


class Requests:
    """Sends requests to a ``vllm.LLM``."""

    def __init__(self, llm: Any) -> None:
        """Stores the ``vllm.LLM`` object.

        Args:
            llm: the ``vllm.LLM`` object, with vllm-lens.
        """
        self.llm = llm
        self.in_force: tuple[SteeringPlan, ...] = ()
        """The plans that steer every request, in addition to the plan of the request. These plans are applied first."""

    def run(
        self,
        rows: Sequence[Row],
        plan: "SteeringPlan | None" = None,
        *,
        ends: Sequence[int] | None = None,
        layers: Sequence[int] = (),
        params: Sequence[Any] | None = None,
        **settings: Any,
    ) -> Iterator[Any]:
        """Yields the output of vLLM for each row, in the order of the rows.

        Args:
            rows: the rows with the tokens of the requests. The choices of the rows are not run.
            plan: the plan that steers the rows, or ``None`` for no steering.
            ends: the length of the prompt of each row, in tokens. Later tokens count as generated tokens. ``None`` takes the full
                length of the row.
            layers: the indices of the blocks whose residual stream is returned.
            params: the ``SamplingParams`` of vLLM for each row. ``None`` generates one greedy token for each row.
            settings: other ``SamplingParams`` if ``params`` is ``None``, such as ``prompt_logprobs``.

        Raises:
            ModelError: vLLM left out a plan at one or more of the tokens that the plan steers.
        """
        from vllm import SamplingParams

        whole, last = self._whole(plan), [len(row.prompt) for row in rows] if ends is None else ends
        size = _AT_ONCE if whole is not None or layers else max(1, len(rows))
        for begin in range(0, len(rows), size):
            part = range(begin, min(begin + size, len(rows)))
            prompts = [{"prompt_token_ids": list(rows[i].prompt)} for i in part]
            given = [SamplingParams(temperature=0, max_tokens=1, **settings) if params is None else params[i] for i in part]
            placed = [None if whole is None else PlacedPlan(whole, last[i], rows[i].front) for i in part]
            for own, where in zip(given, placed, strict=True):
                own.extra_args = extra_args(where, layers)
            for i, output, where in zip(part, self.llm.generate(prompts, given, use_tqdm=False), placed, strict=True):
                if where is not None:
                    where.check(getattr(output, "hook_results", None), len(rows[i].prompt), len(output.outputs[0].token_ids))
                yield output

    def _whole(self, plan: "SteeringPlan | None") -> "SteeringPlan | None":
        """Returns the plans that steer every request and the given plan as one plan, or ``None`` if nothing is steered."""
        plans = [own for own in (*self.in_force, plan) if own is not None and own.layers]
        return sum(plans[1:], plans[0]) if plans else None
