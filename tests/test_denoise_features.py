from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_corpus import tiny_corpus

import datagen
from xsim import CorpusError, ModelError, OutputError

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

from denoise.cli import main  # noqa: E402
from denoise.feature_training import FeatureSettings, train_features  # noqa: E402
from denoise.features import (  # noqa: E402
    CorpusFeatures,
    load_features,
    opened,
    relative_distance,
    squared_distances,
    windowed,
)
from denoise.resnet import ResNet34  # noqa: E402

BLOCK = """
[[body]]
name = "block"
shape = "box"
size_mm = [2, 2, 2]
position_mm = [-2, -1, 0]
material = "PVC"
"""
MORE = "split = { train = 0.7, val = 0.3, test = 0.0 }"
QUICK = FeatureSettings(widths=(8, 16, 16), steps=100, batch=8, crop=32, learning_rate=3e-3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    out = folder / "out.zarr"
    datagen.generate(
        tiny_corpus(folder, scenes=20, shard_samples=10, extra=BLOCK, more=MORE), out, workers=1, progress=False
    )
    return out


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("net") / "features.safetensors"
    return path, train_features(corpus, path, QUICK, progress=False)


# what images are compared by


def test_the_clean_image_sets_the_window() -> None:
    torch.manual_seed(0)
    clean = 40.0 + 5.0 * torch.randn(2, 1, 16, 16)
    seen = windowed(clean, clean)
    assert seen.mean((1, 2, 3)).abs().max() < 1e-5
    variance = clean.var((1, 2, 3), correction=0)
    torch.testing.assert_close(seen.var((1, 2, 3), correction=0), variance / (variance + 1.0))
    flat, noise = torch.full((1, 1, 8, 8), 12.0), torch.randn(1, 1, 8, 8)
    torch.testing.assert_close(windowed(flat + noise, flat), noise, atol=1e-5, rtol=0)


def test_distances_of_the_image_itself_are_those_of_pixels() -> None:
    """Of a network that passes its input on, the distances are known."""

    def itself(u: Any) -> list[Any]:
        return [u, 2.0 * u]

    torch.manual_seed(1)
    clean, noise = 9.0 + torch.randn(3, 1, 8, 8), 0.3 * torch.randn(3, 1, 8, 8)
    scale = (clean.var((1, 2, 3), correction=0) + 1.0).view(-1, 1, 1, 1)
    each = (noise**2 / scale).mean()
    torch.testing.assert_close(squared_distances(itself, clean + noise, clean), torch.stack([each, 4 * each]))
    centred = clean - clean.mean((1, 2, 3), keepdim=True)
    wanted = noise.flatten(1).norm(dim=1) / centred.flatten(1).norm(dim=1)
    torch.testing.assert_close(relative_distance(itself, clean + noise, clean), wanted)
    assert relative_distance(itself, clean, clean).max() == 0


# a network trained on labels


def test_features_learn_the_labels_and_say_what_they_are(corpus: Path, trained: tuple[Path, dict[str, Any]]) -> None:
    path, told = trained
    assert told["classes"][0] == "none" and set(told["classes"][1:]) <= {"box of PVC", "sphere of Al", "sphere of Fe"}
    assert told["accuracy"] > told["chance"] + 0.15
    assert told["name"] == "corpus-features-tiny-0" and "resnet" not in json.dumps(told).lower()
    assert told["corpus"]["sha256"] == datagen.open_corpus(corpus).sha256
    found = load_features(path)
    assert found.name == told["name"] and not any(each.requires_grad for each in found.network.parameters())
    shapes = [tuple(each.shape) for each in found.network(torch.zeros(2, 1, 32, 32))]
    assert shapes == [(2, 8, 32, 32), (2, 16, 16, 16), (2, 16, 8, 8)]


def test_same_seed_same_file_another_seed_another(corpus: Path, tmp_path: Path) -> None:
    few = FeatureSettings(**{**vars(QUICK), "steps": 5})
    for name in ("once", "again"):
        train_features(corpus, tmp_path / f"{name}.safetensors", few, progress=False)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "once.safetensors").read_bytes()
    other = FeatureSettings(**{**vars(QUICK), "seed": 1, "steps": 1, "kernel": 5})
    assert train_features(corpus, tmp_path / "other.safetensors", other, progress=False)["name"].endswith("-1")
    assert load_features(tmp_path / "other.safetensors").network.stages[0][0].kernel_size == (5, 5)


def test_pixels_that_are_not_valid_teach_nothing(corpus: Path) -> None:
    from denoise.feature_training import IGNORED, Shown, _windows_and_classes

    opened_corpus = datagen.open_corpus(corpus)
    view = opened_corpus.subset()
    shown, sample = Shown.of(opened_corpus, [view]), view[0]
    valid = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    valid[..., :7] = False
    labels = torch.from_numpy(sample["labels"].astype("int32"))[None]
    items = {"clean": torch.from_numpy(sample["clean"])[None, None], "labels": labels, "valid": valid}
    scalars = {name: torch.tensor([sample["params"][name]]).float() for name in ("a_pixel_adu", "b_adu2")}
    _, classes = _windows_and_classes({**items, **scalars, "index": torch.tensor([sample["index"]])}, shown)
    assert (classes[..., :7] == IGNORED).all() and (classes[..., 7:] != IGNORED).all()
    for body in opened_corpus.instances(sample["index"]):
        there = classes[0, :, 7:][labels[0, :, 7:] == body["label"]]
        assert (there == shown.classes.index(f"{body['class']} of {body['material']}")).all()


