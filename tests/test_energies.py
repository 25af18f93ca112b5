"""Images at few energies against all of them, the paths they are fitted for, and the fits kept on disk."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import xsim
from xsim import quadrature_cache
from xsim.absorption import beam_weights
from xsim.cli import summary
from xsim.energies import few_energies, greatest_paths, shared_quadratures
from xsim.material import resolve
from xsim.quadrature import BAR, UNSEEN, Quadrature
from xsim.quadrature_cache import kept_quadrature, quadrature_directory

STATION = {
    "source": {"voltage_kv": 80, "filters": [{"material": "Al", "thickness_mm": 2.0}]},
    "geometry": {"sod_mm": 400, "sdd_mm": 600},
    "detector": {"preset": "generic-gos-200um", "rows": 48, "columns": 56},
    "acquisition": {"quanta_per_pixel": 500},
}
BODIES = [
    {"shape": "box", "size_mm": [20, 12, 30], "material": "PMMA", "rotation_deg": [10, 20, 30]},
    {"shape": "sphere", "radius_mm": 3, "material": "Al"},
    {"shape": "cylinder", "radius_mm": 1, "height_mm": 9, "material": "Fe", "position_mm": [4, 0, -20]},
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    quadrature_cache._kept.cache_clear()
    return tmp_path / "cache"


def scene_of(energies=None, bodies=BODIES, **changes):
    tables = {**STATION, "body": bodies}
    tables = {key: {**value, **changes.get(key, {})} if key in changes else value for key, value in tables.items()}
    if energies is not None:
        tables["acquisition"] = {**tables["acquisition"], "energies": energies}
    return xsim.scene_from_dict(tables)


def own_fit(scene):
    (fit,) = shared_quadratures([scene]).values()
    return fit


def weights_of(scene):
    return beam_weights(scene, scene.view, 1.0)


def test_signal_and_variance_of_every_pixel_agree_within_the_bound(backend):
    everything, few = xsim.expose(scene_of("all"), backend), xsim.expose(scene_of("few"), backend)
    told = few.derived["energies"]
    assert 4 <= told["nodes"] <= 9 and told["bins"] > 60 and told["bound"] <= BAR
    assert told["unseen_paths"] == UNSEEN == 4000
    assert set(told["greatest_path_mm"]) == {"PMMA", "Al", "Fe"}
    for name in ("signal", "variance"):
        exact, found = (backend.to_numpy(getattr(each, name)).astype(np.float64) for each in (everything, few))
        assert exact.min() < 0.5 * exact.max()
        errors = np.abs(found / exact - 1)
        assert 1e-7 < errors.max() <= told["bound"] + 2e-6  # 2e-6: rounding of a kernel's sums


def test_every_depth_class_of_a_screen_agrees_within_the_bound(backend):
    screen = {"scintillator": {"material": {"formula": "Gd2O2S", "density_g_cm3": 7.34}, "areal_density_mg_cm2": 134.55,
                               "model": "cascade", "depth_classes": 4}}  # fmt: skip
    everything, few = (xsim.expose(scene_of(which, detector=screen), backend) for which in ("all", "few"))
    bound = few.derived["energies"]["bound"]
    assert few.derived["energies"]["nodes"] <= 9 and bound <= BAR
    for name in ("signal", "variance"):
        exact, found = (backend.to_numpy(getattr(each, name)).astype(np.float64) for each in (everything, few))
        assert exact.shape[0] == 4
        errors = np.abs(found / exact - 1).max(axis=(1, 2))
        assert (errors > 1e-7).all() and errors.max() <= bound + 2e-6


def test_clean_images_agree_within_a_thousandth():
    bright = {"quanta_per_pixel": 20000}
    everything, few = (
        xsim.simulate(scene_of(which, acquisition=bright), seed=1, backend="cpu") for which in ("all", "few")
    )
    exact = everything.clean - everything.metadata["offset_adu"]
    step = 1 / 16  # ADU: the grid of clean images
    assert (np.abs(few.clean - everything.clean) <= BAR * exact + step).all()
    assert (few.clean != everything.clean).any()
    assert few.metadata["exposure_mas"] == everything.metadata["exposure_mas"]
    assert few.metadata["quanta_per_pixel"] == everything.metadata["quanta_per_pixel"]


def test_all_energies_are_what_is_not_said(own_cache):
    plain, said = (xsim.simulate(scene_of(which), seed=3, backend="cpu") for which in (None, "all"))
    for name in ("noisy", "clean", "expected"):
        assert getattr(plain, name).tobytes() == getattr(said, name).tobytes()
    assert "energies" not in plain.metadata and "energies" not in plain.metadata["scene"]["acquisition"]
    assert not own_cache.exists()


def test_without_bodies_few_are_all():
    everything, few = (xsim.simulate(scene_of(which, bodies=[]), seed=3, backend="cpu") for which in ("all", "few"))
    assert few.noisy.tobytes() == everything.noisy.tobytes()
    assert few.metadata["energies"]["all_bins"] == "no material in the beam"


def test_the_command_tells_of_few_energies_only():
    few, plain = (xsim.simulate(scene_of(which), seed=3, backend="cpu") for which in ("few", None))
    told = few.metadata["energies"]
    (line,) = [line for line in summary(few).splitlines() if line.startswith("energies")]
    assert f"{told['nodes']} of {told['bins']} bins (off by" in line
    assert "energies" not in summary(plain)


def test_one_energy_stays_one_energy():
    mono = {"source": {"energy_kev": 60.0, "voltage_kv": None, "filters": []}}
    everything, few = (xsim.simulate(scene_of(which, **mono), seed=3, backend="cpu") for which in ("all", "few"))
    assert few.noisy.tobytes() == everything.noisy.tobytes()
    assert few.metadata["energies"]["nodes"] == 1


@pytest.mark.parametrize("turn", [(0, 0, 0), (31, -47, 12), (90, 0, 45)])
def test_no_ray_is_longer_than_the_greatest_path(turn):
    bodies = [
        *BODIES,
        {"shape": "tube", "radius_mm": 5, "inner_radius_mm": 4, "height_mm": 30, "material": "Al",
         "rotation_deg": turn},
        {"shape": "step_wedge", "steps_mm": [1, 2, 9], "step_length_mm": 4, "width_mm": 20, "material": "Fe",
         "rotation_deg": turn, "position_mm": [0, 0, 30]},
        {"shape": "box", "size_mm": [9, 9, 60], "material": "Al", "rotation_deg": turn, "position_mm": [0, 3, -30]},
    ]  # fmt: skip
    scene = scene_of(bodies=bodies)
    longest = {name: float(image.max()) for name, image in xsim.path_lengths(scene, "cpu").items()}
    bound = {found.name: length for found, length in greatest_paths(scene).items()}
    assert bound.keys() == longest.keys()
    for name, length in longest.items():
        assert length <= bound[name] <= 6 * length


@pytest.mark.parametrize(
    "meaning",
    [
        {"material": "Al"},
        {"material": "Al", "density_scale_g_cm3": -1.5, "density_offset_g_cm3": 9.0},
        {"mixtures": [{"value": 0, "densities_g_cm3": {"Al": 0.5}}, {"value": 3, "densities_g_cm3": {"Al": 4.0}}]},
        {"labels": {"0": "nothing", "1": "Al", "2": "Al", "3": "water"}},
    ],
)
def test_dense_voxels_count_as_so_much_longer(meaning):
    voxels = np.zeros((8, 8, 8), np.uint8)
    voxels[:, 2:6, 2:6] = 3
    voxels[:, 3:5, 3:5] = 1
    scene = scene_of(bodies=[{"volume": voxels, "voxel_mm": 1.0, **meaning}])
    bound = {found.name: length for found, length in greatest_paths(scene).items()}
    for name, image in xsim.path_lengths(scene, "cpu").items():
        assert 0 < image.max() <= bound[name]


def test_a_turned_body_or_another_dose_asks_for_no_other_fit(monkeypatch):
    scene = scene_of("few")
    first = own_fit(scene)
    monkeypatch.setattr(quadrature_cache, "fit_quadrature", refuse)
    moved = [{**BODIES[0], "position_mm": [1, 2, 3]}, *BODIES[1:]]
    again = scene_of("few", moved, acquisition={"quanta_per_pixel": 70}, geometry={"sod_mm": 390})
    assert own_fit(again) is first


def refuse(*_):
    raise AssertionError("fitted again")


def test_a_fit_is_read_back_from_disk_and_a_damaged_one_is_made_again(monkeypatch):
    scene = scene_of("few")
    first = own_fit(scene)
    (path,) = quadrature_directory().iterdir()
    quadrature_cache._kept.cache_clear()
    with monkeypatch.context() as context:
        context.setattr(quadrature_cache, "fit_quadrature", refuse)
        read = own_fit(scene)
    assert read is not first and read.to_json() == first.to_json()
    text = path.read_text()
    for damaged in ("", text[:-40], json.dumps({"energy_kev": [1.0]}), "[]"):
        path.write_text(damaged)
        quadrature_cache._kept.cache_clear()
        assert own_fit(scene).to_json() == first.to_json()
        assert path.read_text() == text


def test_a_home_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    scene = scene_of("few")
    assert own_fit(scene).problem == ""


def test_every_setting_of_a_fit_is_in_its_name(monkeypatch):
    fits = []
    one = np.ones(1)
    monkeypatch.setattr(
        quadrature_cache,
        "fit_quadrature",
        lambda *setting: fits.append(setting) or Quadrature(one, one[None], 0, (), (), 1),
    )
    base = scene_of("few")
    others = [
        scene_of("few", source={"voltage_kv": 81}),
        scene_of("few", source={"filters": []}),
        scene_of("few", detector={"scintillator": {"areal_density_mg_cm2": 60.0}}),
        scene_of("few", [{**BODIES[0], "material": "PVC"}, *BODIES[1:]]),
        scene_of("few", [{**BODIES[0], "size_mm": [20, 12, 90]}, *BODIES[1:]]),
    ]
    for scene in (base, *others):
        own_fit(scene)
    assert len(list(quadrature_directory().iterdir())) == len(fits) == 1 + len(others)


def test_a_given_fit_is_measured_again_on_the_scene():
    scene, own = scene_of("few"), weights_of(scene_of("few"))
    longer = scene_of("few", [{**BODIES[0], "size_mm": [20, 12, 50]}, BODIES[1]])
    fits = shared_quadratures([scene, longer, scene_of("all", source={"voltage_kv": 60})])
    (fit,) = fits.values()
    assert set(fit.materials) == {"PMMA", "Al", "Fe"}
    assert max(fit.greatest_path_mm) == greatest_paths(longer)[resolve("PMMA")]
    used, told = few_energies(scene, own, fits)
    assert used.energy_kev is fit.energy_kev
    assert 0 < told["energies"]["bound"] <= BAR and told["energies"]["unseen_paths"] == 500
    worse = {name: replace(fit, weights=fit.weights * 1.002) for name in fits}
    kept, told = few_energies(scene, own, worse)
    assert kept is own and "the fit given is off by" in told["energies"]["all_bins"]


def test_a_beam_without_a_given_fit_keeps_all_its_bins():
    fits = shared_quadratures([scene_of("few")])
    foreign = scene_of("few", source={"voltage_kv": 90})
    own = weights_of(foreign)
    kept, told = few_energies(foreign, own, fits)
    assert kept is own and told["energies"]["all_bins"] == "no fit is given for this beam"
    assert told["energies"]["nodes"] == told["energies"]["bins"] == (own.signal_kev > 0).sum()


def test_too_many_beams_are_refused():
    scenes = [scene_of("few", source={"voltage_kv": 80 + k}) for k in range(4)]
    with pytest.raises(xsim.SpectrumError, match="more than 3 beams"):
        shared_quadratures(scenes, most=3)


def test_a_class_that_absorbs_nothing_has_no_row_and_no_weight():
    scene = scene_of("few")
    single = weights_of(scene)
    shares = (np.ones(1), np.zeros(1), single.energy_kev)
    signal, variance = (
        np.array([row[0] * share for share in shares]) for row in (single.signal_kev, single.variance_kev2)
    )
    several = type(single)(single.energy_kev, signal, variance)
    used, told = few_energies(scene, several)
    assert used.signal_kev.shape == used.variance_kev2.shape == (3, told["energies"]["nodes"])
    assert not used.signal_kev[1].any() and not used.variance_kev2[1].any()
    for name in ("signal_kev", "variance_kev2"):
        sums = getattr(used, name).sum(axis=1), getattr(several, name).sum(axis=1)
        np.testing.assert_allclose(*sums, rtol=BAR)


def test_kept_rows_need_not_be_scaled():
    scene = scene_of("few")
    weights, greatest = weights_of(scene), greatest_paths(scene)
    rows = np.concatenate([weights.signal_kev, weights.variance_kev2])
    assert kept_quadrature(weights.energy_kev, rows, greatest) is kept_quadrature(
        weights.energy_kev, rows * np.array([[3.0], [0.7]]), greatest
    )
