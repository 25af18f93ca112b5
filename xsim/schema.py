"""Strict models for files a user writes, and their faults told in one line."""

from __future__ import annotations

import difflib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

__all__ = ["NonNegative", "Number", "Positive", "StrictModel", "first_problem"]

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Positive = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]


class StrictModel(BaseModel):
    """A frozen model in which an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for key in data:
            if key not in cls.model_fields:
                near = difflib.get_close_matches(str(key), list(cls.model_fields), n=1, cutoff=0.4)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(cls.model_fields)}"
                raise ValueError(f"unknown key {key!r} ({hint})")
        return data


def first_problem(error: ValidationError) -> str:
    """The first fault of a validation, as "where: what (value given)", on one line."""
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    what = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if fault["type"] == "missing":
        return f"{where} is missing (required)"
    if fault["type"] in {"value_error", "union_tag_invalid"}:
        return f"{where}: {what}" if where else what
    given = repr(fault["input"])
    return f"{where} must be {what} (given: {given if len(given) < 80 else given[:77] + '...'})"
