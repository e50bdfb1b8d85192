"""Methods and their composition. A method is anything that can be compared on the transfer-localization plane, such as a
steering plan, an explicit prompt or another checkpoint."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakKeyDictionary, ref

from steerlens.data import Form
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.models import LensModel, load
from steerlens.models.hooks import Hook, residual_hook
from steerlens.steering import SteeringPlan

EXPLICIT = "explicit prompt"
"""The name of the method that names the country in the prompt and does not steer. The explicit prompt shows which results LOC
steering tries to reach."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A method that is ready to run in one locale."""

    model: LensModel
    """The model that answers the items."""
    plan: SteeringPlan | None = None
    """The plan that steers the model."""
    form: Form = "implicit"
    """The form of the prompt that is used for cultural items."""
    hooks: tuple[Hook, ...] = ()
    """The hooks that are attached to the model while the model runs."""

    def __post_init__(self) -> None:
        if not isinstance(self.model, LensModel):
            raise SettingsError(
                f"{self.model!r:.60} given as the model of a method: expected a LensModel, such as the result of "
                "sl.load. The function of a Trained method must return the model that it trained."
            )

    def described(self) -> str:
        """Returns a description for tables: the weights, the plan with its digest, the form of the prompt, and the names of
        the hook points."""
        plan = [f"{self.plan} ({self.plan.digest()[:12]})"] if self.plan is not None else []
        hooks = [f"hook at {name}" for name, _ in self.hooks]
        return ", ".join([f"weights {self.model.fingerprint.weights[:12]}", *plan, f"{self.form} prompt", *hooks])


class Method(ABC):
    """The base class of methods, which answer items. Two methods are composed with ``+``, which puts the second method on top
    of the first method."""

    @property
    def locales(self) -> tuple[str, ...] | None:
        """The locales in which the method can be used; ``None`` means all locales."""
        return None

    @property
    def brings_model(self) -> bool:
        """Whether the method loads its own model in addition to the base model. The method's own model is loaded only while
        the method runs."""
        return False

    @abstractmethod
    def prepared(self, model: LensModel, locale: str) -> Prepared:
        """Returns the method, ready to run in one locale.

        Args:
            model: the base model on which methods are compared.
            locale: the locale whose items are answered.

        Raises:
            UnknownNameError: the method is not for this locale.
        """

    def __add__(self, other: "Method") -> "Composed":
        return Composed(self, other)


@dataclass(frozen=True, eq=False)
class Steered(Method):
    """The model under a steering plan. There is one plan for all locales, or one plan for each locale."""

    plans: SteeringPlan | Mapping[str, SteeringPlan]

    @property
    def locales(self) -> tuple[str, ...] | None:
        """The locales of the plans; ``None`` if there is one plan for all locales."""
        return None if isinstance(self.plans, SteeringPlan) else tuple(self.plans)

    def plan(self, locale: str) -> SteeringPlan:
        """Returns the plan of one locale.

        Args:
            locale: the locale of the plan.

        Raises:
            UnknownNameError: there is no plan for the locale.
        """
        if isinstance(self.plans, SteeringPlan):
            return self.plans
        if locale not in self.plans:
            raise UnknownNameError("locale of a plan", locale, self.plans)
        return self.plans[locale]

    def prepared(self, model: LensModel, locale: str) -> Prepared:
        """Returns the model with the locale's plan. A plan without steps is left out, so the results of the unsteered model are
        used.

        Args:
            model: the base model on which methods are compared.
            locale: the locale whose items are answered, for example ``es-ES``.
        """
        plan = self.plan(locale)
        return Prepared(model, plan if plan.steps else None)


