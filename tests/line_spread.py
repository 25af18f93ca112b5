"""Evaluation of a tilted edge as the CTSimU toolbox does it: profile, line spread, width of the Gaussian that fits it.

The edge is a quadrant whose corner is the centre of the middle pixel; it lies left of and below it, turned by 3 degrees
(columns to the right, rows down). Its right side is the one evaluated. Reference: documentation of test 2D-WE-1,
BAMresearch/ctsimu-toolbox.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, special

EDGE_DEG = 3.0
PROFILE_PX, WIDTH_PX, BIN_PX = 100.1, 200.0, 0.1
SMOOTHING_BINS = 8

_TURN = np.deg2rad(EDGE_DEG)
#: Along the right side of the edge, downwards, and across it, to the right: (column, row).
ALONG = np.array([-np.sin(_TURN), np.cos(_TURN)])
ACROSS = np.array([np.cos(_TURN), np.sin(_TURN)])


def sub_places(side: int, parts: int) -> np.ndarray:
    """Places of ``parts`` x ``parts`` rays a pixel, [row, column, part, 2] px from the image's centre (column, row)."""
    centre = np.arange(side) - 0.5 * (side - 1)
    offset = (np.arange(parts) + 0.5) / parts - 0.5
    column = centre[None, :, None, None] + offset[None, None, None, :]
    row = centre[:, None, None, None] + offset[None, None, :, None]
    grid = np.broadcast_arrays(column, row)
    return np.stack(grid, axis=-1).reshape(side, side, parts * parts, 2)


def clipped_area(square: np.ndarray, inward: np.ndarray) -> float:
    """Area of a convex polygon [corner, 2] inside half planes through the origin (inward @ x > 0)."""
    polygon = square
    for normal in inward:
        height = polygon @ normal
        corners = []
        for k in range(len(polygon)):
            after = (k + 1) % len(polygon)
            if height[k] > 0:
                corners.append(polygon[k])
            if (height[k] > 0) != (height[after] > 0):
                share = height[k] / (height[k] - height[after])
                corners.append(polygon[k] + share * (polygon[after] - polygon[k]))
        if len(corners) < 3:
            return 0.0
        polygon = np.array(corners)
    x, y = polygon.T
    return float(0.5 * abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def covered_share(side: int) -> np.ndarray:
    """Share of each pixel that the edge covers, exact, float64 [row, column] of an odd number of pixels."""
    centre = np.arange(side) - 0.5 * (side - 1)
    column, row = np.meshgrid(centre, centre)
    inward = np.stack([-ACROSS, ALONG])
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    places = np.stack([column, row], axis=-1)
    inside = ((places[:, :, None, :] + corners) @ inward.T > 0).all(axis=-1)  # [row, column, corner]
    share = inside.all(axis=-1).astype(np.float64)
    reach = 0.5 * np.abs(inward).sum(axis=1)  # a pixel's half width across each side
    distance = places @ inward.T
    crossed = (np.abs(distance) < reach).any(axis=-1) & (distance > -reach).all(axis=-1)
    for j, i in np.argwhere(crossed):
        share[j, i] = clipped_area(places[j, i] + corners, inward)
    return share


def edge_profile(image: np.ndarray, parts: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Mean grey value across the right side of the edge, each pixel spread over its area.

    Returns
    -------
    position_px, value : float64 [bin]
        Centres of bins of 0.1 pixel, 0 on the edge; over 200 pixels of its length about its middle.
    """
    side = image.shape[0]
    middle = 0.5 * (0.5 * side / np.cos(_TURN)) * ALONG
    bins = round(PROFILE_PX / BIN_PX)
    first = int(0.5 * side) - 10
    places = sub_places(side, 1)[first:, :, 0] - middle
    near = (np.abs(places @ ALONG) < 0.5 * WIDTH_PX + 1) & (np.abs(places @ ACROSS) < 0.5 * PROFILE_PX + 1)
    fine = sub_places(1, parts)[0, 0]
    points = places[near][:, None] + fine  # [pixel, part, 2]
    kept = np.abs(points @ ALONG) < 0.5 * WIDTH_PX
    place = np.floor((points @ ACROSS + 0.5 * PROFILE_PX) / BIN_PX).astype(int)
    kept &= (place >= 0) & (place < bins)
    value = np.broadcast_to(image[first:][near][:, None], place.shape)
    count = np.bincount(place[kept], minlength=bins)
    total = np.bincount(place[kept], value[kept], minlength=bins)
    return (np.arange(bins) + 0.5) * BIN_PX - 0.5 * PROFILE_PX, total / count


def line_spread(profile: np.ndarray) -> np.ndarray:
    """Derivative of an edge profile smoothed by local quartics with Gaussian weights, 1 at its greatest."""
    offset = np.arange(-SMOOTHING_BINS, SMOOTHING_BINS + 1.0)
    weight = np.exp(-((2 * offset / SMOOTHING_BINS) ** 2))  # 1 / sigma of the weighted fit
    powers = np.vander(offset, 5)
    kernel = np.linalg.pinv(weight[:, None] * powers)[-1] * weight
    smooth = np.convolve(np.pad(profile, SMOOTHING_BINS, mode="edge"), kernel[::-1], mode="valid")
    spread = np.gradient(smooth)
    spread -= 0.5 * (spread[:10].mean() + spread[-10:].mean())
    return np.asarray(spread / spread.max())


def gaussian_width_px(position_px: np.ndarray, spread: np.ndarray, guess_px: float) -> float:
    """Standard deviation of the Gaussian that fits the middle half of a line spread [px]."""
    quarter = len(spread) // 4
    middle = slice(quarter, 3 * quarter)

    def gaussian(x: np.ndarray, mean: float, sigma: float, height: float) -> np.ndarray:
        return np.asarray(height * np.exp(-0.5 * ((x - mean) / sigma) ** 2))

    found, _ = optimize.curve_fit(gaussian, position_px[middle], spread[middle], p0=(0.0, guess_px, 1.0))
    return float(abs(found[1]))


def blurred_edge(side: int, sigma_px: float, parts: int = 8) -> np.ndarray:
    """Grey values 0 to 1 right of the edge under a Gaussian blur, pixels integrating it; far from the corner."""
    across = sub_places(side, parts) @ ACROSS
    return np.asarray(0.5 * (1 + special.erf(across / (np.sqrt(2) * sigma_px))).mean(axis=-1))
