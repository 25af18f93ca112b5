"""Install the peers of projection.py into the environment that runs this, each on its own:

    .venv-peers/bin/python benchmarks/install_peers.py [--torch torch==2.13.0+cpu] [--torch-index URL]

A peer that does not install is told and left out; the others go on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
from fnmatch import fnmatch
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
BUILD_FILES = ("build*", "make*", "*.c", "*.cpp", "*.h")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", default="torch", help="requirement that brings DiffDRR's torch")
    parser.add_argument("--torch-index", default="", help="a further index to look for it")
    options = parser.parse_args()
    further = ["--extra-index-url", options.torch_index] if options.torch_index else []
    tell(options.torch, pip("install", "--retries", "0", options.torch, *further))
    for line in Path(__file__).with_name("peers.txt").read_text().splitlines():
        wanted = line.split("#")[0].split()
        if wanted:
            tell(" ".join(wanted), install(wanted))


def tell(wanted: str, problem: str) -> None:
    print(f"{wanted}: not installed ({problem})" if problem else f"{wanted}: installed", flush=True)


def install(wanted: list[str]) -> str:
    if not wanted[0].startswith("gecatsim"):
        return pip("install", *wanted)
    with tempfile.TemporaryDirectory() as folder:
        return install_gecatsim(wanted[0], Path(folder))


def install_gecatsim(wanted: str, folder: Path) -> str:
    """Its source package has a build script with the line ends of Windows, which no shell of Linux runs."""
    build = pip("install", "setuptools", "wheel")
    options = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest", str(folder))
    problem = build or pip("download", *options, wanted)
    if problem:
        return problem
    with tarfile.open(next(folder.glob("gecatsim-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    root = next(path for path in folder.glob("gecatsim-*") if path.is_dir())
    for file in root.rglob("*"):
        if file.is_file() and any(fnmatch(file.name.lower(), pattern) for pattern in BUILD_FILES):
            file.write_bytes(file.read_bytes().replace(b"\r\n", b"\n"))
    return pip("install", str(root))


def pip(*arguments: str) -> str:
    """The last line of pip's complaint, empty where it has none."""
    done = subprocess.run([*PIP, arguments[0], "--quiet", *arguments[1:]], capture_output=True, text=True)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
    if done.returncode == 0:
        return ""
    return " ".join(errors[-1].split()) if errors else f"pip ended with {done.returncode}"


if __name__ == "__main__":
    main()