def test_feature_training_refuses(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "there.safetensors").write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        train_features(corpus, tmp_path / "there.safetensors", QUICK)
    assert (tmp_path / "there.safetensors").read_text() == "mine"
    with pytest.raises(OutputError, match=r"end it in \.safetensors"):
        train_features(corpus, tmp_path / "x.pth", QUICK)
    with pytest.raises(ModelError, match="diverged"):
        settings = FeatureSettings(**{**vars(QUICK), "learning_rate": 1e30})
        train_features(corpus, tmp_path / "x.safetensors", settings, progress=False)
    for wrong in ({"widths": (4, 0, 4)}, {"kernel": 4}, {"crop": 30}, {"steps": 0}):
        with pytest.raises(ModelError):
            FeatureSettings(**wrong)
    assert [each.name for each in tmp_path.iterdir()] == ["there.safetensors"]


def test_a_corpus_of_nothing_teaches_nothing(tmp_path: Path) -> None:
    path = tiny_corpus(tmp_path, scenes=4)
    path.write_text(path.read_text().split("[[body]]")[0])
    out = tmp_path / "out.zarr"
    datagen.generate(path, out, workers=1, progress=False)
    with pytest.raises(CorpusError, match="shows nothing but 'none'"):
        train_features(out, tmp_path / "x.safetensors", QUICK)


def test_command_makes_features(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "f.safetensors"
    line = [
        "features",
        str(corpus),
        "-o",
        str(path),
        "--steps",
        "2",
        "--batch",
        "4",
        "--crop",
        "32",
        "--widths",
        "4,4,4",
    ]
    assert main(line) == 0
    assert (
        "corpus-features-tiny-0" in capsys.readouterr().out
        and load_features(path).network.stages[2][0].out_channels == 4
    )
    before = path.read_bytes()
    for arguments, message in ((line, "is there already"), ([*line[:2], "--widths", "4,x"], "widths")):
        try:
            code = main(arguments)
        except SystemExit as ended:  # of the parser
            code = ended.code
        text = capsys.readouterr().err
        assert code == 2 and message in text
    assert path.read_bytes() == before


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("code ran",))


def test_files_that_are_no_features(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, path = ResNet34().state_dict(), tmp_path / "x.safetensors"
    small = {name: each for name, each in weights.items() if each.numel() < 5000}
    big = torch.zeros(64, 64, 1, 1)

    def saved(found: dict[str, Any], metadata: dict[str, str] | None = None) -> Path:
        safetensors_torch.save_file(found, path, metadata)
        return path

    def dumped(found: Any) -> Path:
        torch.save(found, tmp_path / "x.pth")
        return tmp_path / "x.pth"

    own = safetensors_torch.load_file(trained[0])
    told = trained[1]
    head = {**own, "head.bias": torch.zeros(99)}
    text = tmp_path / "text.safetensors"
    text.write_text("no weights")
    cases = [
        (lambda: tmp_path / "absent.pth", "not read"),
        (lambda: tmp_path, "not read"),
        (lambda: text, "not a safetensors file"),
        (lambda: dumped(Evil()), "no file of tensors"),
        (lambda: dumped([1, 2]), "no state of a network"),
        (lambda: saved(small), "not ResNet-34 (it lacks conv1.weight)"),
        (lambda: saved({**small, "layer1.0.conv3.weight": big}), "it has layer1.0.conv3.weight"),
        (lambda: saved({**small, "conv1.weight": big}), "conv1.weight has shape [64, 64, 1, 1], not [64, 3, 7, 7]"),
        (lambda: saved({**small, "conv1.weight": torch.full((64, 3, 7, 7), float("nan"))}), "are no numbers"),
        (lambda: saved(head, {"denoise_features": json.dumps(told)}), "head.bias has shape [99]"),
        (lambda: saved(own, {"denoise_features": json.dumps({**told, "schema": 9})}), "update xsim"),
        (lambda: saved(own, {"denoise_features": "[1]"}), "describes no feature network (no name)"),
        (lambda: saved(own, {"denoise_features": '{"schema": 1, "name": "x"}'}), "describes no feature network ('cla"),
    ]
    for make, message in cases:
        with pytest.raises(ModelError) as caught:
            load_features(make())
        assert message in str(caught.value) and "\n" not in str(caught.value)
    assert "code ran" not in capsys.readouterr().out


def test_a_file_that_changed_is_not_taken_for_what_it_was(trained: tuple[Path, dict[str, Any]]) -> None:
    path = trained[0]
    sha256 = load_features(path).sha256
    assert opened(str(path), sha256, "cpu") is opened(str(path), sha256, "cpu")
    with pytest.raises(ModelError, match="its sha256 differs"):
        opened(str(path), "0" * 64, "cpu")


def test_features_are_blind_to_where_in_memory_an_image_lies() -> None:
    torch.manual_seed(0)
    network, u = CorpusFeatures(3, (4, 4, 4)), torch.randn(2, 1, 16, 16)
    for one, other in zip(network(u), network(u.contiguous(memory_format=torch.channels_last)), strict=True):
        torch.testing.assert_close(one, other)
