"""The datagen command: what it prints, its exit codes, one line for what is wrong."""

import subprocess
import sys

import pytest
from test_datagen_store import small_corpus

from datagen.cli import main


def test_generate_info_and_again(tmp_path, capsys):
    corpus, out = str(small_corpus(tmp_path)), str(tmp_path / "out.zarr")
    assert main(["generate", corpus, out, "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert "11 samples, 3 shards written" in said.out
    assert "spheres-in-acrylic" in said.err and "11/11" in said.err
    assert main(["info", out]) == 0
    said = capsys.readouterr().out
    for word in ("11 of 11 samples, complete", "48 x 40", "train", "kB a sample", "quanta_per_pixel", "xsim"):
        assert word in said
    assert main(["generate", corpus, out, "--quiet"]) == 0
    said = capsys.readouterr()
    assert "is complete" in said.out and said.err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "none.toml", "out.zarr"], "cannot read corpus file none.toml"),
        (["generate", "phantom:spheres", "out.zarr"], "spheres-in-acrylic"),
        (["generate", "phantom:step-chart", "out.zarr"], "no [corpus] table"),
        (["generate", "phantom:spheres-in-acrylic-corpus", "/proc/out.zarr"], "/proc"),
        (["generate", "phantom:spheres-in-acrylic-corpus", "out.zarr", "--workers", "0"], "workers"),
        (["info", "none.zarr"], "none.zarr is not a corpus"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and words in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["generate"], ["generate", "a", "b", "--workers", "x"], ["sing"]])
def test_wrong_arguments_are_one_line_and_exit_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["generate"], ["info"]])
def test_help_has_an_example(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0 and "example: datagen" in capsys.readouterr().out


def test_as_a_program(tmp_path):
    """As its own process: a traceback would show here."""
    command = [sys.executable, "-m", "datagen.cli", "generate", "none.toml", "out.zarr"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stdout == ""
