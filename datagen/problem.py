"""Another library's complaint as one line of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pydantic import ValidationError

__all__ = ["first_problem", "nearest", "shortened"]


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name most like ``name``, or None when nothing is like it."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


def shortened(value: object, most: int = 80) -> str:
    """A value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def first_problem(error: ValidationError, known: Iterable[str]) -> str:
    """First problem of a pydantic error: "key: problem (value) suggestion"."""
    problem = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        names = sorted(known)
        close = nearest(str(problem["loc"][-1]), names)
        hint = f"did you mean {close!r}?" if close else f"known: {', '.join(names)}"
        return f"unknown key {place!r} ({hint})"
    message = " ".join(str(problem["msg"]).removeprefix("Value error, ").split())
    message = message.replace("Input should be", "must be").replace("a valid tuple", "a list [a, b]")
    if problem["type"] == "missing":
        return f"{place} is missing (required)"
    given = "" if isinstance(problem["input"], dict) else f" (given {shortened(problem['input'])})"
    return f"{place + ': ' if place else ''}{message[:1].lower() + message[1:]}{given}"
