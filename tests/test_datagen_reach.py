"""A place that goes out of reach at any moment: one line, nothing harmed, the same command goes on."""

import errno
import os

import pytest
from tiny_corpus import tiny_corpus

import datagen
from datagen.cli import main
from datagen.place import FolderPlace

ASKED = ("read", "size", "pieces", "files", "children", "write", "create", "delete")


class Failing:
    """Calls of a folder's methods, of which one fails."""

    def __init__(self, monkeypatch):
        self.count, self.at = 0, 0
        for name in ASKED:
            monkeypatch.setattr(FolderPlace, name, self._counted(getattr(FolderPlace, name)))

    def _counted(self, method):
        def call(place, *given):
            self.count += 1
            if self.count == self.at:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return method(place, *given)

        return call

    def start(self, at):
        self.count, self.at = 0, at


@pytest.fixture
def corpus(tmp_path):
    return tiny_corpus(tmp_path, scenes=2, pixels=16)


@pytest.mark.parametrize("command", ["generate", "again", "merge", "info", "verify"])
def test_every_call_may_fail(corpus, tmp_path, monkeypatch, capsys, command):
    done, out = tmp_path / "done.zarr", tmp_path / "out.zarr"
    datagen.generate(corpus, done, progress=False)
    arguments = {
        "generate": [str(corpus), str(out), "--workers", "1", "--quiet"],
        "again": [str(corpus), str(done), "--workers", "1", "--quiet"],
        "merge": [str(out), str(done), "--quiet"],
        "info": [str(done)],
        "verify": [str(done), "--quiet"],
    }[command]
    line, failing = ["generate" if command == "again" else command, *arguments], Failing(monkeypatch)
    for at in range(1, 200):
        failing.start(at)
        code = main(line)
        said = capsys.readouterr().err
        if failing.count < at:
            assert code == 0
            break
        assert (code, said.count("\n")) == (2, 1) or (code, said) == (0, ""), said
    assert failing.count > 10
    failing.start(0)
    for store in (done, out) if command in ("generate", "merge") else (done,):
        found = datagen.verify(store, keep=True, progress=False)
        assert found.intact and found.shards == 1
