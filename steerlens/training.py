"""The settings of a training run that all methods of alignment share. Nothing here imports PyTorch, as in ``settings``."""

from dataclasses import dataclass

from steerlens.errors import SettingsError


@dataclass(frozen=True)
class TrainingSettings:
    """How an adapter is trained.

    The defaults take some minutes for the embedded model on two cores.
    """

    steps: int = 150
    """The number of updates of the weights."""
    batch_size: int = 8
    """The number of examples in a batch. A contrastive loss has one wrong answer for every other example in the batch."""
    accumulate: int = 1
    """The number of batches whose gradients are averaged for an update. Each batch's loss is a mean over its own tokens."""
    learning_rate: float = 2e-4
    """The largest learning rate of AdamW. It falls linearly to zero."""
    warmup: float = 0.05
    """The share of the steps in which the learning rate rises from zero."""
    rank: int = 8
    """The rank of the LoRA adapter (Hu et al., arXiv 2106.09685)."""
    alpha: int = 16
    """The factor on the adapter's product, which is divided by the rank."""
    layers: tuple[int, ...] | None = None
    """The blocks that have an adapter, or ``None`` for all."""
    max_tokens: int = 256
    """The largest number of tokens of a text. Longer texts are left out and counted."""
    checkpoints: int = 5
    """The largest number of checkpoints that are kept, including the last one."""
    seed: int = 0
    """The seed of the adapter's initial weights and of the order of the examples."""

    def __post_init__(self) -> None:
        from_one = dict.fromkeys(("steps", "batch_size", "accumulate", "rank", "alpha", "max_tokens", "checkpoints"), 1)
        given = {name: (getattr(self, name), least) for name, least in {**from_one, "seed": 0}.items()}
        wrong = [f"{name} {own!r}" for name, (own, least) in given.items() if not _is_whole(own) or own < least]
        if wrong:
            raise SettingsError(
                f"{', '.join(wrong)} given for training: expected whole numbers of at least 1, and a seed of at least 0."
            )
        rate, warmup = self.learning_rate, self.warmup
        if not _is_share(rate) or rate == 0 or not _is_share(warmup):
            raise SettingsError(
                f"learning_rate {rate!r} and warmup {warmup!r} given for training: expected a learning_rate between 0 and 1, "
                "such as 2e-4, and a warmup of at least 0 and below 1 (a share of the steps)."
            )
        if self.layers is not None:
            several = self.layers if isinstance(self.layers, list | tuple) else (self.layers,)  # a file gives a list
            object.__setattr__(self, "layers", tuple(several))

    @property
    def save_every(self) -> int:
        """The number of steps between two checkpoints."""
        return -(-self.steps // self.checkpoints)


def _is_whole(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool)


def _is_share(given: object) -> bool:
    """Whether an object is a number from 0 to below 1."""
    return isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given < 1
