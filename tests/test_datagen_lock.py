"""Who may write to a store at once, in a folder and in an object store."""

import contextlib
import signal
import subprocess
import sys
import threading

import pytest

import xsim
from datagen import lease
from datagen.lock import LEASES, locked
from datagen.place import open_place

HOLD = """
import sys
from datagen.lock import locked
task = tuple(map(int, sys.argv[2:])) or None
with locked(sys.argv[1], task):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["folder", "memory"])
def where(request, tmp_path):
    if request.param == "folder":
        return tmp_path
    return f"memory://{tmp_path}"


def held(where, task):
    """Whether another job could hold the store."""
    try:
        with locked(where, task):
            return True
    except xsim.CorpusError as error:
        assert "\n" not in str(error) and "is being written by process" in str(error)
        return False


def test_one_whole_job_and_nothing_beside(where):
    with locked(where):
        assert not held(where, None) and not held(where, (0, 2))
    assert held(where, None) and held(where, (0, 2))
    assert [name for name in open_place(where).files() if "lock" in name or "lease" in name] == []


def test_tasks_of_one_split_go_beside_each_other(where):
    with contextlib.ExitStack() as jobs:
        for i in (0, 2, 1):
            jobs.enter_context(locked(where, (i, 4)))
        assert held(where, (3, 4))
        assert not held(where, (2, 4))  # the same piece twice
        assert not held(where, (3, 5))  # pieces of another split are others
        assert not held(where, None)
    assert held(where, None) and held(where, (3, 5))
    assert [name for name in open_place(where).files() if "lock" in name or "lease" in name] == []


def test_the_message_says_who(where):
    with locked(where), pytest.raises(xsim.CorpusError, match=r"process \d+ on .*\(one job at a time\)"), locked(where):
        pass
    with locked(where, (1, 3)), locked(where, (2, 3)):
        with pytest.raises(xsim.CorpusError, match=r"process \d+ on .*, task [12]/3"), locked(where):
            pass
        only = "task 0/2 goes beside other tasks of that split only"
        with pytest.raises(xsim.CorpusError, match=only), locked(where, (0, 2)):
            pass


@pytest.mark.parametrize("task", [[], ["1", "2"]])
def test_another_process_and_its_death(tmp_path, task):
    """What a killed job leaves behind is no lock."""
    command = [sys.executable, "-c", HOLD, str(tmp_path), *task]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout.readline() == "held\n"
        assert not held(tmp_path, None) and held(tmp_path, (0, 2)) == bool(task)
        with pytest.raises(xsim.CorpusError, match=f"process {job.pid} on"), locked(tmp_path):
            pass
        job.send_signal(signal.SIGKILL)
        job.wait(20)
    assert held(tmp_path, None) and held(tmp_path, (1, 2))
    with locked(tmp_path):
        pass


def test_many_tasks_that_start_and_end_at_once_do_not_disturb_each_other(where):
    """The eight jobs of a split, each holding for a moment, twenty times."""
    failures = []

    def job(i):
        for _ in range(20):
            try:
                with locked(where, (i, 8)):
                    pass
            except xsim.CorpusError as error:
                failures.append(str(error))

    threads = [threading.Thread(target=job, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_lease_is_renewed_and_a_dead_job_s_is_stale(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    monkeypatch.setattr(lease, "STALE_S", 0.5)
    url = f"memory://{tmp_path}"
    place = open_place(url)
    with locked(url):
        (key,) = place.files(LEASES)
        first = place.modified(key)
        for _ in range(100):
            if place.modified(key) > first:
                break
            threading.Event().wait(0.02)
        assert place.modified(key) > first and not held(url, None)
        content = place.read(key)
    place.write(key, content)  # as a killed job leaves it
    assert not held(url, None)
    threading.Event().wait(0.6)
    assert held(url, None) and list(place.files(LEASES)) == []
