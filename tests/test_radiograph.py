"""Images: the same bytes wherever they are made, four kept apart, and the signal that physics predicts."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import host_library
import numpy as np
import pytest
import reference
from reference import Rays, absorbed_kev, worst
from station import random_pose, save, solid, station

from xsim import Radiograph, Scene, load_scene, simulate
from xsim.backend import Backend, get_backend
from xsim.light_spread import light_spread
from xsim.radiograph import expose
from xsim.scintillator import spread_light

IMAGES = ("noisy", "clean", "noise", "expected", "valid", "labels")
TUBE = {"voltage_kv": 120.0, "current_ma": 2.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]}


def same_bytes(one: Radiograph, other: Radiograph) -> bool:
    return all(getattr(one, k).tobytes() == getattr(other, k).tobytes() for k in IMAGES)


def record(scene: Scene, backend: Backend, seed: int = 1, frame: int = 0) -> Radiograph:
    """As ``simulate``, on a given machine."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*frame is black.*")
        return expose(scene, backend).record(seed, frame)


def test_every_level_and_number_of_threads_gives_the_same_bytes(level: str, tmp_path: Path) -> None:
    """All six images of every kind of scene, against the lowest library on one thread."""
    lowest = get_backend("cpu", 1, "generic" if level == "generic" else "v2")
    for name, scene in host_library.scenes(tmp_path):
        wanted = record(scene, lowest)
        for threads in (1, 2, 3):
            assert same_bytes(record(scene, get_backend("cpu", threads, level)), wanted), (name, threads)


def test_images_made_at_once_are_those_made_one_by_one(backend: Backend, tmp_path: Path) -> None:
    """Threads that share a backend, and its scratch, at different image sizes."""
    known = [scene for name, scene in host_library.scenes(tmp_path) if name in ("overlaps", "apart", "volumes")] * 3
    alone = [expose(scene, backend).record(seed=5).noisy for scene in known]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda scene: expose(scene, backend).record(seed=5).noisy, known))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


def test_seed_and_frame_choose_the_noise_and_nothing_else(backend: Backend, tmp_path: Path) -> None:
    scene = dict(host_library.scenes(tmp_path))["overlaps"]
    first = record(scene, backend, 1, 0)
    assert same_bytes(first, record(scene, backend, 1, 0))
    for seed, frame in ((2, 0), (1, 1), (1 << 40, 0), (2**64 - 1, 2**32 - 1)):
        other = record(scene, backend, seed, frame)
        assert (other.noisy != first.noisy).mean() > 0.5, (seed, frame)
        for image in ("clean", "expected", "labels"):
            assert np.array_equal(getattr(other, image), getattr(first, image))


def test_frames_are_independent(backend: Backend) -> None:
    """Noise of frames and of seeds does not correlate: within five standard errors of an uncorrelated pair.

    The light of a pixel spreads over about 1 / sum h^2 neighbours, which hold so many values fewer.
    """
    exposure = expose(station(shape=(256, 256)), backend)
    frames = [exposure.record(1, 0), exposure.record(1, 1), exposure.record(1, 2), exposure.record(2, 0)]
    noise = [(f.noisy - f.expected).ravel() for f in frames]
    error = np.sqrt(1 / (noise[0].size * exposure.derived["kernel_sum_squares"]))
    correlation = np.corrcoef(noise) - np.eye(len(noise))
    assert np.abs(correlation).max() < 5 * error < 0.1


def test_noisy_is_clean_plus_noise_bit_for_bit(backend: Backend, tmp_path: Path) -> None:
    """In every kind of scene: dark, saturated, ideal, with faulty rays."""
    for name, scene in host_library.scenes(tmp_path):
        image = record(scene, backend, seed=3)
        assert np.array_equal(image.noisy, image.clean + image.noise), name
        assert all(getattr(image, k).dtype == np.float32 for k in IMAGES[:4])
        if scene.detector.response != "ideal":
            assert np.array_equal(image.noisy, np.clip(np.round(image.noisy), 0, 65535)), name
            assert np.array_equal(image.clean * 16, np.round(image.clean * 16)), name


