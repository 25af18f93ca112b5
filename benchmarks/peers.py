"""One peer on one case, in the peers' own environment:  python peers.py PEER CASE.npz

CASE.npz is what `cases.Case.write` writes. Says what it is in one line of JSON, then gives a turn for every line that
comes in, and saves its image when they end. Each line for the caller starts with `peer.MARK`.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peer import MARK, Peer, UnavailableError, turn


def adapters() -> dict[str, tuple[str, Callable[[dict[str, Any]], Peer]]]:
    """Name of each peer, its distribution and what makes it ready."""
    import mesh_peers
    import voxel_peers

    return {
        "gvxr": ("gvxr", mesh_peers.gvxr),
        "embree": ("embreex", mesh_peers.embree),
        "open3d": ("open3d", mesh_peers.open3d),
        "gecatsim": ("gecatsim", voxel_peers.gecatsim),
        "diffdrr-siddon": ("diffdrr", voxel_peers.diffdrr_siddon),
        "diffdrr-trilinear": ("diffdrr", voxel_peers.diffdrr_trilinear),
        "astra": ("astra-toolbox", voxel_peers.astra),
    }


def tell(**fields: Any) -> None:
    print("\n" + MARK + json.dumps(fields), flush=True)


def main() -> None:
    name, file = sys.argv[1], Path(sys.argv[2]).resolve()
    distribution, prepare = adapters()[name]
    with np.load(file, allow_pickle=False) as store:
        case = {key: store[key] for key in store.files}
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return tell(problem="not installed")
    try:
        peer = prepare(case)
    except (UnavailableError, ImportError) as problem:
        return tell(problem=" ".join(str(problem).split()), version=version)
    start = time.perf_counter()
    image = peer.work()
    tell(version=version, device=peer.device, first_ms=1e3 * (time.perf_counter() - start))
    for _ in sys.stdin:
        image, spent = turn(peer.work)
        tell(ms=spent)
    target = file.with_name(f"{name}.npy")
    np.save(target, peer.transmission(image).astype(np.float32))
    tell(image=str(target))
    return None


if __name__ == "__main__":
    main()
