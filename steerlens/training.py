"""The settings of a training run that all methods of alignment share. The module does not import PyTorch, so the command line
starts quickly."""

from dataclasses import dataclass

from steerlens.errors import SettingsError


@dataclass(frozen=True)
class TrainingSettings:
    """The settings with which an adapter is trained.

    With the defaults, training the embedded model takes some minutes on two cores.
    """

    steps: int = 150
    """The number of updates of the weights."""
    batch_size: int = 8
    """The number of examples in a batch. In a contrastive loss, all other examples in the batch count as wrong answers for an
    example."""
    accumulate: int = 1
    """The number of batches whose gradients are averaged for one update. The loss of each batch is the mean over the tokens of
    this batch."""
    learning_rate: float = 2e-4
    """The largest learning rate of AdamW. After the warmup, the learning rate falls linearly to zero."""
    warmup: float = 0.05
    """The share of the steps in which the learning rate rises from zero."""
    rank: int = 8
    """The rank of the LoRA adapter (Hu et al., arXiv 2106.09685)."""
    alpha: int = 16
    """The scale of the adapter. The product of the adapter's two matrices is multiplied by ``alpha`` and divided by ``rank``."""
    layers: tuple[int, ...] | None = None
    """The blocks that have an adapter, or ``None`` for all."""
    max_tokens: int = 256
    """The largest number of tokens of a text. Longer texts are left out, and their number is reported."""
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
