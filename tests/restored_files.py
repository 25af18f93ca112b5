"""Helpers of tests that restore files: a model of random weights, images, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise.checkpoint import write_checkpoint  # noqa: E402
from denoise.networks import make_network  # noqa: E402

A, B = 0.3, -74.0
TOLD = {"a_pixel_adu": A, "b_adu2": B, "state": "raw"}


@pytest.fixture(scope="module", name="model")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of random weights: files are what is tested."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    options = {"inputs": 1, "outputs": 1, "level_free": True, "features": 4, "widest": 8}
    configuration = {
        "method": "noise_cnn", "network": "unet", "network_options": options,
        "settings": {"domain": "vst", "anchor_px": 8}, "states": ["raw"], "corpus": {}, "versions": {},
        "conditions": {"level": [1.0, 1000.0], "voltage_kv": [60.0, 120.0]},
    }  # fmt: skip
    write_checkpoint(path, make_network("unet", **options).state_dict(), configuration)
    return path


def image(pages: int = 0, rows: int = 45, columns: int = 38) -> np.ndarray:
    shape = (pages, rows, columns) if pages else (rows, columns)
    return np.random.default_rng(pages + rows).normal(900, 20, shape).astype(np.uint16)


def expected(model: Path, pixels: np.ndarray, a: object = A, b: object = B) -> np.ndarray:
    """What the restorer makes of the array, rounded."""
    loaded = denoise.load(model)
    stack = pixels if pixels.ndim == 3 else pixels[None]
    found = np.stack([loaded(page.astype(np.float32), a, b) for page in stack])
    return np.rint(found).astype(np.uint16).reshape(pixels.shape)


def dicom(path: Path, pixels: np.ndarray, **tags: object) -> Path:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    made.PatientName, made.SeriesInstanceUID, made.ImageType = "Casting 7", "1.2.3", ["ORIGINAL", "PRIMARY", "VIEW"]
    made.Rows, made.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        made.NumberOfFrames = len(pixels)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    made.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    made.save_as(path, enforce_file_format=True)
    return path
