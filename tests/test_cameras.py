"""Named cameras: where their numbers come from, and that each is used sensibly at its own typical exposure."""

import warnings

import numpy as np
import pytest
from scipy.stats import norm

import xsim
from xsim.camera_figures import camera_figures, measured_transfer
from xsim.camera_file import preset_names
from xsim.cameras import named_camera
from xsim.errors import SceneError

FRAMES = 1000
FLAT = ("raw", "flat_field_corrected")


@pytest.fixture(params=preset_names())
def camera(request):
    return named_camera(request.param)


def test_every_number_has_a_source(camera):
    named = {field for fields in camera.about.provenance.values() for field in fields}
    assert named == set(camera.numbers)
    assert camera.about.title


def test_the_range_is_used_at_the_typical_exposure(camera):
    image = xsim.simulate(camera.open_beam(32, 32), seed=1)
    sensor = camera.detector.sensor
    share = np.median(image.expected) / sensor.full_scale_adu
    assert 0.4 < share < 0.9
    assert image.metadata["saturated_share"] == 0.0


def test_clean_carries_no_fixed_pattern(camera):
    scenes = [camera.open_beam(16, 64) for _ in range(2)]
    other = scenes[1].detector.model_copy(
        update={"sensor": scenes[1].detector.sensor.model_copy(update={"serial": 12345})}
    )
    images = [xsim.simulate(scenes[0], seed=1), xsim.simulate(scenes[1].model_copy(update={"detector": other}), seed=1)]
    assert np.array_equal(images[0].clean, images[1].clean)
    if camera.detector.sensor.prnu_share:
        assert not np.array_equal(images[0].expected, images[1].expected)


def mean_of_frames(scene, frames):
    exposure = xsim.expose(scene)
    total = np.zeros(exposure.mean_light.shape)
    square = np.zeros_like(total)
    for frame in range(frames):
        noisy = np.asarray(exposure.images(seed=3, frame=frame)["noisy"], np.float64)
        total += noisy
        square += noisy**2
    images = exposure.images(seed=3, frame=0)
    mean = total / frames
    return mean, (square / frames - mean**2) / (frames - 1), np.asarray(images["expected"]), images["valid"]


@pytest.mark.parametrize("frames", [100, pytest.param(FRAMES, marks=pytest.mark.slow)])
def test_the_mean_of_many_frames_is_what_is_expected(camera, frames):
    mean, variance, expected, valid = mean_of_frames(camera.open_beam(8, 32), frames)
    good = np.asarray(valid, bool) & (variance > 0)
    z = ((mean - expected) / np.sqrt(variance))[good]
    # Student's t of few frames has heavier tails than a normal; Sidak at 1 %
    limit = norm.ppf(1 - 0.5 * (1 - 0.99 ** (1 / z.size))) * (1 + 6 / frames)
    assert good.mean() > 0.9
    assert np.abs(z).max() < limit * (1.25 if frames < FRAMES else 1.05)
    # pixels share blur and row noise: the mean over the frame is judged by frames, not by pixels
    assert abs(z.mean()) < 1.0


def test_a_users_own_file_has_the_same_schema(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'kind = "flat_panel"\nrows = 16\ncolumns = 16\npitch_mm = 0.1\n'
        '[scintillator]\nmaterial = "CsI"\nareal_density_mg_cm2 = 100.0\n'
        "[sensor]\ngain_adu_per_kev = 0.1\n"
        '[about]\ntitle = "mine"\n[about.provenance]\n"data sheet: mine" = ["pitch_mm"]\n'
    )
    (tmp_path / "scene.toml").write_text(
        '[source]\nvoltage_kv = 80\n[geometry]\nsod_mm = 500.0\nsdd_mm = 1000.0\n[detector]\npreset = "mine.toml"\n'
    )
    scene = xsim.load_scene(tmp_path / "scene.toml")
    assert (scene.detector.rows, scene.detector.pitch_mm) == (16, 0.1)
    mine = named_camera("mine.toml", tmp_path)
    assert mine.sourced() == {"data sheet": 1, "literature": 0, "placeholder": 0, "not said": 4}
    with pytest.raises(SceneError, match=r"typical"):
        mine.open_beam()


def test_fields_beside_a_preset_override_it_at_any_depth(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'preset = "sandwich-like-dual-energy-800um"\n[second_layer.scintillator]\nlight_loss = 0.1\n'
    )
    mine, other = named_camera("mine.toml", tmp_path).detector, named_camera("sandwich-like-dual-energy-800um").detector
    assert mine.second_layer.scintillator.light_loss == 0.1
    assert mine.second_layer.sensor == other.second_layer.sensor
    scene = xsim.scene_from_dict(
        {
            "source": {"voltage_kv": 80.0},
            "acquisition": {"belt_speed_m_s": 0.2, "line_rate_hz": 500.0, "lines": 8},
            "detector": {"preset": "mine.toml", "columns": 16, "scintillator": {"material": {"name": "CdWO4"}}},
        },
        tmp_path,
    )
    assert scene.detector.scintillator.material == {"name": "CdWO4"}
    assert scene.detector.second_layer == mine.second_layer


def test_a_file_that_names_itself_is_told(tmp_path):
    (tmp_path / "mine.toml").write_text('preset = "mine.toml"\n')
    with pytest.raises(SceneError, match="may name itself"):
        named_camera("mine.toml", tmp_path)


@pytest.mark.parametrize("dose", ["target_gv = 0.6", "quanta_per_pixel = 3000.0"])
@pytest.mark.parametrize("name", ["dexela-2923-like", "c14300-like"])
def test_a_typical_exposure_may_be_a_dose(tmp_path, dose, name):
    belt = "belt_speed_m_s = 0.2\nline_rate_hz = 1000.0\nlines = 64\n" if name.startswith("c") else ""
    (tmp_path / "mine.toml").write_text(
        f'preset = "{name}"\n[about.typical.source]\nvoltage_kv = 80\ncurrent_ma = 5.0\n'
        f"[about.typical.geometry]\nsod_mm = 500.0\nsdd_mm = 1000.0\n[about.typical.acquisition]\n{belt}{dose}\n"
    )
    camera = named_camera("mine.toml", tmp_path)
    transfer = measured_transfer(camera, camera_figures(camera).open_share)
    assert transfer.slope_adu > 0


@pytest.mark.parametrize(
    ("about", "what"),
    [
        ('[about.provenance]\n"a friend" = ["pitch_mm"]', "data sheet"),
        ('[about.provenance]\n"literature: x" = ["pitch"]', "no such number"),
        ('[about.provenance]\n"literature: x" = ["pitch_mm"]\n"placeholder" = ["pitch_mm"]', "2 times"),
        ('[about]\ntitel = "x"', "title"),
        ("[detector]\nrows = 3", "is a scene"),
        ("[", "no TOML"),
    ],
)
def test_a_wrong_file_is_told_in_a_line(tmp_path, about, what):
    (tmp_path / "mine.toml").write_text(
        'rows = 16\ncolumns = 16\npitch_mm = 0.1\n[scintillator]\nmaterial = "CsI"\nareal_density_mg_cm2 = 100.0\n'
        f"[sensor]\ngain_adu_per_kev = 0.1\n{about}\n"
    )
    with warnings.catch_warnings(), pytest.raises(SceneError, match=what) as told:
        named_camera("mine.toml", tmp_path)
    assert "\n" not in str(told.value)


def test_an_unknown_camera_names_the_nearest():
    with pytest.raises(SceneError, match="did you mean 'generic-gos-200um'"):
        named_camera("generic-gos-200")
