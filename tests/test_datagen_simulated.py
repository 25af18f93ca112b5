"""Scenes simulated while training: those of the store, with noise that is never the same."""

import numpy as np
import pytest
from test_datagen_store import small_corpus
from test_datagen_torch import same
from tiny_corpus import tiny_corpus

import datagen
import xsim
from datagen.scenes import split_of

torch = pytest.importorskip("torch")

from datagen.scene_exposure import SceneExposure  # noqa: E402
from datagen.torch_data import SimulatedDataset  # noqa: E402

ALL = ("noisy", "clean", "noise", "labels", "valid")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    return small_corpus(folder, ("scenes = 11", "scenes = 6"), ("frames_per_scene = 1", "frames_per_scene = 2"))


def whole(corpus, **options):
    """Whole images, one at a time."""
    shared = {"split": None, "augment": False, "frames": 2, "crops_per_frame": 1, "images": ALL, "buffer": 2}
    return SimulatedDataset(corpus, **{**shared, **options})


def test_equals_what_would_be_stored(corpus, tmp_path):
    """Epoch 0 of two frames a scene is the corpus of two frames a scene: images, numbers, places."""
    datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    stored = {sample["index"]: sample for sample in datagen.open_corpus(tmp_path / "out.zarr").subset()}
    items = list(whole(corpus))
    assert {2 * item["index"] + item["frame"] for item in items} == set(stored)
    for item in items:
        sample = stored[2 * item["index"] + item["frame"]]
        for name in ("noisy", "clean", "noise", "valid"):
            assert np.array_equal(item[name][0], sample[name])
        assert np.array_equal(item["labels"], sample["labels"])
        for name in ("a_pixel_adu", "b_adu2", "offset_adu", "quanta_per_pixel", "voltage_kv", "exposure_mas"):
            assert item[name].item() == np.float32(sample["params"][name])


def test_scenes_that_saturate_are_drawn_again_as_the_store_does(tmp_path):
    corpus = tiny_corpus(tmp_path, scenes=6, more="saturated_share = 0.0")
    corpus.write_text(corpus.read_text().replace("uniform = [0.2, 0.8]", "uniform = [0.98, 1.0]"))
    datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    stored = list(datagen.open_corpus(tmp_path / "out.zarr").subset())
    assert any(sample["params"]["redraws"] for sample in stored)
    for item in whole(corpus, frames=1):
        assert np.array_equal(item["noisy"][0], stored[item["index"]]["noisy"])


def test_each_epoch_has_fresh_noise_and_the_same_clean(corpus):
    """No two frames, of one epoch or of two, share noise: neighbours correlate, so the limit is wider than 1/sqrt n."""
    data, frames = whole(corpus), {}
    for epoch in range(3):
        data.set_epoch(epoch)
        for item in data:
            frames.setdefault(item["index"], {})[item["frame"]] = item
    assert all(sorted(each) == list(range(6)) for each in frames.values()) and len(frames) == 6
    for each in frames.values():
        assert all(torch.equal(each[0]["clean"], item["clean"]) for item in each.values())
        noise = np.stack([item["noise"].numpy().ravel() for item in each.values()])
        correlation = np.corrcoef(noise) - np.eye(len(noise))
        assert np.abs(correlation).max() < 12 / noise.shape[1] ** 0.5


def test_splits_are_those_of_the_corpus(corpus):
    known = datagen.load_corpus(corpus)
    for split in ("train", "val", "test"):
        wanted = [scene for scene in range(6) if split_of(known, scene) == split]
        if wanted:
            assert sorted({item["index"] for item in whole(known, split=split, frames=1)}) == wanted


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_simulate_the_same(corpus):
    """In spawned processes: the same batches, and after being left in the middle of an epoch the same again."""
    options = {"crop": 16, "augment": True, "crops_per_frame": 4, "batch": 4, "seed": 2}
    alone = list(whole(corpus, **options))
    reader = whole(corpus, **options, workers=2)
    loader = reader.loader(multiprocessing_context="spawn")
    read = list(loader)
    assert len(read) == len(loader) == len(alone) == 12
    pixels = [sorted(crop.numpy().tobytes() for batch in each for crop in batch["noisy"]) for each in (alone, read)]
    assert pixels[0] == pixels[1]
    reader.load_state_dict(reader.state_dict(given=5))
    assert all(same(one, other) for one, other in zip(loader, read[5:], strict=True))


def test_images_of_another_library_give_the_same_batches(corpus, monkeypatch):
    """Arrays that NumPy did not make go to torch by DLPack, are cut and turned there, and share its memory."""
    options = {"crop": 16, "augment": True, "crops_per_frame": 8, "batch": 8}
    by_numpy = list(whole(corpus, **options))
    before = SceneExposure.images

    def images(self, frame):
        return {name: torch.from_numpy(np.array(image)) for name, image in before(self, frame).items()}

    monkeypatch.setattr(SceneExposure, "images", images)
    by_torch = list(whole(corpus, **options))
    assert all(same(one, other) for one, other in zip(by_torch, by_numpy, strict=True))
    data = whole(corpus)
    scene = data._open(0, 0)
    image = scene.image("clean", 0)
    assert isinstance(image, torch.Tensor)
    assert image.data_ptr() == scene._recorded[0]["clean"].data_ptr()


def test_what_cannot_be_simulated_is_said(corpus):
    for options, words in (
        ({"split": "training"}, "unknown split"),
        ({"format": "other"}, "no format"),
        ({"images": ("sharp",)}, "no 'sharp' images"),
        ({"crop": 64}, "does not fit"),
        ({"backend": "cuda", "workers": 2}, "no workers"),
        ({"split": "test", "scenes": 1}, "no scenes in split"),
    ):
        with pytest.raises(xsim.CorpusError, match=words):
            SimulatedDataset(corpus, **options)
