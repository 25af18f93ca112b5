from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import xsim
from xsim import OutputError

pytest.importorskip("torch")

from denoise import demo


def test_demo_leaves_other_folders_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        demo.run(tmp_path)
    assert demo.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_unseen_scenes_are_of_the_dose_and_not_of_the_corpus() -> None:
    cases = demo.unseen_cases(demo.CORPUS, 250.0, 2, 64)
    again = demo.unseen_cases(demo.CORPUS, 250.0, 2, 64)
    for case, same in zip(cases, again, strict=True):
        assert case.params["quanta_per_pixel"] == pytest.approx(250.0, rel=1e-3)
        assert case.clean.shape == (64, 64) and (case.noisy == same.noisy).all()
    assert (cases[0].noisy != cases[1].noisy).any()


def test_bars_take_the_worst_dose() -> None:
    def figures(noisy: float, classical: float, bias: float, before: float, after: float) -> dict:
        return {
            "gain_over_noisy_db": noisy,
            "gain_over_classical_db": classical,
            "noisy": {"true_positive_rate": before},
            "restored": {"true_positive_rate": after, "bias": bias},
        }

    good = figures(9.0, 2.0, -2e-4, 0.3, 0.5)
    assert all(bar["kept"] for bar in demo.bars({40.0: good, 250.0: good}))
    bad = figures(2.9, 0.9, -1.1e-3, 0.5, 0.4)
    found = demo.bars({40.0: good, 250.0: bad})
    assert not any(bar["kept"] for bar in found)
    assert [bar["worst"] for bar in found] == pytest.approx([2.9, 0.9, 1.1e-3, -0.1])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("default")  # what a user would be warned of fails nothing here
def test_demo_keeps_its_bars_on_half_its_time(tmp_path: Path) -> None:
    numbers = demo.run(tmp_path / "out", minutes=1.75, scenes=16)
    assert [bar["bar"] for bar in numbers["bars"] if not bar["kept"]] == []
    assert {"40", "250", "2000"} == set(numbers["doses"])
    assert all(each["images"] == 16 for each in numbers["doses"].values())
    written = json.loads((tmp_path / "out" / "numbers.json").read_text())
    assert written["seconds"].keys() == {"phantom", "corpus", "training", "restoring", "page"}
    page = (tmp_path / "out" / "index.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert page.count("<img ") == 3 * 6 + 1 + 2 + 1
    image, metadata = xsim.read_tiff(tmp_path / "out" / "restored.tif")
    assert image.shape == (512, 512) and metadata["image"] == "restored"
