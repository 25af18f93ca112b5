"""Make the voxel phantom in phantoms/: python tools/make_phantom_volume.py [folder].

A chicken fillet: muscle in fibres, fat on the skin side and in streaks, air bubbles, and a splinter of bone. A voxel
of 0.5 mm holds a density in units of 0.01 g/cm3 (uint8), which chicken-fillet.toml turns into fat, muscle and bone.
"""

import sys
from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter, zoom

FOLDER = Path(__file__).parents[1] / "phantoms"
EDGE_MM = 0.5
SIZE = (60, 170, 270)  # slices, rows, columns
FAT, MUSCLE, BONE = 92.0, 104.0, 185.0  # 0.01 g/cm3


def noise(generator, smooth_voxels):
    """Smooth noise of mean 0 and variance 1."""
    field = gaussian_filter(generator.standard_normal(SIZE), smooth_voxels, mode="wrap")
    return field / field.std()


def supersample(inside, places):
    """Share of each voxel where ``inside(z, y, x)`` holds, by 2^3 points in a box of voxels around some places."""
    share = np.zeros(SIZE, np.float32)
    for low, high, test in places:
        low = [max(0, int(np.floor(a))) for a in low]
        high = [min(n, int(np.ceil(b)) + 1) for b, n in zip(high, SIZE, strict=True)]
        fine = [np.arange(2 * a, 2 * b) / 2 + 0.25 for a, b in zip(low, high, strict=True)]
        hit = inside(*np.meshgrid(*fine, indexing="ij"), test)
        shape = [k for a, b in zip(low, high, strict=True) for k in (b - a, 2)]
        part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        share[part] = np.maximum(share[part], hit.reshape(shape).mean(axis=(1, 3, 5)))
    return share


def outline(generator):
    """Share of each voxel inside the fillet: a tapering half-flat loaf with a wavy skin."""
    z, y, x = (np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in SIZE)
    along = np.clip(0.5 + x / 245, 0, 1)  # 0 at the thin end
    width = 12 + 56 * np.sin(np.pi * along**1.35).clip(0) ** 0.6
    height = 4 + 20 * np.sin(np.pi * along**1.5).clip(0) ** 0.7
    bend = 12 * np.sin(2.2 * along)
    flat = np.where(z < 0, 1.0, 0.8)[:, None, None]  # lies on a belt
    radius = np.sqrt(((y[None, :, None] - bend + 6) / width) ** 2 + (z[:, None, None] / (flat * height)) ** 2)
    ends = ((x / 122) ** 8)[None, None, :]
    skin = 1 + 0.03 * noise(generator, 9) + 0.01 * noise(generator, 2.5)
    return np.clip((skin - (radius**2.4 + ends) ** (1 / 2.4)) * np.minimum(width, height) + 0.5, 0, 1)


def bubbles(generator, body, count=26):
    """Spheres of air of 0.4 to 2.2 mm radius in the meat."""
    places = []
    rooms = np.argwhere(body > 0.99)
    for _ in range(count):
        centre = rooms[generator.integers(len(rooms))] + 0.5
        radius = generator.uniform(0.4, 2.2) ** 1.3 / 2.2**0.3 / EDGE_MM
        places.append((centre - radius, centre + radius, (centre, radius)))

    def inside(z, y, x, test):
        (cz, cy, cx), radius = test
        return (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < radius**2

    return supersample(inside, places)


def splinter():
    """A bone splinter, 9 mm long and 1.2 mm thick, pointed at one end."""
    start, end = np.array([33.0, 78.0, 170.0]), np.array([28.0, 90.0, 183.0])
    way = end - start
    margin = 3.0
    low, high = np.minimum(start, end) - margin, np.maximum(start, end) + margin

    def inside(z, y, x, _):
        points = np.stack([z, y, x], axis=-1) - start
        along = points @ way / (way @ way)
        across = np.linalg.norm(points - along[..., None] * way, axis=-1)
        return (along > 0) & (along < 1) & (across < 1.2 * (1.15 - along))

    return supersample(inside, [(low, high, None)])


def fillet():
    """Densities uint8 [slice, row, column], 0.01 g/cm3."""
    generator = np.random.default_rng(20)
    body = outline(generator)
    fibres = noise(generator, (1.0, 1.2, 9.0))
    streaks = noise(generator, (2.0, 3.0, 16.0)) + 0.35 * noise(generator, 1.5)
    depth = zoom(gaussian_filter(body[::2, ::2, ::2], 4), 2, order=1)[: SIZE[0], : SIZE[1], : SIZE[2]]
    side = np.linspace(1, 0, SIZE[0])[:, None, None]
    fat = np.clip(4 * (streaks - 1.7), 0, 1) + np.clip(6 * (0.62 - depth) * side, 0, 1)
    density = MUSCLE + 2.0 * fibres
    density += (FAT - density) * np.clip(fat, 0, 1)
    bone = splinter()
    density += (BONE - density) * bone
    density *= body * (1 - bubbles(generator, body) * (1 - bone))
    return np.rint(density).astype(np.uint8)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    voxels = fillet()
    path = folder / "chicken-fillet.tif"
    tifffile.imwrite(
        path, voxels, photometric="minisblack", compression="zlib", predictor=True, metadata=None, software=""
    )
    print(path, voxels.shape, path.stat().st_size, "bytes")
