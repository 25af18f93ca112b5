"""Values that follow others, stations with tables of their own, limits of saturation."""

import tomllib

import numpy as np
import pytest
from scipy import stats
from test_datagen_conditions import BLOCK, SCENES, corpus_of, drawn_of

import xsim
from datagen.distribution import draw, parse
from datagen.sample import simulate_scene
from datagen.scenes import check_corpus, draw_scene
from datagen.stream import Stream
from datagen.table import ParameterTable


def test_values_that_follow_another_keep_their_law_and_are_correlated(tmp_path):
    """Both margins by Kolmogorov-Smirnov at 1 %; Spearman's correlation 6 / pi asin(rho / 2) within 4 sd."""
    correlation = -0.8
    source = (
        "voltage_kv = { uniform = [60, 140] }\n"
        f'current_ma = {{ log_uniform = [1, 8], with = "source.voltage_kv", correlation = {correlation} }}\n'
    )
    found = drawn_of(corpus_of(tmp_path, source=source))
    voltage, current = np.array([[each.drawn[f"source.{k}"] for k in ("voltage_kv", "current_ma")] for each in found]).T
    assert stats.kstest(voltage, stats.uniform(60, 80).cdf).pvalue > 0.01
    assert stats.kstest(current, stats.loguniform(1, 8).cdf).pvalue > 0.01
    expected = 6 / np.pi * np.arcsin(correlation / 2)
    assert abs(stats.spearmanr(voltage, current).statistic - expected) < 4 / np.sqrt(SCENES)


@pytest.mark.parametrize(("correlation", "sign"), [(1.0, 1), (-1.0, -1)])
def test_full_correlation_is_the_same_rank(tmp_path, correlation, sign):
    """Wherever the followed value stands: here it is drawn after the one that follows it."""
    parts = {
        "source": f'voltage_kv = {{ uniform = [60, 140], with = "geometry.sod_mm", correlation = {correlation} }}',
        "geometry": "sod_mm = { normal = [500, 20] }\nsdd_mm = 1000",
    }
    found = drawn_of(corpus_of(tmp_path, **parts), 100)
    pairs = [(each.drawn["geometry.sod_mm"], sign * each.drawn["source.voltage_kv"]) for each in found]
    assert [each for _, each in sorted(pairs)] == sorted(each for _, each in pairs)


@pytest.mark.parametrize(
    ("law", "words"),
    [
        ('{ uniform = [1, 2], with = "source.voltage_kv" }', "go together"),
        ("{ uniform = [1, 2], correlation = 0.3 }", "go together"),
        ('{ uniform = [1, 2], with = "source.voltage_kv", correlation = 2 }', "correlation"),
        ('{ uniform = [1, 2], with = "source.current_ma", correlation = 0.5 }', "is no number drawn once"),
        ('{ uniform = [1, 2], with = "geometry.sod_mm", correlation = 0.5 }', "follows 'source.voltage_kv' itself"),
        ('{ uniform = [1, 2], with = "body.ball.radius_mm", correlation = 0.5 }', "is no number drawn once"),
        ('{ choice = [1, 2], with = "source.voltage_kv", correlation = 0.5 }', "unknown key 'with'"),
    ],
)
def test_faults_of_following_are_one_line(tmp_path, law, words):
    parts = {
        "source": f"voltage_kv = {{ uniform = [60, 90] }}\ncurrent_ma = {law}",
        "geometry": 'sod_mm = { uniform = [400, 500], with = "source.voltage_kv", correlation = 0.5 }\nsdd_mm = 900',
        "bodies": BLOCK + '[[body]]\nname = "ball"\nshape = "sphere"\ncount = 2\nmaterial = "Cu"\ninside = "block"\n'
                          "radius_mm = { uniform = [0.1, 0.2] }\n",
    }  # fmt: skip
    with pytest.raises(xsim.CorpusError) as told:
        corpus_of(tmp_path, **parts)
    assert words in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("distribution", "law"),
    [
        ({"log_normal": [2.0, 0.5]}, stats.lognorm(0.5, scale=2.0)),
        ({"log_normal": [2.0, 0.5], "limits": [1.5, 4.0]}, None),
        ({"log_normal": [3.0, 0.0]}, None),
    ],
)
def test_log_normal(distribution, law):
    stream, parsed = Stream(5, 2), parse(distribution, "x")
    found = np.array([draw(parsed, stream, "x", {}) for _ in range(2000)])
    if law is not None:
        assert stats.kstest(found, law.cdf).pvalue > 0.01
    elif "limits" in distribution:
        whole = stats.norm(np.log(2.0), 0.5)
        first, last = whole.cdf(np.log([1.5, 4.0]))
        assert stats.kstest(found, lambda x: (whole.cdf(np.log(x)) - first) / (last - first)).pvalue > 0.01
        assert found.min() >= 1.5 and found.max() <= 4.0
    else:
        assert (found == 3.0).all()