@dataclass(frozen=True, eq=False)
class Checkpoint(Method):
    """Another checkpoint of the base model, or an adapter for the base model. The checkpoint is loaded when the method is
    first used."""

    source: LensModel | str | Path
    """A loaded model, a folder or name for ``sl.load``, or the folder of a PEFT adapter of the base model."""
    _loaded: WeakKeyDictionary[LensModel, ref[LensModel]] = field(default_factory=WeakKeyDictionary, init=False, repr=False)
    """The model that was loaded for each base model. A loaded model is kept only while it is used, because many checkpoints
    would fill the memory."""

    @property
    def brings_model(self) -> bool:
        """Whether the method loads a model. The value is ``False`` if a loaded model was given."""
        return not isinstance(self.source, LensModel)

    @property
    def is_adapter(self) -> bool:
        """Whether the source is the folder of an adapter. The adapter is put on the model with which the method is used."""
        return not isinstance(self.source, LensModel) and (self._path / "adapter_config.json").is_file()

    @property
    def _path(self) -> Path:
        return Path(str(self.source)).expanduser()

    def prepared(self, model: LensModel, locale: str) -> Prepared:  # noqa: ARG002 (every method takes the locale)
        """Returns the unsteered checkpoint.

        Args:
            model: the base model on which methods are compared.
            locale: the locale whose items are answered, for example ``es-ES``.

        Raises:
            SettingsError: an adapter is used on a model that already has an adapter.
        """
        if isinstance(self.source, LensModel):
            return Prepared(self.source)
        there = self._loaded.get(model)
        own = None if there is None else there()
        if own is None:
            own = self._adapted(model) if self.is_adapter else load(self.source, dtype=model.dtype, **model.placing)
            self._loaded[model] = ref(own)
        return Prepared(own)

    def _adapted(self, model: LensModel) -> LensModel:
        if model.spec.adapter is not None:
            raise SettingsError(
                f"adapter {self.source} was given for {model.name}, which already has adapter {model.spec.adapter}: expected a "
                "model without an adapter. Merge the model's adapter into its weights, save the merged model, and load the "
                "merged model as the base."
            )
        return replace(model.spec, adapter=str(self._path)).load()


