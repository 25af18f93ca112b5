"""A model as ONNX gives what torch gives, for images of any size; what has no graph is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from xsim import ModelError, OutputError

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

import denoise  # noqa: E402
from denoise import methods, onnx_model  # noqa: E402
from denoise.checkpoint import write_checkpoint  # noqa: E402
from denoise.cli import main  # noqa: E402
from denoise.networks import make_network  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    options = {"inputs": 1, "outputs": 1, "level_free": True, "features": 4, "widest": 8}
    configuration = {
        "method": "noise_cnn", "network": "unet", "network_options": options,
        "settings": {"domain": "vst", "anchor_px": 16}, "states": ["raw"], "corpus": {}, "versions": {},
        "conditions": {"level": [1.0, 1000.0]},
    }  # fmt: skip
    write_checkpoint(path, make_network("unet", **options).state_dict(), configuration)
    return path


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "m.onnx"
    assert denoise.export(model, out) < 1e-4
    return out


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (64, 64), (131, 97)])
def test_onnx_reproduces_torch_at_any_size_dose_and_noise_by_pixel(
    model: Path, exported: Path, shape: tuple[int, int]
) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    a = random.uniform(0.5, 1.5, shape).astype(np.float32)
    b = random.uniform(-50, 50, shape).astype(np.float32)
    for mean in (300.0, 20000.0):
        sigma = np.sqrt(a * mean + b)
        noisy = random.normal(mean, sigma).astype(np.float32)
        given = session.run(None, {"noisy": noisy[None, None], "a": a[None, None], "b": b[None, None]})[0][0, 0]
        own = denoise.load(model).restore(noisy, a, b, 16)
        assert given.shape == shape and np.abs(given - own).max() < 1e-3 * sigma.min()
        assert np.abs(own - noisy).max() > 0.1 * sigma.min() or shape == (1, 1)


def test_onnx_says_what_it_was_trained_on(model: Path, exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    told = json.loads(session.get_modelmeta().custom_metadata_map["denoise"])
    assert told["states"] == ["raw"] and told["sha256"] == denoise.load(model).sha256
    assert [each.name for each in session.get_inputs()] == ["noisy", "a", "b"]


@pytest.mark.slow  # the tracer takes seconds
def test_what_has_no_graph_is_one_line_and_nothing_is_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    method = methods.method_named("noise_cnn")

    def drawn(network, noisy, a, b, settings):
        return method.restore(network, noisy, a, b, settings) + torch.rand_like(noisy) * a

    def through_numpy(network, noisy, a, b, settings):
        return torch.from_numpy(np.sort(noisy.numpy()))

    for restore, message in ((drawn, "differs from torch"), (through_numpy, "cannot be exported")):
        changed = methods.Method(method.loss, restore, method.network_options)
        monkeypatch.setattr("denoise.restorer.method_named", lambda name, changed=changed: changed)
        assert main(["export", str(model), "-o", str(tmp_path / "m.onnx")]) == 2
        text = capsys.readouterr().err
        assert message in text and "use denoise apply" in text and text.count("\n") == 1
        assert list(tmp_path.iterdir()) == []


def test_the_reason_is_the_tracers_own_without_its_colours(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*arguments, **options):
        try:
            raise ValueError("\x1b[31mdata-dependent size\x1b[0m\nmany more lines")
        except ValueError as cause:
            raise RuntimeError("\x1b[96mThis is step 1/3\x1b[0m of exporting. Next steps: ...") from cause

    monkeypatch.setattr(torch.onnx, "export", refuses)
    with pytest.raises(ModelError) as told:
        denoise.export(model, tmp_path / "m.onnx")
    assert str(told.value) == "m.safetensors cannot be exported (noise_cnn: data-dependent size) use denoise apply"


def test_a_graph_that_differs_is_not_written(
    model: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Program:
        model = type("Model", (), {"metadata_props": {}})

        def save(self, path: Path) -> None:
            path.write_bytes(exported.read_bytes())

    restore = methods.method_named("noise_cnn").restore

    def shifted(network, noisy, a, b, settings):
        return restore(network, noisy, a, b, settings) + 0.02 * a

    method = methods.Method(None, shifted, None, anchored=False)
    monkeypatch.setattr(onnx_model, "traced", lambda restorer: Program())
    assert denoise.export(model, tmp_path / "good.onnx") < 1e-4
    monkeypatch.setattr("denoise.restorer.method_named", lambda name: method)
    with pytest.raises(ModelError, match="differs from torch"):
        denoise.export(model, tmp_path / "bad.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["good.onnx"]


def test_names_are_checked_before_the_work(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "traced", None)
    with pytest.raises(OutputError, match=r"end it in \.onnx"):
        denoise.export(model, tmp_path / "m.pt")
    (tmp_path / "m.onnx").write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        denoise.export(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="not read"):
        denoise.export(tmp_path / "none", tmp_path / "n.onnx")
    assert os.listdir(tmp_path) == ["m.onnx"]  # noqa: PTH208
