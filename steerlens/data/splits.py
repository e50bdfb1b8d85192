"""The part of a split to which a concept belongs.

A concept's part depends on its own id and the seed, so that it does not change when other concepts are added. Paraphrases of
one concept (ids that are the same up to ``#``) stay together. Each topic is divided in the same shares, in expectation.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from itertools import accumulate

from steerlens.errors import DataError

Shares = tuple[float, float, float]
_WORDING = re.compile(r"#(\d+|cloze)$")


def group_of(concept: str) -> str:
    """The unit that is never divided: the concept's id up to ``#``. The text after it distinguishes paraphrases."""
    return concept.partition("#")[0]


def concept_of(wording: str) -> str:
    """The concept that several wordings ask about: its id without ``#2``, ``#3`` or ``#cloze`` at the end."""
    return _WORDING.sub("", wording)


def place(seed: int, name: str) -> float:
    """A number in [0, 1) that depends only on seed and name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]) / 2**64


def sides(groups: Iterable[str], shares: Shares, seed: int) -> dict[str, int]:
    """The part (0 train, 1 dev, 2 test) of each group, by the group's own place.

    If chance leaves a part empty, which happens only with very few groups, the nearest group is moved into it.
    """
    order = sorted(set(groups), key=lambda group: place(seed, group))
    first, second, _ = accumulate(shares)
    chosen = {group: 0 if (at := place(seed, group)) < first else 1 if at < second else 2 for group in order}
    if len(order) >= len(shares):
        counts = [list(chosen.values()).count(part) for part in range(3)]
        if not all(counts):
            cut = min(max(1, counts[0]), len(order) - 2)
            end = min(max(cut + 1, counts[0] + counts[1]), len(order) - 1)
            chosen = {group: 0 if at < cut else 1 if at < end else 2 for at, group in enumerate(order)}
    return chosen


def dealt(groups: Iterable[str], n: int, seed: int) -> dict[str, int]:
    """One of ``n`` folds for each group, with folds of sizes that are as equal as possible."""
    order = sorted(set(groups), key=lambda group: place(seed, f"fold/{group}"))
    return {group: at % n for at, group in enumerate(order)}


def sides_by_relation(relations: Mapping[str, str], shares: Shares, seed: int) -> dict[str, int]:
    """The part of each group, with whole relations together, in the order of the relations' own places.

    Args:
        relations: the relation of each group.

    Raises:
        DataError: there are fewer than three relations.
    """
    members: dict[str, list[str]] = {}
    if 0 < len(set(relations.values())) < len(shares):
        raise DataError(
            f"{len(set(relations.values()))} relations given ({', '.join(sorted(set(relations.values())))}): holding out whole "
            "relations needs at least 3. Split by concept instead."
        )
    for group, relation in relations.items():
        members.setdefault(relation, []).append(group)
    order = sorted(members, key=lambda relation: place(seed, relation))
    ends = [share * len(relations) for share in accumulate(shares)]
    chosen, done, part = {}, 0, 0
    for at, relation in enumerate(order):
        middle = done + len(members[relation]) / 2  # a relation belongs where its middle falls
        wanted = next((n for n in range(2) if middle <= ends[n]), 2)
        # each part gets a relation: none is passed over, and the last ones are kept for those that have none yet
        part = max(min(wanted, part + (at > 0)), part, len(shares) - (len(order) - at)) if at else 0
        chosen.update(dict.fromkeys(members[relation], part))
        done += len(members[relation])
    return chosen
