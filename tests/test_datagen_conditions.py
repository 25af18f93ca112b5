"""Drawing conditions: tables of rows drawn together, values that follow others, stations, saturation, every field."""

import numpy as np
import pytest
from scipy import stats

import xsim
from datagen.corpus_file import load_corpus
from datagen.drawn_values import draw_values
from datagen.plots import histogram_figure
from datagen.scenes import check_corpus, draw_scene
from datagen.table import ParameterTable

BASE = """
[corpus]
name = "conditions"
scenes = 2000
seed = 4
{corpus}
[source]
{source}
[geometry]
{geometry}
[acquisition]
{acquisition}
{conditions}
[[detector]]
preset = "generic-gos-200um"
rows = 16
columns = 16
{detector}
{bodies}
"""
BLOCK = '[[body]]\nname = "block"\nshape = "box"\nmaterial = "Al"\nsize_mm = [5, 5, 5]\n'
TABLE = """
[conditions]
columns = ["source.voltage_kv", "source.current_ma", "source.filters", "body.block.material"]
rows = [
    [60, 4.0, [], "PMMA"],
    [90, 2.5, [{ material = "Al", thickness_mm = { uniform = [1, 2] } }], "Al"],
    [140, 1.5, [{ material = "Cu", thickness_mm = 0.5 }], "Fe"],
]
weights = [1, 2, 1]
"""
SCENES = 600


def corpus_of(tmp_path, **parts):
    parts.setdefault("source", "voltage_kv = 90")
    places = ("corpus", "source", "geometry", "acquisition", "conditions", "detector", "bodies")
    text = BASE.format(**{name: parts.get(name, "") for name in places})
    path = tmp_path / "corpus.toml"
    path.write_text(text, encoding="utf-8")
    return load_corpus(path)


def drawn_of(corpus, count=SCENES):
    return [draw_scene(corpus, index)[0] for index in range(count)]


def table_corpus(tmp_path, conditions=TABLE):
    return corpus_of(tmp_path, source="", conditions=conditions, bodies=BLOCK.replace('material = "Al"\n', ""))


def row_of(drawn):
    source, body = drawn.mapping["source"], drawn.mapping["body"][0]
    return source["voltage_kv"], source["current_ma"], bool(source["filters"]), body["material"]


def test_rows_of_conditions_keep_their_joint_frequencies(tmp_path):
    """Only the rows of the table occur, as often as their weights say (chi-square at 1 %)."""
    scenes = drawn_of(table_corpus(tmp_path))
    found = [row_of(each) for each in scenes]
    rows = [(60, 4.0, False, "PMMA"), (90, 2.5, True, "Al"), (140, 1.5, True, "Fe")]
    counts = [found.count(row) for row in rows]
    assert sum(counts) == SCENES
    assert stats.chisquare(counts, np.array([1, 2, 1]) / 4 * SCENES).pvalue > 0.01
    assert [each.drawn["conditions"] for each in scenes] == [rows.index(row) for row in found]


def test_cells_may_hold_draws_of_their_own(tmp_path):
    thicknesses = [
        each.mapping["source"]["filters"][0]["thickness_mm"]
        for each in drawn_of(table_corpus(tmp_path), 800)
        if each.drawn["conditions"] == 1
    ]
    assert stats.kstest(thicknesses, stats.uniform(1, 1).cdf).pvalue > 0.01


def test_a_choice_of_numbers_and_draws_is_told_by_the_number(tmp_path):
    """Not by the code of the option, which would stand among the numbers as one of them."""
    law = "voltage_kv = { choice = [{ uniform = [90, 100] }, 60, { choice = [70, 80] }] }"
    corpus = corpus_of(tmp_path, source=law, bodies=BLOCK)
    table, scenes = ParameterTable(corpus), drawn_of(corpus, 30)
    found = [each.drawn["source.voltage_kv"] for each in scenes]
    assert found == [each.mapping["source"]["voltage_kv"] for each in scenes]
    assert {60.0, 70.0, 80.0} < set(found) and "source.voltage_kv" not in table.words
    values = draw_values(corpus, 30)
    assert values.values["source.voltage_kv"] == found
    histogram_figure(values, "mixed")


def test_columns_stand_among_the_parameters(tmp_path):
    corpus = table_corpus(tmp_path)
    table = ParameterTable(corpus)
    assert "conditions" in table.columns and "source.filters.0.thickness_mm" in table.columns
    for each in drawn_of(corpus, 20):
        row = dict(zip(table.columns, table.row({}, {}, each.drawn), strict=True))
        assert row["source.voltage_kv"] == each.mapping["source"]["voltage_kv"]
        assert table.words["body.block.material"][int(row["body.block.material"])] == row_of(each)[3]


