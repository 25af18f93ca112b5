"""A network with its optimiser: one step of AdamW, on a batch in pieces, by all processes together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import torch
from torch import Tensor, nn

from denoise.methods import Batch, Moment
from denoise.ranks import Ranks
from denoise.settings import Settings

__all__ = ["Learner", "Piece", "has_running_statistics"]

Piece: TypeAlias = tuple[Batch, Moment]
Loss: TypeAlias = Callable[[Batch, Moment], tuple[Tensor, Tensor]]


class Learner:
    """A network that takes a step when it is told a loss.

    Parameters
    ----------
    network : module
    settings : Settings
    ranks : Ranks
    precision : torch.dtype
        Of convolutions; weights and sums are float32.
    """

    def __init__(self, network: nn.Module, settings: Settings, ranks: Ranks, precision: torch.dtype) -> None:
        self.network, self.clip, self.ranks, self.precision = network, settings.clip, ranks, precision
        self.weights = [each for each in network.parameters() if each.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.weights,
            lr=settings.learning_rate,
            betas=(settings.betas[0], settings.betas[1]),
            weight_decay=settings.weight_decay,
        )
        ranks.follow(each for each in network.state_dict().values() if each.is_floating_point())

    def autocast(self) -> torch.autocast:
        """In which losses are computed; it holds in the thread that enters it."""
        return torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16)

    def advance(self, loss: Loss, pieces: Sequence[Piece], rate: float, pool: ThreadPoolExecutor) -> float:
        """One step towards a smaller mean of the loss over all terms of all pieces of all processes.

        Returns
        -------
        float
            That mean. Where it or the gradient is not finite, NaN, and the weights are as before.
        """

        def differentiate(piece: Piece) -> tuple[Tensor, ...]:
            with self.autocast():
                total, terms = loss(*piece)
            if total.requires_grad:
                return total.detach(), terms, *torch.autograd.grad(total, self.weights, materialize_grads=True)
            return total, terms, *map(torch.zeros_like, self.weights)

        totals, terms, *found = zip(*pool.map(differentiate, pieces), strict=True)
        sums = torch.stack([torch.stack([each.double() for each in kind]).sum() for kind in (totals, terms)])
        gradients = [torch.stack(each).sum(0) for each in found]
        self.ranks.add([sums, *gradients])
        total, count = sums.tolist()
        if count == 0:
            return 0.0
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient / count
        norm = float(nn.utils.clip_grad_norm_(self.weights, self.clip))
        if not math.isfinite(total) or not math.isfinite(norm):
            return math.nan
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return total / count

    def tensors(self) -> dict[str, Tensor]:
        """Weights and the optimiser's averages, by name."""
        network = {f"network.{name}": each for name, each in self.network.state_dict().items()}
        kept = self.optimizer.state_dict()["state"]
        optimizer = {f"optimizer.{k}.{name}": each for k, held in kept.items() for name, each in held.items()}
        return {**network, **optimizer}

    def go_on(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what ``tensors`` gave."""
        own = {name.removeprefix("network."): each for name, each in tensors.items() if name.startswith("network.")}
        self.network.load_state_dict(own)
        state: dict[int, dict[str, Tensor]] = {}
        for name, each in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                place, _, what = rest.partition(".")
                # in the weight's own order in memory, which arithmetic may depend on in the last bit
                weight = self.weights[int(place)]
                like = torch.empty_like(weight) if each.shape == weight.shape else torch.empty_like(each)
                state.setdefault(int(place), {})[what] = like.detach().copy_(each)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def has_running_statistics(network: nn.Module) -> bool:
    """Whether a pass changes the network's buffers, so that two at once would disturb each other."""
    return any(getattr(each, "running_mean", None) is not None for each in network.modules())
