"""The trunk of ResNet-34: the parameters of its files, and what it computes with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_corpus import tiny_corpus

import datagen
from xsim import ModelError

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")
from torch.nn import functional  # noqa: E402

import denoise  # noqa: E402
from denoise.checkpoint import read_checkpoint  # noqa: E402
from denoise.features import load_features  # noqa: E402
from denoise.resnet import ResNet34  # noqa: E402


@pytest.fixture(scope="module")
def random_resnet() -> ResNet34:
    """With statistics of batches that are not those of a new network, so that a mix-up of names shows."""
    torch.manual_seed(3)
    network = ResNet34()
    for name, each in network.state_dict().items():
        if name.endswith("running_mean"):
            each.normal_()
        if name.endswith(("running_var", "bn1.weight", "bn2.weight", "downsample.1.weight")):
            each.uniform_(0.5, 2.0)
    return network.eval().requires_grad_(False)


def test_trunk_has_the_published_parameters(random_resnet: ResNet34) -> None:
    """21 797 672 with the classifier of 1000 classes (torchvision's table), which is left out; its names and shapes."""
    assert sum(each.numel() for each in random_resnet.parameters()) == 21_797_672 - 1000 * 513
    shapes = {name: tuple(each.shape) for name, each in random_resnet.state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7) and shapes["layer1.2.conv2.weight"] == (64, 64, 3, 3)
    assert shapes["layer2.0.downsample.0.weight"] == (128, 64, 1, 1) and shapes["layer2.0.downsample.1.bias"] == (128,)
    assert shapes["layer4.2.bn2.running_var"] == (512,) and "layer1.0.downsample.0.weight" not in shapes
    counts = [len({name.split(".")[1] for name in shapes if name.startswith(f"layer{k}.")}) for k in (1, 2, 3, 4)]
    assert counts == [3, 4, 6, 3]


def test_trunk_computes_what_its_names_say(random_resnet: ResNet34) -> None:
    """Against the layers written out one by one, in float64."""
    weights = {name: each.double() for name, each in random_resnet.state_dict().items() if each.is_floating_point()}

    def norm(x: Any, name: str) -> Any:
        mean, var, scale, shift = (
            weights[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    u = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    h = functional.conv2d(u.double().repeat(1, 3, 1, 1), weights["conv1.weight"], stride=2, padding=3)
    h = functional.max_pool2d(norm(h, "bn1").relu(), 3, 2, 1)
    for stage, (blocks, found) in enumerate(zip((3, 4, 6), random_resnet(u), strict=True), 1):
        for block in range(blocks):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            inner = norm(functional.conv2d(h, weights[f"{name}.conv1.weight"], None, stride, 1), f"{name}.bn1").relu()
            inner = norm(functional.conv2d(inner, weights[f"{name}.conv2.weight"], None, 1, 1), f"{name}.bn2")
            if stride == 2:
                h = functional.conv2d(h, weights[f"{name}.downsample.0.weight"], None, stride)
                h = norm(h, f"{name}.downsample.1")
            h = (inner + h).relu()
        assert found.shape == (2, 32 << stage, 32 >> stage, 32 >> stage)
        torch.testing.assert_close(found.double(), h, rtol=1e-3, atol=1e-3 * float(h.abs().max()))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_users_weights_are_loaded(random_resnet: ResNet34, tmp_path: Path, suffix: str) -> None:
    weights = {**random_resnet.state_dict(), "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(weights, path)
    else:  # counts of batches are lacking in old files
        old = {name: each for name, each in weights.items() if not name.endswith("num_batches_tracked")}
        safetensors_torch.save_file(old, path)
    found = load_features(path)
    assert found.name == f"resnet34-{found.sha256[:8]}"
    u = torch.randn(1, 1, 32, 32)
    for one, other in zip(found.network(u), random_resnet(u), strict=True):
        assert torch.equal(one, other)


def test_dngan_is_trained_with_a_users_weights(random_resnet: ResNet34, tmp_path: Path) -> None:
    """The content term compares the features of the file; another file in its place is told of before anything."""
    corpus, weights = tmp_path / "corpus.zarr", tmp_path / "weights.safetensors"
    datagen.generate(tiny_corpus(tmp_path, scenes=2), corpus, workers=1, progress=False)
    safetensors_torch.save_file(random_resnet.state_dict(), weights)
    settings = {"steps": 2, "batch": 2, "crop": 32, "network.features": 4, "rival_features": 4, "rival_hidden": 8}
    settings |= {"pretrain": 0.0, "feature_file": str(weights), "progress": False}
    denoise.train(corpus, "dngan", tmp_path / "m.safetensors", **settings)
    trained, told = read_checkpoint(tmp_path / "m.safetensors")
    assert told["settings"]["feature_name"] == load_features(weights).name
    assert len(told["settings"]["content_unit"]) == 3 and sum(each.numel() for each in trained.values()) < 10_000
    denoise.train(corpus, "dngan", tmp_path / "none.safetensors", **{**settings, "weight_content": 0.0})
    without = read_checkpoint(tmp_path / "none.safetensors")[0]
    assert any(not torch.equal(trained[name], each) for name, each in without.items()), "the term pulls"
    safetensors_torch.save_file({"conv1.weight": torch.zeros(64, 3, 3, 3)}, weights)
    with pytest.raises(ModelError, match=r"conv1\.weight has shape \[64, 3, 3, 3\]"):
        denoise.train(corpus, "dngan", tmp_path / "bad.safetensors", **settings)
    assert not (tmp_path / "bad.safetensors").exists()
