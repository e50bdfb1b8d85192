"""The model that a harness runs, with the plan and the hooks of a method."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from uuid import uuid4

from steerlens.errors import ModelError, SettingsError
from steerlens.evaluation.given_methods import GivenMethod, method_of
from steerlens.evaluation.methods import Prepared
from steerlens.models.lens import LensModel
from steerlens.provenance import provenance
from steerlens.steering.code import code_digest

INFO = "steerlens"
"""The key of the model's description in the results of a harness."""


@dataclass(frozen=True, eq=False)
class SteeredRun:
    """A model that was prepared by a method."""

    prepared: Prepared
    _number: str = field(default_factory=lambda: uuid4().hex, init=False, repr=False)

    @classmethod
    def of(cls, model: LensModel, method: GivenMethod | None, locale: str) -> "SteeredRun":
        """Prepares the model with a method.

        Args:
            model: the base model.
            method: a plan or another method, or ``None`` for the unsteered model.
            locale: the locale whose plan is used, for a method with one plan per locale.

        Raises:
            SettingsError: ``method`` is not a method, or the method uses explicit prompts. The tasks of a harness have no
                explicit prompts.
            UnknownNameError: the method has no plan for the locale.
            FingerprintError: a plan belongs to another model.
        """
        prepared = Prepared(model) if method is None else method_of(method).prepared(model, locale)
        if prepared.form == "explicit":
            raise SettingsError(
                "a method that uses explicit prompts given: expected another method, because the tasks of a harness have "
                "their own prompts."
            )
        if prepared.plan is not None:
            prepared.plan.check(prepared.model)
        return cls(prepared)

    @property
    def model(self) -> LensModel:
        """The model that runs."""
        return self.prepared.model

    @contextmanager
    def steered(self) -> Iterator[LensModel]:
        """Steers every pass of the model inside the ``with`` block."""
        plan, backend = self.prepared.plan, self.model.backend
        with backend.applied([*self.prepared.hooks, *(plan.hooks(self.model) if plan else [])]):
            yield self.model

    def check_read(self, whose: str) -> None:
        """Raises an error if the plan steers only the tokens of prompts. The method is called for requests that have no prompt.

        Args:
            whose: a description of the requests, for the error.

        Raises:
            SettingsError: a step steers only the tokens of the prompt.
        """
        plan = self.prepared.plan
        if plan is not None and any(step.tokens == "prompt" for step in plan.steps):
            raise SettingsError(
                f"plan ({plan}) steers only the tokens of prompts, but {whose} have no prompt and would be scored unsteered. "
                "Give a plan for other tokens, such as 'last_onward' or 'all', or leave these tasks out."
            )

    def info(self) -> dict[str, Any]:
        """Returns a description of the model and its steering as JSON values, for the results of a harness."""
        own = {"method": self.prepared.described(), "steered": self.prepared.plan is not None or bool(self.prepared.hooks)}
        return provenance(model=self.model.fingerprint.to_dict(), **own)

    def identity(self) -> list[Any]:
        """Returns JSON values that identify the model and its steering, for the keys of caches. The values contain the model, and
        the plan with the code of its operations. Hooks cannot be compared, so each run with hooks counts as a different run."""
        own, plan = self.info(), self.prepared.plan
        code = [] if plan is None else [code_digest(type(step.edit)) for step in plan.steps]
        return [{**own["model"], "name": ""}, own["method"], code, self._number if self.prepared.hooks else ""]


def needed(package: str, name: str) -> Any:
    """Imports and returns a module of an optional package.

    Args:
        package: the name of the module.
        name: the name of the package for pip.

    Raises:
        ModelError: the package is not installed. The message names the extra that installs the package.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ModelError(
            f"{name} is needed here but cannot be imported ({error}). Install it with: pip install 'steerlens[harness]'"
        ) from error
