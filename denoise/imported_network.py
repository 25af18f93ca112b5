"""A network by the name of its class, "package.module:Class", of any library or of one's own.

What the trainer needs to know of it and it does not say is measured: how far apart rows may be laid (`multiple`), and
how far a pixel sees (`radius`), by the gradient of outputs with respect to inputs, in double precision.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from denoise.networks import NoisePredictor
from xsim import ModelError

__all__ = ["ImportedNetwork", "measured_multiple", "measured_radius", "network_named"]

SIDES_PX = (96, 224)  # images that reach is measured on
SHIFT_SIDE_PX = 160
MULTIPLES = (1, 2, 4, 8, 16, 32)
# what libraries call the channels
CHANNELS = {
    "inputs": ("inputs", "in_channels", "in_nc", "in_ch", "num_input_channels"),
    "outputs": ("outputs", "out_channels", "out_nc", "out_ch", "num_output_channels"),
    "level_free": ("level_free",),
}
MEASURED = "measured"


class ImportedNetwork(NoisePredictor):
    """A network of another library as the trainer knows networks.

    Parameters
    ----------
    inner : module
        From [image, channel, row, column] to an image of that size. Where it asks for ``sigma``, the noise's standard
        deviation, it gets 1, which it is after the variance-stabilising transform.
    inputs, outputs : int
        Channels.
    multiple : int, optional
    radius : int, "measured" or None
        None: as far as the image goes.

    Raises
    ------
    ModelError
        It gives no image of the input's size.
    """

    def __init__(
        self,
        inner: nn.Module,
        inputs: int = 1,
        outputs: int = 1,
        multiple: int | None = None,
        radius: int | str | None = MEASURED,
    ) -> None:
        super().__init__()
        self.inner = inner
        asked = inspect.signature(inner.forward).parameters
        self.more = {"sigma": 1.0} if "sigma" in asked and asked["sigma"].default is inspect.Parameter.empty else {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            probe = copy.deepcopy(self).double().eval()
            self.multiple = multiple or measured_multiple(probe, inputs, outputs)
            reach = measured_radius(probe, inputs, self.multiple) if radius == MEASURED else radius
        self.radius = None if reach is None else -(-int(reach) // self.multiple) * self.multiple
        self.found = {"multiple": self.multiple, "radius": self.radius}

    def forward(self, z: Tensor) -> Tensor:
        return self.inner(z, **self.more)


def network_named(
    name: str,
    inputs: int,
    outputs: int,
    level_free: bool | Sequence[bool],
    multiple: int | None = None,
    radius: int | str | None = MEASURED,
    **options: Any,
) -> ImportedNetwork:
    """Network by the name of its class, with random weights.

    Its channels are told to it by the names that libraries give them (in_channels, ...), where it has such an option.

    Raises
    ------
    ModelError
        There is no such class, it cannot be made, or it is no network from images to images.
    """
    made = class_named(name)
    known = inspect.signature(made).parameters
    channels = {"inputs": inputs, "outputs": outputs, "level_free": level_free}
    told = {alias: channels[what] for what, aliases in CHANNELS.items() for alias in aliases if alias in known}
    try:
        inner = made(**{**told, **options})
        if not any(each.requires_grad for each in inner.parameters()):
            raise ModelError("it has no weights to train (a layer?) name a network")
        return ImportedNetwork(inner, inputs, outputs, multiple, radius)
    except ModelError as error:
        raise ModelError(f"network {name!r}: {error}") from None
    except Exception as error:  # whatever another library raises
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ModelError(f"network {name!r} cannot be made ({reason}) set its options with network.NAME") from None


def class_named(name: str) -> type[nn.Module]:
    """Class by "package.module:Class".

    Raises
    ------
    ModelError
        There is none, or it is no torch.nn.Module.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(f"network {name!r} not found ({' '.join(str(error).split())}) install it") from None
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ModelError(f"network {name!r} is no class of networks (torch.nn.Module) name one")
    return found


def measured_multiple(network: nn.Module, inputs: int, outputs: int) -> int:
    """Smallest power of two that rows and columns, and the places that bands are cut at, must be multiples of.

    Raises
    ------
    ModelError
        None up to 32 gives an image of the input's size.
    """
    reason, taken = "it gives no image of the input's size", []
    for multiple in MULTIPLES:
        # odd multiples: a size that more halvings would fit is no evidence
        rows, columns = (multiple * max(count, 64 // multiple | 1) for count in (3, 5))
        try:
            with torch.no_grad():
                shape = network(torch.zeros(1, inputs, rows, columns, dtype=torch.float64)).shape
                if shape != (1, outputs, rows, columns):
                    continue
                if moves_along(network, inputs, multiple):
                    return multiple
                taken.append(multiple)
        except Exception as error:  # whatever another library raises
            reason = " ".join(str(error).split())[:160] or type(error).__name__
    if taken:  # a pixel sees further than an image of that test goes
        return taken[0]
    raise ModelError(f"it cannot be used on images ({reason}) wrap it in a class of your own")


def moves_along(network: nn.Module, inputs: int, shift: int) -> bool:
    """Whether the middle of an output moves with its input: it does not where a network has a coarser grid inside."""
    z = torch.randn(1, inputs, SHIFT_SIDE_PX, SHIFT_SIDE_PX, dtype=torch.float64)
    middle = slice(SHIFT_SIDE_PX // 2 - 8, SHIFT_SIDE_PX // 2 + 8)
    still, moved = network(z), network(z.roll((shift, shift), (2, 3))).roll((-shift, -shift), (2, 3))
    return torch.allclose(still[..., middle, middle], moved[..., middle, middle], rtol=1e-9, atol=1e-12)


def measured_radius(network: nn.Module, inputs: int, multiple: int) -> int | None:
    """How far pixels see each other: where the gradient of a cell of outputs is not zero.

    A cell has ``multiple`` rows and columns, as pixels of the coarsest grid differ in how far they reach. A rectified
    gradient may be zero by chance: so the reach is that of the network as it is and of one like it without negative
    weights, in which, from a positive image, nothing is rectified and nothing cancels.

    Returns
    -------
    int or None
        None where a pixel sees beyond 95 px: only whole images can then be restored.
    """
    alike = copy.deepcopy(network)
    with torch.no_grad():
        for weight in alike.parameters():
            weight.abs_()
    for side in SIDES_PX:
        middle = side // 2 // multiple * multiple
        stop = middle + multiple
        reach = 0
        for each in (network, alike):
            z = torch.rand(1, inputs, side, side, dtype=torch.float64, requires_grad=True)
            each(z)[..., middle:stop, middle:stop].sum().backward()
            for place in z.grad[0].abs().sum(0).nonzero().tolist():
                reach = max(reach, *(max(middle - each, each - (stop - 1)) for each in place))
        if reach < min(middle, side - stop):
            return reach
    return None
