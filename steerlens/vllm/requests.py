"""Requests to vLLM: rows of tokens under plans, given in parts that vllm-lens can go through."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from steerlens.models.batches import Row
from steerlens.vllm.placed import PlacedPlan, extra_args

if TYPE_CHECKING:
    from steerlens.steering import SteeringPlan

_AT_ONCE = 64
"""Requests at once that vllm-lens works on: it looks through all of them for each one, at every block."""


class Requests:
    """What a ``vllm.LLM`` is asked."""

    def __init__(self, llm: Any) -> None:
        """Takes the model.

        Args:
            llm: vLLM's ``LLM``, with vllm-lens.
        """
        self.llm = llm
        self.in_force: tuple[SteeringPlan, ...] = ()
        """The plans that every request is steered by, before the plan of its own."""

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
        """Yields vLLM's output of each row, in their order.

        Args:
            rows: the tokens that are given. Their choices are not run.
            plan: what the rows are steered by; nothing for ``None``.
            ends: where the prompt of each row ends, in tokens; for ``None`` with the row. What follows counts as generated.
            layers: the blocks whose residual stream is given back.
            params: vLLM's ``SamplingParams`` of each row; for ``None`` those of one greedy token.
            settings: other parameters of that one, such as ``prompt_logprobs``.

        Raises:
            ModelError: vLLM did not run a plan at every token.
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
        """Returns the plans in force and the given one as one; ``None`` if nothing is steered."""
        plans = [own for own in (*self.in_force, plan) if own is not None and own.layers]
        return sum(plans[1:], plans[0]) if plans else None
