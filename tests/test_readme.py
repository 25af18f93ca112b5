"""The README's first example runs as printed, and is short."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_first_example_runs() -> None:
    code = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)[0]
    assert len([line for line in code.splitlines() if line.strip()]) < 20
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["image"].noisy.shape == (256, 256)


def test_every_file_it_names_is_there() -> None:
    root = Path(__file__).parents[1]
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (root / target).exists(), target
