"""The settings of a training run that all methods of alignment share. Nothing here imports PyTorch, as in ``settings``."""

from dataclasses import dataclass

from steerlens.errors import SettingsError


@dataclass(frozen=True)
class TrainingSettings:
    """How an adapter is trained.

    The defaults take some minutes for the embedded model on two cores.
    """

    steps: int = 150
    """Updates of the weights."""
    batch_size: int = 8
    """Examples at once. A contrastive loss has as many wrong answers as there are others in the batch."""
    accumulate: int = 1
    """Batches whose gradients are added before an update."""
    learning_rate: float = 2e-4
    """The largest learning rate of AdamW; it falls linearly to zero."""
    warmup: float = 0.05
    """The share of the steps in which the learning rate rises from zero."""
    rank: int = 8
    """The rank of the LoRA adapter (Hu et al., arXiv 2106.09685)."""
    alpha: int = 16
    """The factor on the adapter's product, which is divided by the rank."""
    layers: tuple[int, ...] | None = None
    """The blocks that the adapter stands on; all for ``None``."""
    max_tokens: int = 256
    """Longer texts are left out, and counted."""
    checkpoints: int = 5
    """How many checkpoints are kept along the way, the last one among them."""
    seed: int = 0
    """The seed of the adapter's first weights and of the order of the examples."""

    def __post_init__(self) -> None:
        whole = {name: getattr(self, name) for name in ("steps", "batch_size", "accumulate", "rank", "alpha", "checkpoints")}
        small = [f"{name} {value!r}" for name, value in whole.items() if not isinstance(value, int) or value < 1]
        if small:
            raise SettingsError(f"{', '.join(small)} given for training: expected whole numbers from 1.")
        if not 0 < self.learning_rate < 1 or not 0 <= self.warmup < 1:
            raise SettingsError(
                f"learning rate {self.learning_rate} and warmup {self.warmup} given for training: expected a rate between 0 and "
                "1, as 2e-4, and a share of the steps from 0 to below 1."
            )
        if self.layers is not None:
            object.__setattr__(self, "layers", tuple(self.layers))  # a file gives a list

    @property
    def save_every(self) -> int:
        """The steps between two checkpoints."""
        return max(1, self.steps // self.checkpoints)
