"""datagen preview: the sheet shows the scenes that generate would make, and says what it cannot show."""

import numpy as np
import pytest
from PIL import Image
from test_datagen_corpus_file import written

import xsim
from datagen.cli import main
from datagen.contact_sheet import GREYS, OUTLINE, contact_sheet
from datagen.corpus_file import load_corpus
from datagen.drawn_values import draw_values
from datagen.preview import preview_tiles, scenes_of, windowed
from datagen.sample import simulate_scene
from datagen.table import ParameterTable

SMALL = (("rows = 128", "rows = 24"), ("columns = 128", "columns = 32"))
SECOND = '[[detector]]\npreset = "generic-gos-200um"\nrows = 24\ncolumns = 32\n[[detector]]\nname = "b"'


def small(tmp_path, *changes):
    return written(tmp_path, *SMALL, *changes)


def line_corpus(tmp_path):
    text = (
        '[corpus]\nname = "belt"\nscenes = 3\n[source]\nvoltage_kv = 90\n[geometry]\nsod_mm = 500\nsdd_mm = 800\n'
        "[acquisition]\nbelt_speed_m_s = 0.2\nline_rate_hz = { uniform = [400, 500] }\nlines = 300\n"
        '[detector]\npreset = "generic-linescan-gos-400um"\ncolumns = 16\n'
        '[[body]]\nname = "ball"\nshape = "sphere"\nradius_mm = 1\nmaterial = "Al"\n'
    )
    path = tmp_path / "belt.toml"
    path.write_text(text)
    return path


def preview(*arguments):
    return main(["preview", *map(str, arguments), "--quiet"])


def test_tiles_are_the_frames_that_generate_stores(tmp_path):
    """The picture of a tile is its scene's stored image, windowed: nothing else is simulated."""
    corpus = load_corpus(small(tmp_path))
    for what in ("noisy", "clean"):
        for tile in preview_tiles(corpus, [1, 3], what):
            sample = simulate_scene(corpus, tile.scene, range(1)).samples[0]
            expected = windowed(sample.images[what], tile.drawn["offset_adu"])[0]
            assert np.array_equal(tile.picture, expected)
            assert tile.caption[0].startswith(f"scene {tile.scene}")
            assert f"{tile.drawn['voltage_kv']:.3g} kV" in tile.caption[1]


def test_window_shows_percentiles_as_black_and_white():
    image = np.geomspace(100.0, 10000.0, 2001)[None, :] + 50.0
    grey, low, high = windowed(image, 50.0)
    assert low == pytest.approx(50 + 100 * 100**0.005, rel=1e-6)
    assert high == pytest.approx(50 + 100 * 100**0.995, rel=1e-6)
    assert np.allclose(np.diff(grey[0, 11:-11]), 1 / 1980, rtol=1e-6), "logarithmic in the signal"
    assert (grey == 0).mean() == pytest.approx(0.005, abs=0.001)


def test_targets_are_outlined_around_not_over(tmp_path):
    """Outlines lie where no placed body is, within four pixels of one; other pixels are those of the plain sheet."""
    corpus = load_corpus(small(tmp_path))
    plain = np.asarray(contact_sheet(preview_tiles(corpus, [0], "noisy"), 1, 32))[8 : 8 + 24, 8:40]
    tiles = preview_tiles(corpus, [0], "targets")
    shown = np.asarray(contact_sheet(tiles, 1, 32))[8 : 8 + 24, 8:40]
    lines = shown == OUTLINE
    assert lines.any() and not (lines & (tiles[0].labels > 0)).any()
    assert np.array_equal(shown[~lines], plain[~lines])
    sample = simulate_scene(corpus, 0, range(1)).samples[0]
    labels = sample.images["labels"]
    block = labels == 2 - (sample.params[ParameterTable(corpus).columns.index("body.wedge.count")] == 0)
    assert (tiles[0].labels == np.where(block, 0, labels)).all(), "all but the block lie inside another"


def test_scenes_are_spread_and_each_format_has_its_turn(tmp_path):
    corpus = load_corpus(small(tmp_path, ("[detector]", SECOND), ("scenes = 4", "scenes = 400")))
    shown = scenes_of(corpus, 8)
    assert len(set(shown)) == 8 and max(shown) >= 200
    assert sum(scene % 2 for scene in shown) == 4
    assert scenes_of(corpus, 3, [7, 399]) == [7, 399]
    for wrong in ([], [400], [-1]):
        with pytest.raises(xsim.CorpusError):
            scenes_of(corpus, 3, wrong)


def test_small_corpora_show_each_scene_once(tmp_path):
    corpus = load_corpus(small(tmp_path))
    assert scenes_of(corpus, 12) == [0, 1, 2, 3]
    odd = load_corpus(small(tmp_path, ("[detector]", SECOND), ("scenes = 4", "scenes = 5")))
    assert scenes_of(odd, 12) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("what", ["noisy", "clean", "labels", "targets"])
