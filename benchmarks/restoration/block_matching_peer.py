"""Run by an interpreter that has bm3d: Z.npy SPECTRA.npy OUT.npy; without the second file noise is white, of sd 1."""

import sys
from pathlib import Path

import numpy as np

if not hasattr(np, "trapz"):  # NumPy 2.4 has it no more; bm3d's spectrum path asks for it
    np.trapz = np.trapezoid  # noqa: NPY201
from bm3d import bm3d

images, spectra, out = (Path(name) for name in sys.argv[1:4])
z = np.load(images)
psd = np.load(spectra).astype(float) if spectra.exists() else [1.0] * len(z)
np.save(out, np.stack([bm3d(image.astype(float), each) for image, each in zip(z, psd, strict=True)]).astype(np.float32))
