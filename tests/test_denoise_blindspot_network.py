from __future__ import annotations

import pytest

from xsim import ModelError

torch = pytest.importorskip("torch")

from denoise.blindspot_network import BlindSpot, neighbour_mean  # noqa: E402

SIZES = [(12, 16), (16, 8), (9, 14), (7, 5), (1, 9), (1, 1)]


def made(level_free: bool = True, levels: int = 2) -> BlindSpot:
    """Weights larger than those of a new network, so that no derivative is small by chance."""
    torch.manual_seed(3)
    network = BlindSpot(features=6, levels=levels, widest=8, level_free=level_free).double()
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(2.0).add_(0.02 * torch.randn_like(weight))
    return network


def derivatives(network: BlindSpot, z: torch.Tensor) -> torch.Tensor:
    """d output[k, i] / d z[j], [output, pixel, pixel]."""
    found = torch.autograd.functional.jacobian(lambda each: network(each), z, vectorize=True)
    pixels = z.numel()
    return found.reshape(2, pixels, pixels)


@pytest.mark.parametrize("level_free", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_no_pixel_sees_itself(size: tuple[int, int], level_free: bool) -> None:
    """Derivatives of mean and deviation by the pixel's own value are 0, not small; those by its neighbours are not."""
    z = 5.0 + torch.randn(1, 1, *size, dtype=torch.float64)
    slopes = derivatives(made(level_free), z)
    own = slopes.diagonal(dim1=1, dim2=2)
    assert (own == 0).all()
    if z.numel() > 1:
        others = slopes.abs().amax(dim=2)
        assert (others[0] > 0).all() and (others[1] > 0).all()


@pytest.mark.parametrize("size", [(12, 16), (9, 14)])
def test_every_neighbour_is_seen(size: tuple[int, int]) -> None:
    """All eight, by mean and deviation alike: the four looks leave no direction out."""
    slopes = derivatives(made(), torch.randn(1, 1, *size, dtype=torch.float64))
    rows, columns = size
    row, column = rows // 2, columns // 2
    around = slopes[:, row * columns + column].reshape(2, rows, columns)[:, row - 1 : row + 2, column - 1 : column + 2]
    seen = around != 0
    seen[:, 1, 1] = True
    assert seen.all()


def test_an_altered_pixel_leaves_its_own_output_bit_for_bit() -> None:
    """Without derivatives: in float32, with a value that is far from all others."""
    torch.manual_seed(1)
    network = BlindSpot()
    z = 50.0 + torch.randn(1, 1, 24, 32)
    with torch.no_grad():
        before = network(z)
        for row, column in [(0, 0), (0, 31), (23, 0), (23, 31), (11, 16), (12, 17)]:
            changed = z.clone()
            changed[..., row, column] = 4000.0
            after = network(changed)
            assert torch.equal(after[..., row, column], before[..., row, column])
            assert not torch.equal(after, before)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_reach_is_no_more_than_the_radius(levels: int) -> None:
    network = made(levels=levels).float()
    side = 2 * network.radius + 4 * network.multiple
    middle = side // 2 // network.multiple * network.multiple
    z = torch.randn(1, 1, side, side, requires_grad=True)
    network(z)[..., middle : middle + network.multiple, middle].sum().backward()
    rows, columns = z.grad[0, 0].nonzero().T
    for places in (rows, columns):
        assert middle - int(places.min()) <= network.radius
        assert int(places.max()) - (middle + network.multiple - 1) <= network.radius
    assert int(rows.max() - rows.min()) > network.radius, "a reach that is far below the radius wastes work"


@pytest.mark.parametrize("rows", [160, 163])
def test_bands_give_what_the_whole_image_gives(rows: int) -> None:
    torch.manual_seed(2)
    network = BlindSpot(features=6, widest=8)
    z = 40.0 + torch.randn(1, 1, rows, 40)
    with torch.no_grad():
        whole, margin = network(z), network.radius
        for first in range(0, rows, 32):
            start, stop = max(first - margin, 0), min(first + 32, rows)
            band = network(z[:, :, start : stop + margin])[:, :, first - start : stop - start]
            assert torch.equal(band, whole[:, :, first:stop])


def test_level_moves_the_mean_alone() -> None:
    z = torch.randn(2, 1, 16, 20, dtype=torch.float64)
    free, seeing = made(), made(level_free=False)
    moved = free(z + 100.0)
    assert torch.allclose(moved[:, 0], free(z)[:, 0] + 100.0)
    assert torch.allclose(moved[:, 1], free(z)[:, 1])
    assert not torch.allclose(seeing(z + 100.0)[:, 1], seeing(z)[:, 1], atol=1e-2)


def test_images_of_a_batch_are_alone() -> None:
    z = torch.randn(3, 1, 13, 20, dtype=torch.float64)
    network = made()
    assert torch.allclose(network(z), torch.cat([network(each[None]) for each in z]))


def test_deviation_has_a_floor() -> None:
    network = made()
    with torch.no_grad():
        network.last.bias[1] = -100.0
        assert float(network(torch.randn(1, 1, 8, 8, dtype=torch.float64))[:, 1].min()) >= 1e-3**0.5


def test_neighbour_mean() -> None:
    z = torch.tensor([[1.0, 2.0, 3.0], [4.0, 50.0, 6.0], [7.0, 8.0, 9.0]])[None, None]
    found = neighbour_mean(z)[0, 0]
    assert float(found[1, 1]) == 5.0 and float(found[0, 0]) == pytest.approx((2 + 4 + 50) / 3)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ModelError, match=r"gives 2 \(asked for 1, 1\)"):
        BlindSpot(outputs=1)
