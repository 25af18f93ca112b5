"""A corpus that is made in a moment: balls on a small panel."""

import os
import subprocess
import sys
from pathlib import Path

from datagen.commit import damage, read_commits

TINY = """
[corpus]
name = "tiny"
scenes = {scenes}
seed = 3
shard_samples = {shard_samples}
{more}
[source]
energy_kev = {{ uniform = [60, 90] }}
[acquisition]
target_gv = {{ uniform = [0.2, 0.8] }}
[detector]
preset = "generic-gos-200um"
rows = {pixels}
columns = {pixels}
[[body]]
name = "ball"
shape = "sphere"
radius_mm = {{ uniform = [0.5, 2] }}
material = {{ choice = ["Al", "Fe"] }}
"""


def tiny_corpus(folder, scenes=24, shard_samples=2, pixels=32, more="", extra="", name="tiny.toml"):
    """Path of the corpus file, written into ``folder``; ``more`` belongs to [corpus], ``extra`` is at the end."""
    path = Path(folder) / name
    text = TINY.format(scenes=scenes, shard_samples=shard_samples, pixels=pixels, more=more)
    path.write_text(text + extra)
    return path


def command(*arguments, **options):
    """Start ``datagen`` in a process group of its own."""
    line = [sys.executable, "-m", "datagen.cli", *map(str, arguments)]
    return subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options
    )


def ended(job, timeout=120):
    """Exit code of a started command, and what it said, with the lines that tell how far it was left out."""
    out, err = job.communicate(timeout=timeout)
    return job.returncode, out, [line for line in err.splitlines() if " samples/s" not in line]


def committed(out):
    """Numbers of the committed shards; each is read whole and must be as it was written."""
    out = Path(out)
    records = list(read_commits(out)) if (out / "commits").is_dir() else []
    for record in records:
        assert damage(out, record, contents=True) is None
    return [record["shard"] for record in records]


def unprivileged():
    """Words before a command that take root's right to write anywhere; none where it has none."""
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
