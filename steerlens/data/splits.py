"""Decides whether a concept belongs to the train, dev or test part of a split.

The part of a concept depends on the concept's id and the seed, so the part does not change when other concepts are added.
Paraphrases of a concept have ids that are the same up to ``#``, and they go to the same part. On average, each topic is divided
in the same shares.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from itertools import accumulate

from steerlens.errors import DataError

Shares = tuple[float, float, float]
SHARES: Shares = (0.4, 0.3, 0.3)
"""The default shares of train, dev and test."""
_WORDING = re.compile(r"#(\d+|cloze)$")


def group_of(concept: str) -> str:
    """Returns the group of a concept, which is its id up to ``#``. The text after ``#`` distinguishes paraphrases. All
    paraphrases of a group go to the same part."""
    return concept.partition("#")[0]


def concept_of(wording: str) -> str:
    """Returns the id of the concept of a wording, which is the id of the wording without ``#2``, ``#3`` or ``#cloze`` at the
    end."""
    return _WORDING.sub("", wording)


def place(seed: int, name: str) -> float:
    """Returns a number in [0, 1) that depends only on ``seed`` and ``name``."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]) / 2**64


def sides(groups: Iterable[str], shares: Shares, seed: int) -> dict[str, int]:
    """Returns the part (0 train, 1 dev, 2 test) of each group. The part depends on the number that ``place`` returns for the
    group.

    If there are very few groups, a part can be empty by chance. The group with the nearest number is then moved to the empty
    part.
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
    """Divides the groups into ``n`` folds, and returns the index of the fold of each group. The sizes of the folds are as equal
    as possible."""
    order = sorted(set(groups), key=lambda group: place(seed, f"fold/{group}"))
    return {group: at % n for at, group in enumerate(order)}


def sides_by_relation(relations: Mapping[str, str], shares: Shares, seed: int) -> dict[str, int]:
    """Returns the part (0 train, 1 dev, 2 test) of each group. All groups of a relation go to the same part.

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
        middle = done + len(members[relation]) / 2  # the middle of a relation decides its part
        wanted = next((n for n in range(2) if middle <= ends[n]), 2)
        # each part gets a relation: no part is skipped, and the last relations are kept for the parts without a relation
        part = max(min(wanted, part + (at > 0)), part, len(shares) - (len(order) - at)) if at else 0
        chosen.update(dict.fromkeys(members[relation], part))
        done += len(members[relation])
    return chosen