def test_a_csv_file_draws_what_the_same_rows_draw(tmp_path):
    (tmp_path / "rows.csv").write_text(
        "source.voltage_kv,source.current_ma,weight,source.filters,body.block.material\n"
        '60,4.0,1,[],PMMA\n90,2.5,2,"[{ material = ""Al"", thickness_mm = { uniform = [1, 2] } }]",Al\n\n'
        '140,1.5,1,"[{ material = ""Cu"", thickness_mm = 0.5 }]",Fe\n',
        encoding="utf-8",
    )
    written = drawn_of(table_corpus(tmp_path), 60)
    of_file = table_corpus(tmp_path, '[conditions]\ntable = "rows.csv"\n')
    assert [each.mapping for each in drawn_of(of_file, 60)] == [each.mapping for each in written]
    (tmp_path / "rows.csv").write_text("source.voltage_kv,source.current_ma\n60,4\n", encoding="utf-8")
    assert table_corpus(tmp_path, '[conditions]\ntable = "rows.csv"\n').sha256 != of_file.sha256


def test_several_tables_are_independent(tmp_path):
    tables = (
        '[[conditions]]\nname = "tube"\ncolumns = ["source.voltage_kv"]\nrows = [[60], [90]]\n'
        '[[conditions]]\nname = "place"\ncolumns = ["geometry.sod_mm", "geometry.sdd_mm"]\n'
        "rows = [[400, 800], [500, 900]]\n"
    )
    found = drawn_of(corpus_of(tmp_path, source="", conditions=tables))
    rows = [(each.drawn["conditions.tube"], each.drawn["conditions.place"]) for each in found]
    counts = [rows.count((k, m)) for k in (0, 1) for m in (0, 1)]
    assert stats.chisquare(counts).pvalue > 0.01
    assert {(each.scene.geometry.sod_mm, each.scene.geometry.sdd_mm) for each in found} == {(400, 800), (500, 900)}


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ('[[conditions]]\ntable = "a.csv"\n[[conditions]]\ntable = "b.csv"', "needs a name"),
        ("[conditions]\n", "either table"),
        ('[conditions]\ncolumns = ["source.current_ma"]\nrows = []', "conditions: rows"),
        ('[conditions]\ncolumns = ["source.current_ma"]\nrows = [[1, 2]]', "row 1 has 2 values for 1"),
        ('[conditions]\ncolumns = ["current_ma"]\nrows = [[1]]', "'current_ma' is no value of a scene"),
        ('[conditions]\ncolumns = ["corpus.seed"]\nrows = [[1]]', "is no value of a scene"),
        ('[conditions]\ncolumns = ["source.voltage_kv"]\nrows = [[1]]', "by itself, keep one"),
        ('[conditions]\ncolumns = ["body.blok.material"]\nrows = [["Al"]]', "names no [[body]]"),
        ('[conditions]\ncolumns = ["source.current_ma"]\nrows = [[1]]\nweights = [0]', "as many weights"),
        ('[conditions]\ncolumns = ["source.current_ma", "source.current_ma"]\nrows = [[1, 2]]', "is there twice"),
        ('[conditions]\ntable = "none.csv"', "cannot read"),
        ('[conditions]\ntabel = "none.csv"', "did you mean 'table'"),
        ('[conditions]\ncolumns = ["source.current_ma"]\nrows = [[-1]]', "current_ma"),
        ('[conditions]\ncolumns = ["acquisition.state"]\nrows = [["raw"]]', "state cannot be drawn"),
        ('[conditions]\ncolumns = ["detector.name"]\nrows = [["a"]]', "detector.name cannot be drawn"),
        (f'[conditions]\ncolumns = ["source.current_ma"]\nrows = [[{10**400}]]', "write a smaller one"),
        ('[conditions]\ntable = "weights.csv"', "no column but 'weight'"),
        ('[conditions]\ncolumns = ["source.voltage_kv.low"]\nrows = [[1]]', "voltage_kv is not a table"),
    ],
)
def test_faults_of_conditions_are_one_line(tmp_path, conditions, words):
    (tmp_path / "weights.csv").write_text("weight\n1\n2\n", encoding="utf-8")
    with pytest.raises(xsim.XsimError) as told:
        check_corpus(corpus_of(tmp_path, conditions=conditions, bodies=BLOCK))
    assert words in str(told.value) and "\n" not in str(told.value)


NO_TABLES = ["a,b\n1\n", "source.current_ma\n\n", "source.current_ma,weight\n1,-2\n", "\0", "a" * 200000]


@pytest.mark.parametrize("fill", NO_TABLES)
def test_faults_of_a_csv_file_are_one_line(tmp_path, fill):
    (tmp_path / "rows.csv").write_text(fill, encoding="utf-8")
    with pytest.raises(xsim.CorpusError) as told:
        corpus_of(tmp_path, conditions='[conditions]\ntable = "rows.csv"')
    assert "\n" not in str(told.value)
