"""Pixels whose value means nothing: marked in the store, handed out, and older stores without the mark."""

import json
import shutil

import numpy as np
import pytest
import zarr
from test_datagen_generate import copied
from test_datagen_store import FORMAT, hashes, made, small_corpus

import datagen
import xsim
from datagen.commit import commit_path
from datagen.corpus_file import load_corpus
from datagen.root import MARK, OLDEST, SEAL
from datagen.scenes import draw_scene, noise_seed
from datagen.seal import render, seal

__all__ = ["copied", "made"]  # the fixtures, used below by their names


def bad_corpus(folder):
    """A camera with dead pixels and clusters, and half of the scenes so bright that it saturates."""
    (folder / "bad.toml").write_text(
        """
        pitch_mm = 0.2
        [scintillator]
        material = "GOS"
        areal_density_mg_cm2 = 100.0
        [sensor]
        adc_bits = 16
        electrons_per_kev = 20.0
        gain_adu_per_e = 1.0
        full_well_e = 60000.0
        offset_adu = 100.0
        read_noise_e = 5.0
        [sensor.defects]
        dead_share = 0.01
        clusters_per_mpx = 500
        """
    )
    camera = ('preset = "generic-gos-200um"', 'name = "bad"\npreset = "bad.toml"')
    dose = ("{ log_uniform = [30, 3000] }", "{ choice = [30, 3000] }")
    return small_corpus(folder, camera, dose, ("scenes = 11", "scenes = 6"))


def test_bad_and_saturated_pixels_are_marked(tmp_path):
    corpus, out = bad_corpus(tmp_path), tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)
    datagen.generate(corpus, tmp_path / "two.zarr", workers=2, progress=False)
    assert hashes(tmp_path / "two.zarr") == hashes(out)
    known, view = load_corpus(corpus), datagen.open_corpus(out).subset()
    dead = np.logical_and.reduce([~sample["valid"] for sample in view])
    assert 0.005 < dead.mean() < 0.1
    for sample in view:
        scene = draw_scene(known, sample["index"])[0].scene
        image = xsim.simulate(scene, noise_seed(known, sample["index"]), "cpu", threads=1)
        assert sample["valid"].dtype == bool and np.array_equal(sample["valid"], image.valid)
        saturated = sample["params"]["saturated_share"]
        assert 1 - sample["valid"].mean() == pytest.approx(dead.mean() + saturated)
        assert 1 - sample["valid"].mean() == pytest.approx(sample["params"]["invalid_share"])
    assert (view.params("saturated_share") > 0.01).any() and (view.params("saturated_share") == 0).any()
    stored = zarr.open_array(out / "bad" / "valid", mode="r")[:]
    assert stored.dtype == np.uint8 and set(np.unique(stored)) == {0, 1}
    frugal = datagen.open_corpus(out, cache_bytes=0).subset()
    assert all(np.array_equal(one["valid"], other["valid"]) for one, other in zip(view, frugal, strict=True))


def aged(out):
    """A store as it was before it held the mark: no array, none in its records, no hashes of descriptions."""
    shutil.rmtree(out / FORMAT / "valid")
    root = json.loads((out / "zarr.json").read_text())
    description = root["attributes"][MARK]
    for key in ("descriptions", "provenance", SEAL):
        del description[key]
    description["schema"] = OLDEST
    (out / "zarr.json").write_text(json.dumps(root))
    (out / "commits/zarr.json").write_bytes(render({"about": "One group per finished shard."}))
    for number in range(3):
        path = commit_path(out, number)
        if not path.exists():
            continue
        record = json.loads(path.read_text())["attributes"]
        record["files"] = {name: each for name, each in record["files"].items() if "/valid/" not in name}
        kept = [name for name in record["metadata"] if name.count("/") == 2 and "/valid/" not in name]
        record["metadata"] = {name: record["metadata"][name] for name in kept}
        path.write_bytes(render(seal(record, "record_sha256")))


@pytest.mark.parametrize("cache_bytes", [0, 1 << 30])
def test_older_stores_are_read_with_every_pixel_valid(copied, made, cache_bytes):
    corpus, out = copied
    aged(out)
    assert datagen.generate(corpus, out, progress=False).written == 0
    older = datagen.open_corpus(out, cache_bytes).subset()
    for sample, now in zip(older, datagen.open_corpus(made[1]).subset(), strict=True):
        assert sample["valid"].dtype == bool and sample["valid"].shape == (48, 40) and sample["valid"].all()
        assert np.array_equal(sample["noisy"], now["noisy"]) and np.array_equal(sample["labels"], now["labels"])


def test_older_stores_are_not_added_to(copied):
    corpus, out = copied
    aged(out)
    commit_path(out, 1).unlink()
    with pytest.raises(xsim.CorpusError, match=r"has no valid images .* generate it anew"):
        datagen.generate(corpus, out, progress=False)
    assert len(datagen.open_corpus(out).subset()) == 7


def test_a_lost_mark_is_damage_not_an_older_store(copied):
    _, out = copied
    shutil.rmtree(out / FORMAT / "valid")
    with pytest.raises(xsim.CorpusError, match="is damaged"):
        list(datagen.open_corpus(out).subset())


def test_the_trainer_does_not_ask_for_invalid_pixels(tmp_path):
    """The error of pixels that are not valid is not in the loss, nor in its gradient."""
    torch = pytest.importorskip("torch")
    from denoise.batches import validation_batch
    from denoise.methods import Moment
    from denoise.noise_cnn import METHOD

    out = tmp_path / "out.zarr"
    datagen.generate(bad_corpus(tmp_path), out, progress=False)
    views = [datagen.open_corpus(out).subset(split="val")]
    batch = validation_batch(views, METHOD.images, (), 16, 0) or pytest.fail("no validation scenes")
    assert not batch["valid"].all()

    def loss(network, asked):
        total, terms = METHOD.loss(network, asked, {"domain": "vst"}, Moment(0, 0.0, torch.Generator()))
        assert terms == batch["valid"].sum()
        return total

    shift = torch.zeros_like(batch["noisy"], requires_grad=True)
    loss(lambda z: 0 * z + shift, batch).backward()
    assert (shift.grad[~batch["valid"]] == 0).all() and (shift.grad[batch["valid"]] != 0).any()
    lies = {**batch, "clean": torch.where(batch["valid"], batch["clean"], 1e4)}
    assert loss(lambda z: 0 * z, lies) == loss(lambda z: 0 * z, batch)