@dataclass(frozen=True, eq=False)
class Checkpoints(Method):
    """A separate checkpoint or adapter for each locale."""

    each: Mapping[str, Checkpoint | LensModel | str | Path]
    """The checkpoint of each locale, or the source from which the checkpoint is loaded."""

    def __post_init__(self) -> None:
        own = {code: one if isinstance(one, Checkpoint) else Checkpoint(one) for code, one in self.each.items()}
        object.__setattr__(self, "each", own)

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales of the checkpoints."""
        return tuple(self.each)

    @property
    def brings_model(self) -> bool:
        """Whether the method loads at least one of the checkpoints."""
        return any(isinstance(own, Checkpoint) and own.brings_model for own in self.each.values())

    def prepared(self, model: LensModel, locale: str) -> Prepared:
        """Returns the locale's unsteered checkpoint.

        Args:
            model: the base model on which methods are compared.
            locale: the locale whose items are answered, for example ``es-ES``.
        """
        if locale not in self.each:
            raise UnknownNameError("locale of a checkpoint", locale, self.each)
        own = self.each[locale]
        return (own if isinstance(own, Checkpoint) else Checkpoint(own)).prepared(model, locale)


@dataclass(frozen=True, eq=False)
class Trained(Method):
    """A model that a function makes from the base model, for example by alignment training, merging, or editing of weights.
    The function is called once for each base model."""

    make: Callable[[LensModel], LensModel]
    _made: dict[LensModel, LensModel] = field(default_factory=dict, init=False, repr=False)

    def prepared(self, model: LensModel, locale: str) -> Prepared:  # noqa: ARG002 (every method takes the locale)
        """Returns the unsteered trained model.

        Args:
            model: the base model on which methods are compared.
            locale: the locale whose items are answered, for example ``es-ES``.
        """
        if model not in self._made:
            self._made[model] = self.make(model)
        return Prepared(self._made[model])


@dataclass(frozen=True, eq=False)
class ExplicitPrompt(Method):
    """The unsteered model with the country named in the prompt."""

    def prepared(self, model: LensModel, locale: str) -> Prepared:  # noqa: ARG002
        """Returns the unsteered model with the explicit form of prompts.

        Args:
            model: the base model on which methods are compared.
            locale: the locale whose items are answered, for example ``es-ES``.
        """
        return Prepared(model, form="explicit")


@dataclass(frozen=True, eq=False)
class Hooked(Method):
    """The model with your own TransformerLens hooks."""

    hooks: Sequence[Hook] | Callable[[LensModel, str], Sequence[Hook]]
    """``[(hook_name, fn)]``, or a function that returns such a list for the model and a locale."""

    def prepared(self, model: LensModel, locale: str) -> Prepared:
        """Returns the model with the hooks.

        Args:
            model: the base model on which methods are compared.
            locale: the locale whose items are answered, for example ``es-ES``.

        Raises:
            SettingsError: an element of the list is not a hook, or the model does not have one of the hook points.
        """
        hooks = tuple(self.hooks(model, locale) if callable(self.hooks) else self.hooks)
        if any(not isinstance(hook, tuple) or len(hook) != 2 or not callable(hook[1]) for hook in hooks):
            raise SettingsError(f"{hooks!r:.80} given as hooks: expected a list of pairs (hook_name, function).")
        try:
            with model.backend.hooked(hooks):  # nothing runs: only the names are checked
                return Prepared(model, hooks=hooks)
        except LookupError as error:
            names = ", ".join(str(name) for name, _ in hooks)
            raise SettingsError(
                f"hooks at {names} were given, but {model.name} lacks some of these hook points ({error}): expected names of "
                f"TransformerLens hook points, such as {residual_hook(0)!r}."
            ) from error


@dataclass(frozen=True, eq=False)
class Composed(Method):
    """Two methods that are used together. The second method is put on top of the first method, for example a plan on an
    adapter."""

    first: Method
    second: Method

    @property
    def locales(self) -> tuple[str, ...] | None:
        """The locales in which both methods can be used."""
        one, two = self.first.locales, self.second.locales
        return two if one is None else one if two is None else tuple(code for code in one if code in two)

    @property
    def brings_model(self) -> bool:
        """Whether one of the two methods loads its own model."""
        return self.first.brings_model or self.second.brings_model

    def prepared(self, model: LensModel, locale: str) -> Prepared:
        """Returns both methods together. Plans that belong to the base model or to the first method's model are moved to the
        model that answers the items.

        Args:
            model: the base model on which methods are compared.
            locale: the locale whose items are answered, for example ``es-ES``.

        Raises:
            FingerprintError: a plan belongs to none of the composed models.
            SettingsError: a whole checkpoint is put on top of another model, which the checkpoint would replace.
        """
        below = self.first.prepared(model, locale)
        if below.model is not model and _replaces(self.second, locale):
            raise SettingsError(
                f"a whole checkpoint was put on top of {below.model.name}, but a checkpoint would replace this model: expected "
                "an adapter, a plan or hooks on top. Give the checkpoint as a separate method."
            )
        above = self.second.prepared(below.model, locale)
        among = (model, below.model, above.model)
        plans = [_moved(own.plan, among) for own in (below, above) if own.plan is not None]
        form: Form = "explicit" if "explicit" in (below.form, above.form) else "implicit"
        return Prepared(above.model, sum(plans[1:], plans[0]) if plans else None, form, (*below.hooks, *above.hooks))


def _replaces(method: Method, locale: str) -> bool:
    """Returns whether a method runs another model instead of the model that it is given."""
    if isinstance(method, Composed):
        return _replaces(method.first, locale) or _replaces(method.second, locale)
    own = method.each.get(locale) if isinstance(method, Checkpoints) else method
    return isinstance(own, Checkpoint) and not own.is_adapter


def _moved(plan: SteeringPlan, among: Sequence[LensModel]) -> SteeringPlan:
    """Moves a plan from one of the given models to the last model, and returns the moved plan."""
    if all(plan.fingerprint.differences(own.fingerprint) for own in among):
        plan.check(among[-1])  # raises an error
    return plan.moved_to(among[-1])
