"""Fuzzed corpus files: a valid corpus, or one line that says what is wrong; nothing written, no traceback."""

import shutil
import subprocess
import sys
import tomllib
import warnings

import pytest
from fuzzed_corpora import fuzzed_text, toml_text

import xsim
from datagen.corpus_file import load_corpus
from datagen.families import FAMILIES
from datagen.scenes import draw_scene
from datagen.table import ParameterTable, instance_words

FILES = 300
JOINT = """
[corpus]
name = "joint"
scenes = 10
[source]
current_ma = { log_uniform = [1, 8], with = "geometry.sod_mm", correlation = -0.8 }
[geometry]
sod_mm = { uniform = [400, 500] }
sdd_mm = 900
[acquisition]
snr = { log_normal = [20, 0.3], limits = [5, 100] }
[conditions]
columns = ["source.voltage_kv", "source.filters", "body.block.material"]
rows = [[60, [], "PMMA"], [90, [{ material = "Al", thickness_mm = { uniform = [1, 2] } }], "Al"]]
weights = [1, 2]
[[detector]]
preset = "generic-gos-200um"
rows = 16
columns = 16
acquisition = { state = "offset_corrected" }
[[detector]]
preset = "generic-linescan-gos-400um"
columns = 16
acquisition = { belt_speed_m_s = 0.2, line_rate_hz = 1000, lines = 8 }
[[body]]
name = "block"
shape = "box"
size_mm = [5, { normal = [5, 1], limits = [2, 8] }, 5]
[[body]]
name = "ball"
shape = "sphere"
count = { integers = [1, 4] }
radius_mm = { log_normal = [0.3, 0.2] }
material = "air"
inside = "block"
priority = 2
clearance_mm = { uniform = [0.1, 0.2] }
"""


NAMED = ("bearing-bracket.stl", "chicken-fillet.tif")  # files that shipped corpora name, beside them


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that the corpora name."""
    for name in NAMED:
        shutil.copy(xsim.phantom_path("step-chart").parent / name, tmp_path / name)
    return tmp_path


def documents():
    """Good files: those that ship, and one of all that they do not use."""
    names = [name for name in xsim.phantom_names() if name.endswith("-corpus")]
    texts = [xsim.phantom_path(name).read_text(encoding="utf-8") for name in names]
    found = [tomllib.loads(text) for text in (JOINT, *texts)]
    return [each for each in found if "family" not in each or each["family"]["name"] in FAMILIES]


def fuzzed_file(seed, goods):
    """One of the good ones, mutated; three in four without a family, whose scenes are drawn slowly."""
    plain, families = ([each for each in goods if ("family" in each) is family] for family in (False, True))
    chosen = families if families and seed % 4 == 0 else plain
    return fuzzed_text(chosen[seed // 4 % len(chosen)], seed)


def fault_of(path):
    """What loading a corpus file and drawing its first scenes says is wrong; None for a valid one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a scene may be odd and valid
            corpus = load_corpus(path)
            for index in range(min(2, corpus.header.scenes)):
                draw_scene(corpus, index)
        ParameterTable(corpus).words, instance_words(corpus)
    except xsim.XsimError as error:
        return str(error)
    return None


def test_good_files_are_valid(folder):
    for document in documents():
        path = folder / "good.toml"
        path.write_text(toml_text(document), encoding="utf-8")
        assert fault_of(path) is None


def test_fuzzed_files_are_valid_or_refused_in_one_line(folder):
    """500 files, in process: anything but an XsimError fails; enough of both kinds, or the fuzz would show nothing."""
    path, goods, faults = folder / "corpus.toml", documents(), []
    for seed in range(FILES):
        path.write_text(fuzzed_file(seed, goods), encoding="utf-8")
        fault = fault_of(path)
        if fault is not None:
            assert fault.isprintable(), f"seed {seed}: {fault[:200]!r}"
            faults.append(fault)
        assert {each.name for each in folder.iterdir()} == {path.name, *NAMED}, f"seed {seed} wrote something"
    assert 0.5 * FILES < len(faults) < 0.95 * FILES
    assert len(set(faults)) > 0.3 * FILES, "all kinds of faults"


@pytest.mark.parametrize("command", ["generate", "preview"])
def test_fuzzed_files_end_commands_with_one_line(folder, command):
    """Three refused files each: exit code 2, one line on stderr, nothing on stdout, nothing written."""
    path, goods, seed, told = folder / "corpus.toml", documents(), 10_000 if command == "generate" else 20_000, 0
    where = ["out.zarr", "--workers", "1"] if command == "generate" else ["-o", "sheet.png"]
    while told < 3:
        seed += 1
        path.write_text(fuzzed_file(seed, goods), encoding="utf-8")
        if fault_of(path) is None:
            continue
        told += 1
        line = [sys.executable, "-m", "datagen.cli", command, path.name, *where, "--quiet"]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 2 and done.stdout == "", f"seed {seed}"
        assert done.stderr.startswith("datagen: ") and done.stderr.count("\n") == 1, f"seed {seed}: {done.stderr}"
        assert {each.name for each in folder.iterdir()} == {path.name, *NAMED}, f"seed {seed} wrote something"


@pytest.mark.parametrize("levels", [40, 3000])
def test_deep_nesting_is_a_corpus_or_one_line(tmp_path, levels):
    path = tmp_path / "deep.toml"
    deep = "{ choice = [" * levels + "900" + "] }" * levels
    path.write_text(JOINT.replace("sdd_mm = 900", f"sdd_mm = {deep}"), encoding="utf-8")
    fault = fault_of(path)
    assert (fault is None) if levels == 40 else ("nested too deeply" in fault and fault.isprintable())


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "", "/", "é\t", "none.stl"])
@pytest.mark.parametrize("key", ["mesh", "volume"])
def test_names_of_files_that_cannot_be_are_one_line(tmp_path, key, name):
    path = tmp_path / "corpus.toml"
    document = tomllib.loads(JOINT)
    document["body"].append({"name": "part", key: name, "material": "Al"})
    path.write_text(toml_text(document), encoding="utf-8")
    fault = fault_of(path)
    assert fault is not None and fault.isprintable()
