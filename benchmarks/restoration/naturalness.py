"""BRISQUE, how natural a picture looks, by an environment of its own: told beside the figures, never judged by."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xsim.image_io import display

PEER = Path(__file__).with_name("naturalness_peer.py")


def brisque_scores(python: Path | None, images: Sequence[np.ndarray]) -> list[float] | None:
    """Scores of images windowed as an inspector would, less is more natural; None where there is no brisque.

    Trained on photographs with compression, blur and white noise (Mittal, Moorthy, Bovik, IEEE TIP 21 (2012) 4695), of
    which a radiograph is none.
    """
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "pictures.npy", Path(folder) / "scores.json"
        np.save(source, np.stack([display(image) for image in images]))
        done = subprocess.run([python, "-W", "ignore", PEER, source, target], capture_output=True, check=False)
        scores: list[float] | None = json.loads(target.read_text()) if done.returncode == 0 else None
        return scores
