"""Corpus files as a careless or hostile hand leaves them: mutations of good ones, the same for the same seed."""

from __future__ import annotations

import copy
import math
import random
from typing import Any

__all__ = ["fuzzed_text", "toml_text"]

NUMBERS = (
    0, -1, 1, -0.0, 1e-320, 1e308, -1e308, float("nan"), float("inf"), -float("inf"), 2**31, 2**53 + 1, 2**63 - 1,
    10**30, -(10**30), 0.5, 65536, 3,
)  # fmt: skip
WORDS = (
    "", " ", "Al", "air", "∅ μ 束", "\u202e", "a\nb", "../../etc/passwd", "raw", "few", "x" * 5000, "é\t", "{}", "'",
    "body", "block", "PMMA",
)  # fmt: skip
THINGS: tuple[Any, ...] = (
    True, False, [], {}, [[]], [{}], {"uniform": [2, 1]}, {"uniform": [1, 2]}, {"uniform": "a"}, {"uniform": [1]},
    {"uniform": [-1e308, 1e308]}, {"integers": [1, 10**30]}, {"integers": [0.5, 2]}, {"normal": [0, -1]},
    {"normal": [1, 1e308], "limits": [0, 1]}, {"normal": [0, 1e-320], "limits": [5, 6]}, {"log_uniform": [0, 1]},
    {"log_uniform": [1e-320, 1e308]}, {"log_normal": [1, 1e308]}, {"log_normal": [1e-320, 0]}, {"choice": []},
    {"choice": [1, "a", []]}, {"choice": [1, 2], "weights": [0, 0]}, {"choice": [1], "weights": [1e308, 1e308]},
    {"choice": [{"choice": [{"uniform": [0, 1]}]}]}, {"unifrom": [1, 2]}, {"uniform": [1, 2], "choice": [1]},
    {"uniform": [1, 2], "with": "source.voltage_kv", "correlation": 0.5}, {"uniform": [1, 2], "with": 3},
    {"choice": [1, 2], "weights": [1e308, 1e308]}, {"integers": [2, 1]}, {"choice": "abc"}, {"choice": {"a": 1}},
)  # fmt: skip
KEYS = (
    "", "name", "uniform", "choice", "with", "count", "inside", "état", "preset", "mesh", "rows", "source", "a.b",
    "limits", "acquisition",
)  # fmt: skip
ADDED = {
    "conditions": ({"columns": ["source.current_ma"], "rows": [[1], [-2]]}, {"table": "none.csv"}, {"columns": ["a"]},
                   {"columns": ["body.block.x"], "rows": [[{"choice": [1]}]]}, 3, [{}],
                   {"columns": ["source.filters"], "rows": [[[]], [[{"material": "Al", "thickness_mm": 1}]]]}),
    "family": ({"name": "none"}, {"name": "food"}, 7, [], [{"name": "food", "weight": -1}]),
    "defect": ([{}],), "second_exposure": ({"voltage_kv": 50},), "background": ({"files": "none"},),
}  # fmt: skip


def fuzzed_text(document: dict[str, Any], seed: int) -> str:
    """A corpus file in TOML with one to four mutations of its values, or of its letters."""
    pick = random.Random(seed)
    document = copy.deepcopy(document)
    for _ in range(pick.choice((1, 1, 1, 2, 4))):
        _mutate(document, pick)
    text = toml_text(document)
    return _scribble(text, pick) if pick.random() < 0.1 else text


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        _places(item, found)
    return found


def _mutate(document: dict[str, Any], pick: random.Random) -> None:
    holder, key = pick.choice(_places(document, []) or [(document, "corpus")])
    kind = pick.randrange(9)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = pick.choice(NUMBERS)
    elif kind == 2:
        holder[key] = pick.choice(WORDS)
    elif kind == 3:
        holder[key] = copy.deepcopy(pick.choice(THINGS))
    elif kind == 4 and isinstance(holder.get(key) if isinstance(holder, dict) else None, list):
        holder[key].reverse()
    elif kind == 5:
        holder[key] = _deep(holder[key] if isinstance(holder, (dict, list)) else 1, pick.choice((2, 30)))
    elif kind == 6 and isinstance(holder, dict):
        holder[pick.choice(KEYS)] = copy.deepcopy(pick.choice([*THINGS, *NUMBERS, *WORDS]))
    elif kind == 7:
        name = pick.choice(list(ADDED))
        document[name] = copy.deepcopy(pick.choice(ADDED[name]))
    else:
        other_holder, other_key = pick.choice(_places(document, []))
        holder[key] = copy.deepcopy(other_holder[other_key])


def _deep(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = {"choice": [value]} if level % 3 else [value]
    return value


def _scribble(text: str, pick: random.Random) -> str:
    at = pick.randrange(len(text))
    return pick.choice((text[:at], text[:at] + pick.choice('"[]{}=\x00é,#') + text[at:], text[:at] + text[at + 9 :]))


def toml_text(document: dict[str, Any]) -> str:
    """A document as TOML, every value on one line."""
    return "".join(f"{_word(key)} = {_value(value)}\n" for key, value in document.items())


def _word(text: str) -> str:
    letters = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{letters}"'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if value != value else "inf" if value > 0 else "-inf"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _word(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_word(key)} = {_value(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(map(_value, value)) + "]"
