"""A trained model as ONNX: noisy, a, b -> restored, transform, network, inverse and regional mean in one graph.

What was written is run beside torch before it gets its name, on images of other sizes than the graph was traced with;
a method that cannot be traced, one that draws at random for example, is refused.
"""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import xsim
from denoise.anchor import mirrored, window
from denoise.new_file import check_new
from denoise.restorer import Restorer, load
from xsim import ModelError, OutputError

__all__ = ["export"]

INPUTS = ("noisy", "a", "b")
TRACED, CHECKED = (72, 88), ((64, 64), (37, 150), (201, 93))  # rows, columns
TRIAL = {"a": 0.3, "b": -74.0, "mean": 900.0}  # ADU, ADU^2, ADU
LIMIT = 1e-3  # standard deviations of the noise that both may differ by


class Whole(nn.Module):
    """Everything that a restorer does, as a module of tensors [1, 1, row, column]."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.network, self._restorer = restorer.network, [restorer]  # in a list: no part of the module
        width = restorer.anchor_px
        self.register_buffer("weights", window(width) if width else torch.ones(1))

    def forward(self, noisy: Tensor, a: Tensor, b: Tensor) -> Tensor:
        restorer = self._restorer[0]
        rows, columns = noisy.shape[2], noisy.shape[3]
        rest = (0, -columns % restorer.multiple, 0, -rows % restorer.multiple)
        tensors = (functional.pad(each, rest, mode="replicate") for each in (noisy, a, b))
        settings = restorer.configuration["settings"]
        restored = restorer.method.restore(self.network, *tensors, settings)[:, :, :rows, :columns]
        return self.anchored(restored, noisy) if restorer.anchor_px else restored

    def anchored(self, restored: Tensor, noisy: Tensor) -> Tensor:
        """``denoise.anchor.anchored`` by convolution: a graph of few nodes, sums in another order."""
        lacking, half_width = noisy - restored, len(self.weights) // 2
        for axis, view in ((2, (1, 1, -1, 1)), (3, (1, 1, 1, -1))):
            lacking = lacking.index_select(axis, mirrored(lacking.shape[axis], half_width))
            lacking = functional.conv2d(lacking, self.weights.view(view))
        return restored + lacking


def export(model: str | os.PathLike[str], target: str | os.PathLike[str], overwrite: bool = False) -> float:
    """Write a model as ONNX.

    Its inputs are noisy [1, 1, row, column] ADU, float32, of any size, and a and b of that shape, Var x = a x + b; its
    output is restored [1, 1, row, column] ADU. States and conditions it was trained on stand in its metadata.

    Parameters
    ----------
    model, target : path
    overwrite : bool

    Returns
    -------
    float
        Greatest difference from torch found, in standard deviations of the noise.

    Raises
    ------
    ModelError, OutputError
        The method cannot be exported, or the result does not agree; or a file cannot be read or written.
    """
    import onnxruntime
    import onnxscript  # noqa: F401 (what is not installed is said before the work)

    out = Path(target)
    if out.suffix != ".onnx":
        raise OutputError(f"{out} is no name for a model of ONNX (its ending) end it in .onnx")
    check_new(out, overwrite)
    restorer = load(model, "cpu")
    program = traced(restorer)
    keys = ("method", "states", "conditions", "corpus")
    told = {"model": restorer.name, "sha256": restorer.sha256, **{key: restorer.configuration[key] for key in keys}}
    program.model.metadata_props["denoise"] = json.dumps(told, allow_nan=False)
    found: list[float] = []

    def write(path: Path) -> None:
        program.save(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        found.append(difference(restorer, session))
        if not found[0] <= LIMIT:
            raise ModelError(
                f"{restorer.name} cannot be exported ({restorer.method_name}: ONNX differs from torch by "
                f"{found[0]:.2g} standard deviations of the noise) use denoise apply"
            )

    xsim.write_whole(out, write)
    return found[0]


def traced(restorer: Restorer) -> torch.onnx.ONNXProgram:
    """The restorer as a graph.

    Raises
    ------
    ModelError
        It does something that has no graph.
    """
    any_size = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    shape = (1, 1, *TRACED)
    example = tuple(torch.full(shape, TRIAL[name]) for name in ("mean", "a", "b"))
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                Whole(restorer).eval(), example, dynamo=True, verbose=False, input_names=INPUTS,
                output_names=["restored"], dynamic_shapes=dict.fromkeys(INPUTS, any_size),
            )  # fmt: skip
    except Exception as error:  # of torch's tracer and its many parts
        name = restorer.method_name
        raise ModelError(
            f"{restorer.name} cannot be exported ({name}: {reason_of(error)}) use denoise apply"
        ) from error
    assert program is not None
    return program


def reason_of(error: BaseException) -> str:
    """What lies under the tracer's own words, which are of its steps and coloured."""
    while error.__cause__ is not None:
        error = error.__cause__
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return next((" ".join(line.split())[:120] for line in plain.splitlines() if line.strip()), type(error).__name__)


def difference(restorer: Restorer, session: object) -> float:
    """Greatest difference of both over images of several sizes, in standard deviations of the noise."""
    worst = 0.0
    for shape in CHECKED:
        a, b = (np.full(shape, TRIAL[name], np.float32) for name in ("a", "b"))
        sigma = float(TRIAL["a"] * TRIAL["mean"] + TRIAL["b"]) ** 0.5
        noisy = np.random.default_rng(0).normal(TRIAL["mean"], sigma, shape).astype(np.float32)
        fed = {name: each[None, None] for name, each in zip(INPUTS, (noisy, a, b), strict=True)}
        given = session.run(None, fed)[0][0, 0]  # type: ignore[attr-defined]
        own = restorer.restore_whole(noisy, a, b, restorer.anchor_px)[0, 0].numpy()
        worst = max(worst, float(np.abs(given - own).max()) / sigma)
    return worst


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's remarks on itself."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
