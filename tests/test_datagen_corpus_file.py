"""Corpus files: what they may say, what is refused and in which words."""

import copy
import random
import tomllib

import pytest

import datagen
import xsim
from datagen.corpus_file import load_corpus
from datagen.layout import Layout
from datagen.sample import simulate_scene
from datagen.scenes import check_corpus

EXAMPLE = xsim.phantom_path("spheres-in-acrylic-corpus")


def written(tmp_path, *changes, name="corpus.toml"):
    """The example corpus with texts replaced; each must be there."""
    text = EXAMPLE.read_text()
    for old, new in (("scenes = 320", "scenes = 4"), *changes):
        assert old in text, old
        text = text.replace(old, new)
    path = tmp_path / name
    path.write_text(text)
    return path


def test_example_is_read_by_path_and_by_name():
    by_path, by_name = load_corpus(EXAMPLE), load_corpus("phantom:spheres-in-acrylic-corpus")
    assert by_path.sha256 == by_name.sha256
    assert by_path.header.scenes >= 256
    assert [each.name for each in by_path.formats] == ["generic-gos-200um-128x128"]
    assert (by_path.formats[0].rows, by_path.formats[0].columns) == (128, 128)


def test_hash_is_of_the_content_not_of_comments(tmp_path):
    plain = load_corpus(written(tmp_path))
    spaced = load_corpus(written(tmp_path, ("[source]", "# a remark\n[source]  "), name="b.toml"))
    other = load_corpus(written(tmp_path, ("seed = 20", "seed = 21"), name="c.toml"))
    assert plain.sha256 == spaced.sha256 != other.sha256


def test_hash_covers_the_files_it_names(tmp_path):
    corpus = written(tmp_path, ("voltage_kv = { uniform = [60, 140] }", 'spectrum = "s.csv"'))
    (tmp_path / "s.csv").write_text("50,1\n60,2\n")
    before = load_corpus(corpus).sha256
    (tmp_path / "s.csv").write_text("50,1\n60,3\n")
    assert load_corpus(corpus).sha256 != before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("shard_samples", "shard_sample"), ["unknown key", "shard_samples"]),
        (("train = 0.75", "train = 0.5"), ["add up to 0.75"]),
        (("train = 0.75", "trian = 0.75"), ["trian", "'train'"]),
        (("[corpus]", "[corpsu]"), ["no [corpus] table", "[corpsu]"]),
        (("{ uniform = [60, 140] }", "{ unifrom = [60, 140] }"), ["source.voltage_kv", "'unifrom'", "'uniform'"]),
        (("{ uniform = [60, 140] }", "{ uniform = [140, 60] }"), ["source.voltage_kv", "140 > 60"]),
        (("{ uniform = [60, 140] }", "{ uniform = [60] }"), ["source.voltage_kv", "missing"]),
        (("{ uniform = [60, 140] }", "{ uniform = [60, nan] }"), ["source.voltage_kv", "finite"]),
        (("{ uniform = [60, 140] }", "{ uniform = [60, 140], steps = 3 }"), ["source.voltage_kv", "'steps'"]),
        (("log_uniform = [30, 3000]", "log_uniform = [0, 3000]"), ["quanta_per_pixel", "greater than 0"]),
        (("integers = [3, 20]", "uniform = [3, 20]"), ["body.sphere.count", "whole numbers"]),
        (("integers = [3, 20]", "integers = [3, 70000]"), ["bodies", "65535"]),
        (('inside = "block"', 'inside = "blok"'), ["body.sphere", "'blok'"]),
        (('inside = "block"', 'insid = "block"'), ["body.sphere", "'insid'", "'inside'"]),
        (("clearance_mm = 0.1", "clearance_mm = -1"), ["body.sphere.clearance_mm", "-1"]),
        (('name = "bar"', 'name = "block"'), ["two bodies", "'block'"]),
        (("rows = 128", "rows = { integers = [64, 128] }"), ["rows", "[[detector]]"]),
        (("rows = 128", "rows = 0"), ["rows", "above 0"]),
        (('preset = "generic-gos-200um"', 'preset = "generic"'), ["generic-gos-200um"]),
        (('["Al", "Ti", "PVC"]', '["Al", "Unobtainium"]'), ["body.bar.material", "Unobtainium"]),
        (("sdd_mm = { uniform = [850, 1100] }", "sdd_mm = 300"), ["sdd_mm"]),
        (("radius_mm = { log", "radius = { log"), ["sphere", "'radius'", "'radius_mm'"]),
        (("[geometry]", "[geometri]"), ["geometri", "geometry"]),
        (("radius_mm = { log_uniform = [0.3, 3] }", "radius_mm = 300"), ["does not fit inside block"]),
        (("quanta_per_pixel =", "exposure_s = 1\nquanta_per_pixel ="), ["quanta_per_pixel", "exposure_s"]),
        (("{ log_uniform = [30, 3000] }", "-3"), ["quanta_per_pixel", "-3"]),
        (("[source]", "[source"), ["TOML"]),
        (("[source]", '[[defect]]\nshape = "sphere"\n[source]'), ["no [[defect]]", "[[body]] with inside"]),
        (('name = "bar"', 'name = "bar"\nsplit = true'), ["body.bar", "splits no mesh", "part = 1"]),
    ],
)
def test_faults_are_told_in_one_line(tmp_path, change, words):
    with pytest.raises(xsim.XsimError) as caught:
        check_corpus(load_corpus(written(tmp_path, change)))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_missing_file_and_unknown_phantom(tmp_path):
    with pytest.raises(xsim.CorpusError, match="cannot read corpus file"):
        load_corpus(tmp_path / "none.toml")
    with pytest.raises(xsim.XsimError, match="no-such-thing"):
        load_corpus("phantom:no-such-thing")
    with pytest.raises(xsim.CorpusError, match=r"no \[corpus\] table"):
        load_corpus("phantom:step-chart")


def places(value, path=()):
    """Paths of everything inside nested dicts and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


@pytest.mark.filterwarnings("ignore:.*out of view", "ignore:the frame is black")
def test_mutated_corpora_work_or_are_refused_in_one_line():
    """80 random changes of the example: nothing but the project's own errors, whichever value stands wherever."""
    from datagen.corpus_file import _understand

    document = tomllib.loads(EXAMPLE.read_text())
    document["corpus"]["scenes"] = 3
    document["detector"]["rows"] = document["detector"]["columns"] = 16
    values = [None, -1, 0, 1e30, float("nan"), "x", "", [], {}, True, [1], {"a": 1}, 10**30, {"choice": []},
              {"uniform": ["a", 1]}, {"integers": [0, 3]}, {"choice": ["a", 1, [2]]}, {"normal": [1, 1]}]  # fmt: skip
    chance = random.Random(11)
    for _ in range(80):
        mutated = copy.deepcopy(document)
        *parents, last = chance.choice(list(places(mutated)))
        target = mutated
        for key in parents:
            target = target[key]
        if chance.random() < 0.3:
            del target[last]
        else:
            target[last] = chance.choice(values)
        try:
            corpus = _understand(mutated, EXAMPLE.parent)
            check_corpus(corpus)
            assert Layout(corpus).shards >= 1
            simulate_scene(corpus, 0, range(1))
        except xsim.XsimError as error:
            assert "\n" not in str(error) and str(error)


def test_public_names():
    for name in datagen.__all__:
        assert getattr(datagen, name) is not None