@pytest.mark.parametrize("exposure_s", [1e-9, 1e-7, 1e-6, 1e-4, 1.0, 1e3])
@pytest.mark.parametrize("response", ["ideal", "scintillator"])
def test_noisy_is_clean_plus_noise_at_any_dose(backend: Backend, response: str, exposure_s: float) -> None:
    """From 1e-4 quanta a pixel, where one quantum is far above the mean, to 1e8."""
    scene = station(
        {"shape": "sphere", "radius_mm": 5.0}, source=TUBE, acquisition={"exposure_s": exposure_s}, response=response
    )
    image = record(scene, backend)
    assert np.array_equal(image.noisy, image.clean + image.noise)
    assert image.valid.all() == (response == "ideal" or exposure_s < 1)


def test_saturated_pixels_are_marked_and_clean_is_not_clipped(backend: Backend) -> None:
    scene = station({"shape": "sphere", "radius_mm": 2.0, "material": "Pb"}, acquisition={"exposure_s": 0.6})
    image = record(scene, backend)
    assert np.array_equal(image.valid, image.noisy < 65535)
    assert 0.05 < image.valid.mean() < 0.95
    assert image.clean[~image.valid].min() > 65535 and image.expected.max() == 65535
    full_well = station(acquisition={"exposure_s": 0.1}, sensor={"saturation_adu": 9000.0})
    assert (record(full_well, backend).noisy == 9000).all()


def test_clean_is_expected_on_its_grid(backend: Backend) -> None:
    image = record(station({"shape": "sphere", "radius_mm": 4.0}), backend)
    assert worst(image.clean, image.expected.astype(np.float64)) <= 1 / 32


def test_ideal_signal_equals_the_direct_sum_at_every_pixel(backend: Backend) -> None:
    """All energies, three materials, inverse square and cosine: 3e-6 of the value, but for 1 in 1000 rays at edges."""
    generator = np.random.default_rng(5)
    scene = station(
        {**solid("box", 25.0), "material": "PMMA", **random_pose(generator, 3.0)},
        {**solid("sphere", 9.0), "material": "Al", "priority": 1},
        {**solid("cylinder", 12.0), "material": "Fe", **random_pose(generator, 6.0)},
        shape=(72, 70), pitch_mm=1.2, sod_mm=150.0, sdd_mm=320.0, source=TUBE, response="ideal",
    )  # fmt: skip
    lengths, _ = reference.path_lengths(scene)
    image = record(scene, backend)
    wanted = absorbed_kev(scene, lengths, image.metadata["exposure_mas"])
    relative = np.abs(image.expected / wanted - 1)
    assert np.quantile(relative, 0.999) < 3e-6
    assert image.expected.max() / image.expected.min() > 30


def test_several_rays_a_pixel_average_the_energy(backend: Backend) -> None:
    """3 x 3 rays: the sum of the nine direct sums of a panel of pixels a third as wide."""
    body = {**solid("sphere", 6.0), "material": "Fe"}
    coarse = station(body, shape=(31, 33), pitch_mm=0.9, source=TUBE, response="ideal",
                     acquisition={"exposure_s": 0.1, "subpixels": 3})  # fmt: skip
    fine = station(body, shape=(93, 99), pitch_mm=0.3, source=TUBE, response="ideal")
    lengths, _ = reference.path_lengths(fine)
    image = record(coarse, backend)
    wanted = absorbed_kev(fine, lengths, image.metadata["exposure_mas"]).reshape(31, 3, 33, 3).sum(axis=(1, 3))
    assert np.quantile(np.abs(image.expected / wanted - 1), 0.99) < 3e-6