def test_command_writes_the_sheet_and_nothing_else(tmp_path, capsys, what):
    corpus, sheet = small(tmp_path), tmp_path / "new" / "sheet.png"
    before = set(tmp_path.iterdir())
    assert preview(corpus, "-o", sheet, "--count", 3, "--columns", 2, "--tile", 64, "--what", what) == 0
    assert "3 of 4 scenes" in capsys.readouterr().out
    assert set(tmp_path.iterdir()) - before == {sheet.parent} and list(sheet.parent.iterdir()) == [sheet]
    with Image.open(sheet) as image:
        assert image.size[0] == 8 + 2 * (64 + 8)
        used = np.unique(np.asarray(image))
    assert (used >= GREYS).any() == (what in ("labels", "targets"))


def test_pages_and_histograms(tmp_path, capsys):
    corpus, page, plot = line_corpus(tmp_path), tmp_path / "p.html", tmp_path / "h.png"
    arguments = (corpus, "-o", tmp_path / "s.png", "--count", 1, "--html", page, "--histograms", plot)
    assert preview(*arguments) == 0
    assert "3 scenes drawn" in capsys.readouterr().out
    text = page.read_text()
    assert "data:image/png;base64" in text and "acquisition.line_rate_hz" in text and "http" not in text
    assert preview(*arguments) == 0, "its own files are replaced"


def test_nothing_of_a_user_is_lost(tmp_path, capsys):
    corpus, mine, page = small(tmp_path), tmp_path / "mine.png", tmp_path / "mine.html"
    Image.new("L", (4, 4)).save(mine)
    page.write_text("<!doctype html> my notes")
    text = corpus.read_text()
    for arguments in (("-o", mine), ("-o", tmp_path / "s.png", "--html", page), ("-o", corpus),
                      ("-o", tmp_path / "a.png", "--histograms", tmp_path / "a.png")):  # fmt: skip
        assert preview(corpus, *arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["corpus.toml", "mine.html", "mine.png"]
    assert page.read_text() == "<!doctype html> my notes" and corpus.read_text() == text


def test_a_scene_that_cannot_be_made_has_its_reason_on_its_tile(tmp_path, capsys):
    """Blocks of 8 to 24 mm: spheres of 5 mm fit into some, and one draw each is allowed."""
    corpus = small(tmp_path, ("radius_mm = { log_uniform = [0.3, 3] }", "radius_mm = 5.0"), ("integers = [3, 20]",
                   "integers = [1, 1]"), ("scenes = 4", "scenes = 16\nredraws = 0"))  # fmt: skip
    tiles = preview_tiles(load_corpus(corpus), range(16))
    faulty = [tile for tile in tiles if tile.reason]
    assert 0 < len(faulty) < 16 and all("sphere" in tile.reason and tile.picture is None for tile in faulty)
    assert preview(corpus, "-o", tmp_path / "s.png", "--count", 16) == 0
    assert f"{len(faulty)} of them cannot be made" in capsys.readouterr().out
    assert contact_sheet(tiles, 4, 5).width == 5 * 8 + 4 * 5, "tiles too narrow for a word"
    for tile in ("15", "1000000"):
        with pytest.raises(SystemExit):
            preview(corpus, "-o", tmp_path / "s.png", "--tile", tile)
    only = str(faulty[0].scene)
    assert preview(corpus, "-o", tmp_path / "t.png", "--scenes", only) == 2
    assert not (tmp_path / "t.png").exists()
    assert draw_values(load_corpus(corpus), 16).failed == len(faulty)


def test_line_scans_and_long_images(tmp_path):
    """300 lines of 16 pixels: a narrow tile, twice as high as wide at the most."""
    tiles = preview_tiles(load_corpus(line_corpus(tmp_path)), [0])
    assert tiles[0].picture.shape == (300, 16)
    assert any("as long along travel" in note for note in tiles[0].notes)
    sheet = contact_sheet(tiles, 4, 64)
    assert sheet.width == 64 + 16 and 128 <= sheet.height <= 128 + 80


def test_drawn_values_of_repeated_bodies_are_those_of_the_instances(tmp_path):
    corpus = load_corpus(small(tmp_path))
    drawn = draw_values(corpus, 4)
    counts, radii = drawn.values["body.sphere.count"], drawn.values["body.sphere.radius_mm"]
    assert len(radii) == sum(counts) and drawn.scenes == 4
    assert drawn.asked["source.filters.0.thickness_mm"] is None, "two laws under one name"
    assert drawn.asked["body.sphere.radius_mm"].log_uniform == (0.3, 3)
