"""Pieces of a job: task i of n makes the shards i, i + n, i + 2 n ...; job arrays number them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from xsim import CorpusError

__all__ = ["check_task", "read_task"]

ARRAY = "SLURM_ARRAY_TASK_"


def check_task(task: tuple[int, int] | None) -> tuple[int, int] | None:
    """A task as given, None for the whole job.

    Raises
    ------
    CorpusError
        It is not (i, n) with 0 <= i < n.
    """
    if task is None:
        return None
    number, count = task
    if not 0 <= number < count:
        raise CorpusError(f"there is no task {number}/{count} (the first is 0, the last {count - 1}) give i/n, i < n")
    return number, count


def read_task(text: str | None, environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """The task that ``--task`` names.

    Parameters
    ----------
    text : str or None
        "i/n" with i from 0; "slurm" for the element of the SLURM job array that this process is; "auto" for the
        same, or the whole job outside of job arrays; None for the whole job.
    environment : mapping of str to str

    Raises
    ------
    CorpusError
        It is none of these, or there is no job array, or one with gaps.
    """
    if text is None or (text == "auto" and f"{ARRAY}ID" not in environment):
        return None
    if text in ("auto", "slurm"):
        return _slurm_task(environment)
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise CorpusError(f"--task {text!r} is not understood (i/n, slurm or auto) the first of 8 is --task 0/8")
    return check_task((int(number), int(count)))


def _slurm_task(environment: Mapping[str, str]) -> tuple[int, int]:
    try:
        mine, count = int(environment[f"{ARRAY}ID"]), int(environment[f"{ARRAY}COUNT"])
        first, step = int(environment.get(f"{ARRAY}MIN", 0)), int(environment.get(f"{ARRAY}STEP", 1))
    except KeyError as error:
        raise CorpusError(f"--task slurm outside of a job array ({error} is not set) give --task i/n") from None
    except ValueError:
        raise CorpusError(f"the variables {ARRAY}* of this job are no numbers, give --task i/n") from None
    number, rest = divmod(mine - first, max(1, step))
    if rest or not 0 <= number < count:
        raise CorpusError(
            f"element {mine} of a job array of {count} with gaps (its place cannot be told) give --task i/n, or make "
            f"the array --array=0-{count - 1}"
        )
    return number, count
