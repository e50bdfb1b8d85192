"""Damages JSON values."""

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

_VALUES = (
    *("null", "true", "false", "0", "-1", "1", "2", "0.5", "1e308", "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "1e-320"),
    *("9" * 5_000, "9" * 30, "18446744073709551616", "-9223372036854775809", '""', '" "', '"x"', '"\\u0000"', '"\\ud800"'),
    *('"\\udfff x"', '"\\u202ex"', '"é"', '"' + "x" * 70_000 + '"', "[]", "{}", "[[]]", "[null]", "[0, 0]", '{"a": 1}', '["a"]'),
    *('"../../x"', '"/etc/passwd"', '"file:///etc/passwd"', '"http://127.0.0.1:9/x"', '"{in}{in}"', '"("', '"(a+)+$"'),
)
"""JSON values that replace values of a file."""
_BROKEN = (*("[" * 20_000 + "]" * 20_000, '{"a":' * 20_000 + "1" + "}" * 20_000, "'x'", "", ",", "0x10", "01", "+1", "tru"),)
"""Texts that are not JSON values, or that are deeply nested."""
_MARK = "\ue000"
"""The mark in a value that is later replaced by a text that is not JSON."""


def damaged_json(value: Any, random: Random) -> str:
    """Returns the text of a JSON value with one change.

    Args:
        value: the content of a valid file. The value is changed in place.
        random: the source of random numbers for the damage.
    """
    places = list(_places(value))
    raw = random.choice(_VALUES if random.random() < 0.9 else _BROKEN)
    if not places or random.random() < 0.03:
        return raw
    holder, key = random.choice(places)
    how = random.randrange(7)
    replaced = {f"{_MARK}value": raw}
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):  # the same key twice
        holder[f"{_MARK}key"] = holder[key] if random.random() < 0.5 else f"{_MARK}value"
        replaced[f"{_MARK}key"] = json.dumps(key)
    elif how == 2 and isinstance(holder, dict):
        holder[random.choice(("x", "", "__class__", "auto_map", key.upper(), "kind", "name"))] = holder.pop(key)
    elif how == 3:
        holder[key] = deepcopy(random.choice([own[at] for own, at in random.choices(places, k=4)]))
    elif how == 4 and isinstance(holder[key], int | float):
        number = holder[key]
        holder[key] = random.choice(
            (number + 1, -number, number * 2**40, number * 1.0 if abs(number) < 2**60 else 0.0, str(number))
        )
    elif how == 5:
        holder[key] = random.choice(([holder[key]], {"a": holder[key]}))
    else:
        holder[key] = f"{_MARK}value"
    text = json.dumps(value, ensure_ascii=False)
    for mark, own in replaced.items():
        text = text.replace(json.dumps(mark, ensure_ascii=False), own)
    return text


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, own in list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()):
        yield value, key
        yield from _places(own)
