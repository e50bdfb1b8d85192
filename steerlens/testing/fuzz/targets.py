"""Lists all targets."""

from steerlens.testing.fuzz.artifacts import ARTIFACTS
from steerlens.testing.fuzz.command_line import COMMAND_LINE
from steerlens.testing.fuzz.data_sets import DATA_SETS
from steerlens.testing.fuzz.foreign import FOREIGN
from steerlens.testing.fuzz.items import ITEMS
from steerlens.testing.fuzz.models import MODELS
from steerlens.testing.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (*ARTIFACTS, *ITEMS, *DATA_SETS, *MODELS, *FOREIGN, *COMMAND_LINE)
}
"""All targets by name."""


def shares(cases: int, chosen: dict[str, Target]) -> dict[str, int]:
    """Returns the number of cases of each target, which is at least one.

    Args:
        cases: the number of all cases.
        chosen: the targets by name.
    """
    whole = sum(target.share for target in chosen.values())
    return {name: max(1, round(cases * target.share / whole)) for name, target in chosen.items()}
