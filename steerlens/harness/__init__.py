"""Connects steerlens with evaluation harnesses. The tasks of a harness run on a steered model, and the results of a harness are
converted to answers and planes."""

from steerlens.harness.inspect_logs import inspect_answers
from steerlens.harness.inspect_models import inspect_model
from steerlens.harness.lm_eval_models import lm_eval_model
from steerlens.harness.lm_eval_results import lm_eval_answers
from steerlens.harness.lm_eval_tasks import lm_eval_task

__all__ = ["inspect_answers", "inspect_model", "lm_eval_answers", "lm_eval_model", "lm_eval_task"]