@pytest.mark.parametrize("response", ["ideal", "scintillator"])
def test_mean_transmission_of_each_step_equals_the_direct_sum(backend: Backend, response: str) -> None:
    """The phantom's nine steps over all bins in float64, within 0.1 %; the blur of edges is part of both.

    Each step's middle, 4 mm of its 10; image over open beam. Compares the arithmetic, not the tables of mu(E).
    """
    chart = load_scene("phantom:step-chart")
    rows = 48
    scene = with_detector(chart, rows=rows, response=response)
    bare = scene.model_copy(update={"body": ()})
    image, beam = record(scene, backend), record(bare, backend)
    offset, mas = image.metadata["offset_adu"], image.metadata["exposure_mas"]
    kernel = light_spread(scene.detector).kernels[0]
    margin = 2 * (kernel.shape[0] // 2)
    wide = with_detector(scene, rows=rows + margin, columns=scene.detector.columns + margin)
    (body,) = wide.body
    thickness = sum(
        np.nan_to_num(leave - enter) for enter, leave in reference.body_pieces(body, Rays.of(wide))
    ).reshape(rows + margin, -1)
    wanted = reference.spread(absorbed_kev(wide, {"Al": thickness}, mas), kernel)
    wanted /= reference.spread(absorbed_kev(wide, {}, mas), kernel)
    left = -body.step_length_mm * len(body.steps_mm) / 2
    scale = scene.geometry.sdd_mm / scene.geometry.sod_mm / scene.detector.pitch_mm
    seen = set()
    for k in range(len(body.steps_mm)):
        middle = scene.detector.columns / 2 + (left + (k + 0.5) * body.step_length_mm) * scale
        columns = slice(int(middle - 2 * scale), int(middle + 2 * scale))
        step = (image.expected[:, columns] - offset).mean(dtype=np.float64)
        step /= (beam.expected[:, columns] - offset).mean(dtype=np.float64)
        assert abs(step / wanted[:, columns].mean() - 1) < 1e-3
        clean = (image.clean[:, columns] - offset).mean(dtype=np.float64)
        assert (
            abs(clean / (beam.clean[:, columns] - offset).mean(dtype=np.float64) / wanted[:, columns].mean() - 1) < 1e-3
        )
        seen.add(round(step, 2))
    assert len(seen) == 9


def with_detector(scene: Scene, **fields: object) -> Scene:
    return scene.model_copy(update={"detector": scene.detector.model_copy(update=fields)})


def test_the_open_beam_has_the_quanta_that_the_metadata_tell(backend: Backend) -> None:
    """Mean quanta of the middle pixel, and the inverse square law: half the distance, four times the quanta."""
    quanta = {}
    for sdd_mm in (600.0, 1200.0):
        scene = station(shape=(9, 9), sdd_mm=sdd_mm, source=TUBE, acquisition={"exposure_s": 0.02})
        image = record(scene, backend)
        energy = image.metadata["quanta_per_pixel"] * image.metadata["mean_energy_kev"]
        assert image.expected[4, 4] == pytest.approx(300 + 0.04 * energy, rel=1e-5)
        assert float(absorbed_kev(scene, {}, image.metadata["exposure_mas"], power=0)[4, 4]) == pytest.approx(
            image.metadata["quanta_per_pixel"], rel=1e-6
        )
        quanta[sdd_mm] = image.metadata["quanta_per_pixel"]
    assert quanta[600.0] / quanta[1200.0] == pytest.approx(4.0, rel=1e-6)


def test_a_grey_value_asked_for_is_reached_by_the_open_beam(backend: Backend) -> None:
    image = record(station(shape=(9, 9), source=TUBE, acquisition={"target_gv": 0.6}), backend)
    assert image.expected[4, 4] == pytest.approx(0.6 * 65535, abs=1)


def test_signal_is_linear_in_exposure(backend: Backend) -> None:
    one, four = (
        record(station(solid("sphere", 4.0), source=TUBE, acquisition={"exposure_s": t}), backend).expected - 300
        for t in (0.01, 0.04)
    )
    assert np.abs(four / one - 4).max() < 4e-5


def test_labels_name_the_body_that_wins_on_the_ray(backend: Backend, tmp_path: Path) -> None:
    low = {**solid("box", 5.0), "name": "low"}
    high = {**solid("sphere", 1.5), "priority": 1}
    image = record(station(high, low), backend)
    wanted = reference.path_lengths(station(high, low))[1]
    assert (image.labels != wanted).mean() < 2e-3
    assert set(np.unique(image.labels)) == {0, 1, 2}
    assert [body["label"] for body in image.metadata["bodies"]] == [1, 2]


def test_rays_through_a_hole_of_an_allowed_mesh_are_not_valid(backend: Backend, tmp_path: Path) -> None:
    scene = dict(host_library.scenes(tmp_path))["open"]
    assert 0 < (~record(scene, backend).valid).mean() < 0.2


@pytest.mark.parametrize(("h_mm2", "pitch_mm"), [(1.0, 0.2), (0.15, 0.1), (0.15, 0.2), (2.0, 0.15)])
def test_light_spreads_by_its_modulation_transfer_function(h_mm2: float, pitch_mm: float) -> None:
    """To 0.008 up to Nyquist: 1 / (1 + H f^2); the pixel's aperture is in the quanta that it gets."""
    kernel = light_spread(station(pitch_mm=pitch_mm, scintillator={"light_spread_h_mm2": h_mm2}).detector).kernels[0]
    assert kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert np.allclose(kernel, kernel.T, atol=1e-9) and np.allclose(kernel, kernel[::-1], atol=1e-9)
    line = kernel.sum(axis=0, dtype=np.float64)
    at = (np.arange(len(line)) - len(line) // 2) * pitch_mm
    frequency = np.linspace(0, 0.5 / pitch_mm, 21)
    measured = (line * np.cos(2 * np.pi * frequency[:, None] * at)).sum(axis=1)
    assert np.abs(measured - 1 / (1 + h_mm2 * frequency**2)).max() < 0.008


def test_light_spreads_as_the_sum_over_the_kernel_and_never_wraps(backend: Backend) -> None:
    generator = np.random.default_rng(3)
    spread = light_spread(station().detector)
    kernel = spread.kernels[0]
    radius = kernel.shape[0] // 2
    light = generator.uniform(0, 1e6, (41 + 2 * radius, 75 + 2 * radius)).astype(np.float32)
    got = backend.to_numpy(spread_light(backend.xp.asarray(light), spread, backend))
    wanted = reference.spread(light, kernel)
    assert got.shape == (41, 75)
    assert np.abs(got / wanted - 1).max() < 2e-6


def test_bodies_beyond_the_border_blur_into_the_image(backend: Backend) -> None:
    """The margin is projected: a panel cut out of a larger one sees the same."""
    body = {"shape": "box", "size_mm": [3.0, 30.0, 10.0], "material": "Fe", "position_mm": [4.0, 0.0, 0.0]}
    large = record(station(body, shape=(64, 128)), backend).expected
    small = record(station(body, shape=(64, 64)), backend).expected
    assert np.abs(large[:, 32:96] / small - 1).max() < 2e-6
    assert large[:, 95].max() < 0.99 * large[:, 64].max()


def test_simulate_is_the_same_as_its_parts() -> None:
    scene = load_scene("phantom:step-chart")
    small = with_detector(scene, rows=16)
    assert same_bytes(simulate(small, seed=4, backend="cpu", frame=2), record(small, get_backend("cpu"), 4, 2))


def test_a_mesh_in_inches_is_the_mesh_in_mm(backend: Backend, tmp_path: Path) -> None:
    import trimesh

    box = trimesh.creation.box((0.4, 0.3, 0.2))
    inches = {**save(tmp_path, "part", box.vertices, box.faces), "mesh_unit": "in"}
    one = record(station(inches, directory=tmp_path), backend)
    other = record(station({"shape": "box", "size_mm": [10.16, 7.62, 5.08]}), backend)
    assert (np.abs(one.expected / other.expected - 1) > 1e-5).mean() < 0.01


def test_images_of_a_frame_are_those_of_its_radiograph_and_go_to_torch_without_a_copy(backend: Backend) -> None:
    torch = pytest.importorskip("torch")
    exposure = expose(station({"shape": "sphere", "radius_mm": 4.0}), backend)
    images, wanted = exposure.images(3, 1), exposure.record(3, 1)
    for name in ("noisy", "clean", "noise", "expected", "valid", "labels"):
        assert np.array_equal(backend.to_numpy(images[name]), getattr(wanted, name)), name
    taken = torch.from_dlpack(images["noisy"])
    images["noisy"][0, 0] = -7.0
    assert float(taken[0, 0]) == -7.0