def test_shares_below_are_those_of_the_draws():
    """What histograms are held against: Kolmogorov-Smirnov of draws against ``share_below`` itself."""
    limited = ({"normal": [1, 2], "limits": [0, 9]}, {"log_normal": [2, 0.7], "limits": [1, 9]})
    open_laws = ({"uniform": [-1, 3]}, {"log_uniform": [0.1, 9]}, {"normal": [1, 2]}, {"log_normal": [2, 0.7]})
    for distribution in (*limited, *open_laws):
        stream, parsed = Stream(5, 3), parse(distribution, "x")
        assert stats.kstest([parsed.value(stream) for _ in range(2000)], parsed.share_below).pvalue > 0.01


STATIONS = '[[detector]]\nname = "b"\npreset = "generic-gos-200um"\nrows = 16\ncolumns = 16\n'


def test_stations_have_states_sources_and_doses_of_their_own(tmp_path):
    """One state a format, so that no reader mixes them; each station's words are its own."""
    first = """
acquisition = { state = "raw", target_gv = 0.5 }
source = { voltage_kv = 70, filters = { choice = [[{ material = "Al", thickness_mm = 1 }], []] } }
"""
    second = """
acquisition = { state = "flat_field_corrected", quanta_per_pixel = 500 }
source = { voltage_kv = { uniform = [80, 90] }, filters = { choice = [[], [{ material = "Cu", thickness_mm = 1 }]] } }
"""
    parts = {"source": "", "detector": first + STATIONS + second}
    corpus = corpus_of(tmp_path, **parts)
    check_corpus(corpus)
    assert [each.state for each in corpus.formats] == ["raw", "flat_field_corrected"]
    table = ParameterTable(corpus)
    told = set()
    for index in range(12):
        each = draw_scene(corpus, index)[0]
        assert each.scene.acquisition.state == corpus.formats[index % 2].state
        assert (each.scene.source.voltage_kv == 70) == (index % 2 == 0)
        row = dict(zip(table.columns, table.row({}, {}, each.drawn), strict=True))
        word = table.words["source.filters"][int(row["source.filters"])]
        assert ("Al" in word, "Cu" in word) == tuple(m in str(each.mapping["source"]["filters"]) for m in ("Al", "Cu"))
        told.add((index % 2, row["source.filters"]))
    assert told == {(0, 0.0), (0, 1.0), (1, 2.0), (1, 3.0)}
    for index, state in enumerate(("raw", "flat_field_corrected")):
        params = simulate_scene(corpus, index, range(1)).samples[0].params
        assert table.words["state"][int(params[table.columns.index("state")])] == state


def test_a_belt_and_a_panel_share_a_corpus(tmp_path):
    belt = (
        'geometry = { sod_mm = 500 }\n[[detector]]\npreset = "generic-linescan-gos-400um"\ncolumns = 16\n'
        "acquisition = { belt_speed_m_s = 0.2, line_rate_hz = 1000, lines = 8 }\n"
    )
    corpus = corpus_of(tmp_path, geometry="sdd_mm = 1000", detector=belt)
    shapes = [simulate_scene(corpus, index, range(1)).samples[0].images["noisy"].shape for index in (0, 1)]
    assert shapes == [(16, 16), (8, 16)]


