"""The cards of a store: what they say, that Croissant's own reader takes them, and that nothing depends on them."""

import json

import pytest
from test_datagen_contents import PAIR, TWICE, saved
from test_datagen_store import hashes
from tiny_corpus import tiny_corpus

import datagen
import xsim
from datagen.card import asked_for, scenes_by_split
from datagen.commit import commit_path, versions
from datagen.corpus_file import load_corpus
from datagen.header import SPLITS
from datagen.layout import Layout
from datagen.scenes import split_of

LICENCE = "https://creativecommons.org/licenses/by/4.0/"
ABOUT = f'license = "{LICENCE}"\nauthor = "A. Person"\ndescription = "Blocks | holes."'


@pytest.fixture(scope="module")
def carded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    corpus = saved(folder, PAIR, ("scenes = 5", f"scenes = 5\n{ABOUT}"))
    datagen.generate(corpus, folder / "out.zarr", progress=False)
    return corpus, folder / "out.zarr"


def test_the_readme_says_what_is_there(carded):
    corpus, out = load_corpus(carded[0]), carded[1]
    text, opened = (out / "README.md").read_text(), datagen.open_corpus(out)
    stored = sum(each["bytes"] for record in opened.commits for each in record["files"].values())
    assert text.startswith("# pairs\n\nBlocks | holes.\n")
    assert f"complete: {stored / 1e6:.1f} MB in 3 shards; simulated on cpu with" in text
    for name in Layout(corpus).arrays(corpus.formats[0]):
        assert f"| {name} | " in text
    for path, (distribution, *_) in asked_for(corpus).items():
        assert f"| {path} | {next(iter(distribution.model_dump(exclude_none=True)))} = " in text
    assert {"acquisition.quanta_per_pixel", "body.block.size_mm.2"} <= set(asked_for(corpus))
    counts = [len(opened.subset(split=name)) for name in SPLITS]
    assert f"| 40 x 44 | own | raw | {' | '.join(map(str, counts))} |" in text
    for word in (corpus.sha256, "A. Person", "licenses/by/4.0", f"xsim {versions()['xsim']}", "seed: 3"):
        assert word in text


def test_its_four_lines_open_it(carded):
    text = (carded[1] / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0].replace("STORE", str(carded[1]))
    found = {}
    exec(code, found)
    assert len(code.splitlines()) == 4 and found["sample"]["noisy"].shape == (40, 44)


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # in rdflib, by itself
def test_croissants_own_reader_takes_the_card(carded, monkeypatch):
    """As MLCommons' package reads it, without a network; hash and patterns are those of the files that are there."""
    mlcroissant = pytest.importorskip("mlcroissant")
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asked the network"))
    card = json.loads((carded[1] / "croissant.json").read_text())
    read = mlcroissant.Dataset(jsonld=card).metadata
    assert not read.ctx.issues.errors
    left = {"citeAs", "datePublished"}
    assert all(any(name in warning for name in left) for warning in read.ctx.issues.warnings)
    assert read.name == "pairs" and read.license == [LICENCE]
    assert read.creators[0].name == "A. Person" and read.description.startswith("Blocks | holes. 5 simulated")
    root, files = read.distribution
    assert root.sha256 == hashes(carded[1])["zarr.json"] and not read.record_sets
    assert list((carded[1]).glob(files.includes[0]))
    broken = {**card, "distribution": [{**card["distribution"][1], "includes": None}]}
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=broken)


def test_the_store_tells_where_it_comes_from(carded):
    told = datagen.open_corpus(carded[1]).description["provenance"]
    assert told == {"corpus_file": carded[0].read_text(), "versions": versions()}


def test_counts_by_split_are_those_of_the_scenes(tmp_path):
    two = '[[detector]]\npreset = "generic-gos-200um"\nrows = 8\ncolumns = 8\n[[detector]]\nname = "b"\npreset'
    text = TWICE.replace("scenes = 2", "scenes = 501").replace("[detector]\npreset", two)
    corpus = load_corpus(saved(tmp_path, text))
    for place in range(2):
        counted = dict.fromkeys(SPLITS, 0)
        for scene in range(place, 501, 2):
            counted[split_of(corpus, scene)] += 1
        assert scenes_by_split(corpus, place) == counted
    many = load_corpus(saved(tmp_path, TWICE.replace("scenes = 2", "scenes = 100000000000"), name="many.toml"))
    assert scenes_by_split(many, 0) == {"train": 80000000000, "val": 10000000000, "test": 10000000000}


def test_the_state_is_told_when_the_last_shard_is_there(tmp_path):
    corpus, out = saved(tmp_path, PAIR), tmp_path / "out.zarr"
    known = load_corpus(corpus)
    from datagen.store import create_store

    create_store(known, out)
    fresh = (out / "README.md").read_text()
    assert "being made" in fresh
    datagen.write_shard(known, out, 1)
    assert (out / "README.md").read_text() == fresh
    datagen.generate(corpus, out, progress=False)
    done = (out / "README.md").read_text()
    assert [a for a, b in zip(fresh.split("\n"), done.split("\n"), strict=True) if a != b] == [
        "| state | being made: `datagen info STORE` counts the shards that are finished |"
    ]
    # a resumed job ends with the same files as one that was never cut short
    datagen.generate(corpus, tmp_path / "again.zarr", progress=False)
    assert hashes(out) == hashes(tmp_path / "again.zarr")


def test_what_its_owner_wrote_is_kept(tmp_path):
    corpus, out = saved(tmp_path, PAIR), tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)
    text = (out / "README.md").read_text().replace("## Formats", "Ask me first.\n\n## Formats")
    (out / "README.md").write_text(text.replace("complete: ", "incomplete: "))
    (out / "croissant.json").write_text("{}")
    commit_path(out, 1).unlink()
    datagen.generate(corpus, out, progress=False)
    assert (out / "README.md").read_text() == text and (out / "croissant.json").read_text() == "{}"
    # nothing reads them
    (out / "README.md").write_bytes(b"\xff\xfe")
    datagen.generate(corpus, out, progress=False)
    assert (out / "README.md").read_bytes() == b"\xff\xfe" and len(datagen.open_corpus(out).subset()) == 5
    # nor misses them
    (out / "README.md").unlink()
    datagen.generate(corpus, out, progress=False)
    assert "complete: " in (out / "README.md").read_text()


def test_a_card_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    from datagen.place import FolderPlace

    corpus, write = saved(tmp_path, PAIR), FolderPlace.write

    def full(self, key, content):
        if key == "README.md":
            raise OSError(28, "No space left on device")
        return write(self, key, content)

    monkeypatch.setattr(FolderPlace, "write", full)
    with pytest.raises(xsim.OutputError, match=r"cannot write README.md to .* \(No space left on device\)"):
        datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    monkeypatch.undo()
    datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    assert (tmp_path / "out.zarr" / "README.md").exists()


def test_a_damaged_record_of_another_task_fails_no_job(tmp_path):
    corpus, out = tiny_corpus(tmp_path, scenes=4), tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)
    record = out / "commits/000000/zarr.json"
    record.write_bytes(record.read_bytes()[:-9])
    assert datagen.generate(corpus, out, progress=False, task=(1, 2)).kept == 1
    assert datagen.generate(corpus, out, progress=False, task=(0, 2)).mended == 1
    assert "complete: " in (out / "README.md").read_text()
