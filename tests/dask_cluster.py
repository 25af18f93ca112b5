"""A dask.distributed cluster on loopback: a scheduler and workers, each a process that a test may kill."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time


class LoopbackCluster:
    """Scheduler and workers of one thread each; ``environment`` is added to that of all of them."""

    def __init__(self, folder, **environment):
        self.folder, self.environment = folder, os.environ | environment
        self.file = folder / "scheduler.json"
        self.processes = []
        self._start("dask_scheduler", "--port", "0", "--dashboard-address", "127.0.0.1:0", "--host", "127.0.0.1")
        deadline = time.monotonic() + 60
        while not (self.file.exists() and self.file.stat().st_size):
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text())["address"]

    def _start(self, module, *arguments):
        line = [sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", str(self.file), *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.processes.append(subprocess.Popen(line, cwd=self.folder, env=self.environment, **quiet))
        return self.processes[-1]

    def worker(self):
        """Start a worker and return its process."""
        no = ("--no-nanny", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
        return self._start("dask_worker", "--nthreads", "1", "--host", "127.0.0.1", *no)

    def close(self):
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()
