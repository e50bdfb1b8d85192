"""The base class of alignment methods. A subclass defines the examples and the loss of one method."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from steerlens.alignment.examples import Encoded
from steerlens.alignment.learner import Learner
from steerlens.data.parallel import ParallelCorpus
from steerlens.errors import SettingsError
from steerlens.models.tokens import Tokenizer

Weights = Literal["all", "attention"]
"""The weights of a block that an adapter changes: all linear maps, or only the linear maps of attention."""


@dataclass(frozen=True)
class Example:
    """The input of a loss: one text, or several related texts."""

    texts: tuple[Encoded, ...]
    """One text, or several texts. The method decides which texts these are, for example an English text and its translation."""
    about: str
    """The subject of the example, which is the id of its concept or the key of its row. Two examples with the same subject are
    not used as negatives for each other."""


Stream = Sequence[Example]
"""Examples from which batches are made. If a method has several streams, the training steps use each stream in turn."""


@dataclass(frozen=True)
class Objective(ABC):
    """A method of alignment, which makes examples from parallel texts and has a loss.

    To add a method, write a subclass that is a frozen dataclass. The fields of the class are the method's settings.
    """

    name: ClassVar[str]
    """The method's name in tables and figures."""
    source: ClassVar[str]
    """The paper of the method, and the differences between this implementation and the paper."""
    weights: ClassVar[Weights] = "all"
    """The weights that the method's adapter changes."""
    least_batch: ClassVar[int] = 1
    """The smallest number of examples in a batch from which the method can learn."""

    @abstractmethod
    def streams(self, corpus: ParallelCorpus, locales: Sequence[str], tokenizer: Tokenizer) -> tuple[Stream, ...]:
        """Returns the training examples, with one stream for each kind of batch.

        Args:
            corpus: the parallel texts.
            locales: the locales that are aligned with English.
            tokenizer: the model's tokenizer.

        Raises:
            DataError: the corpus has no examples that the method can use.
        """

    @abstractmethod
    def losses(self, learner: Learner, batch: Sequence[Example], stream: int) -> dict[str, Float[Tensor, ""]]:
        """Returns the loss terms of a batch by name. Training minimises the sum of the terms.

        Args:
            learner: the model that is trained.
            batch: examples of one stream.
            stream: the index of that stream.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as JSON values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def check_positive(whose: str, **settings: float) -> None:
    """Raises an error for settings that are not numbers above zero.

    Args:
        whose: the name of the method to which the settings belong, for the error message.
        settings: the numbers by name.

    Raises:
        SettingsError: a setting is not a number above zero.
    """
    for name, given in settings.items():
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < float("inf"):
            raise SettingsError(f"{name} {given!r} given for {whose}: expected a number above 0.")
