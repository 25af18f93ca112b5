"""Draw the plots of a camera's page into docs/images/: python tools/make_detector_plots.py [NAME]."""

import io
import sys
from pathlib import Path

from PIL import Image

from xsim.camera_figures import camera_figures
from xsim.cameras import named_camera
from xsim.report import figure_png
from xsim.report.camera import camera_plots

COLUMNS = 3


def main(name):
    camera = named_camera(name)
    plots = camera_plots(camera, camera_figures(camera)).values()
    tiles = [Image.open(io.BytesIO(figure_png(plot, 90))) for plot in plots]
    width, height = tiles[0].size
    page = Image.new("RGB", (COLUMNS * width, -(-len(tiles) // COLUMNS) * height), "white")
    for k, tile in enumerate(tiles):
        page.paste(tile, ((k % COLUMNS) * width, (k // COLUMNS) * height))
    page.quantize(64).save(Path(__file__).parents[1] / "docs/images/detector-page.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "xrd1621-like")
