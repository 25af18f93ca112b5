"""Where results of a run are kept, and how they are read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
IMAGES = Path(__file__).parents[1] / "docs" / "images"


def save(benchmark: str, machine: str, fields: dict[str, Any]) -> Path:
    """Write results/BENCHMARK-MACHINE.json."""
    target = RESULTS / f"{benchmark}-{slug(machine)}.json"
    target.write_text(json.dumps({"machine": machine, **fields}, indent=1) + "\n")
    print(f"written: {target}")
    return target


def load(benchmark: str) -> list[dict[str, Any]]:
    """Saved results of a benchmark, a machine each."""
    return [json.loads(file.read_text()) for file in sorted(RESULTS.glob(f"{benchmark}-*.json"))]


def slug(machine: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in machine.lower()).strip("-")