def test_a_scene_that_saturates_more_than_asked_is_drawn_again(tmp_path):
    """Open beams of 0.5 to 1.5 of full scale; every kept image has at most 2 % of saturated pixels, the others tell."""
    detector = "sensor = { saturation_adu = 30000 }"
    run = "target_gv = { uniform = [0.3, 0.6] }"
    corpus = corpus_of(tmp_path, corpus="saturated_share = 0.02", acquisition=run, detector=detector)
    made = [simulate_scene(corpus, index, range(1)) for index in range(24)]
    column = ParameterTable(corpus).columns.index("saturated_share")
    assert max(each.samples[0].params[column] for each in made) <= 0.02
    reasons = [failure["reason"] for each in made for failure in each.redrawn]
    assert reasons and all("of the pixels saturate" in reason for reason in reasons)
    later = simulate_scene(corpus, 5, range(3, 4))
    assert [each["attempt"] for each in later.redrawn] == [each["attempt"] for each in made[5].redrawn]
    with pytest.raises(xsim.CorpusError, match="saturate"):
        hopeless = corpus_of(tmp_path, corpus="saturated_share = 0.02\nredraws = 2", acquisition="target_gv = 0.9",
                             detector=detector)  # fmt: skip
        simulate_scene(hopeless, 0, range(1))


FIELDS = """
source.voltage_kv = { uniform = [70, 120] }
source.current_ma = { normal = [2, 0.2], limits = [1, 3] }
source.filters = [{ material = { choice = ["Al", "Cu"] }, thickness_mm = { log_normal = [0.5, 0.1] } }]
geometry.sod_mm = { uniform = [400, 500] }
geometry.sdd_mm = { uniform = [800, 900] }
geometry.detector_rotation_deg = [0, { uniform = [-3, 3] }, { uniform = [-3, 3] }]
acquisition.snr = { log_uniform = [5, 50] }
acquisition.frames = { integers = [1, 4] }
acquisition.subpixels = { choice = [1, 2] }
detector.pitch_mm = { uniform = [0.1, 0.2] }
detector.scintillator.areal_density_mg_cm2 = { uniform = [60, 200] }
detector.sensor.gain_adu_per_kev = { log_uniform = [0.02, 0.1] }
detector.sensor.offset_adu = { uniform = [100, 300] }
detector.sensor.read_noise_adu = { uniform = [1, 9] }
detector.sensor.adc_bits = { choice = [12, 14, 16] }
detector.sensor.saturation_adu = { uniform = [3000, 4000] }
detector.sensor.prnu_share = { uniform = [0, 0.02] }
detector.sensor.serial = { integers = [0, 1000] }
detector.correction.session = { integers = [0, 100] }
detector.correction.gain_frames = { integers = [16, 64] }
body.block.position_mm = [{ uniform = [-2, 2] }, 0, { normal = [0, 1], limits = [-3, 3] }]
body.block.rotation_deg = [{ uniform = [-5, 5] }, 0, { uniform = [0, 360] }]
body.block.size_mm = [5, 5, { log_uniform = [1, 9] }]
"""


def deep(scene, path):
    """Value of a scene at a dotted name."""
    for key in path.split("."):
        scene = scene[int(key)] if key.isdigit() else scene[key]
    return scene


def test_station_camera_and_pose_can_be_drawn_field_by_field(tmp_path):
    """Each drawn number is the one that the scene has; no two scenes share any continuous one."""
    wanted = tomllib.loads("\n".join(FIELDS.strip().splitlines()))
    blocks = {key: "\n".join(line.removeprefix(f"{key}.") for line in FIELDS.splitlines() if line.startswith(key))
              for key in ("source", "geometry", "acquisition", "detector")}  # fmt: skip
    body = "\n".join(line.removeprefix("body.block.") for line in FIELDS.splitlines() if line.startswith("body"))
    corpus = corpus_of(tmp_path, **blocks, bodies=BLOCK.replace("size_mm = [5, 5, 5]\n", "") + body)
    scenes = drawn_of(corpus, 6)
    names = [name for name in ParameterTable(corpus).columns if name.split(".")[0] in wanted]
    assert len(names) == 27
    for each in scenes:
        plain = each.scene.model_dump()
        plain["body"] = {"block": plain["body"][0]}
        for name in names:
            if name != "source.filters.0.material":
                assert deep(plain, name) == each.drawn[name], name
    for name in names:
        if not {"choice", "integers"} & set(deep(wanted, name)):
            assert len({each.drawn[name] for each in scenes}) == len(scenes), name
    assert simulate_scene(corpus, 0, range(1)).samples[0].images["noisy"].shape == (16, 16)
