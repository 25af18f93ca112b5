"""xsim: X-ray inspection simulated. Describe a station in a file, get the radiograph its camera would record."""

from xsim.backend import available_cores, cuda_devices
from xsim.cad import read_step
from xsim.camera_file import read_camera_file
from xsim.characterize import read_characteristics
from xsim.command import CommandParser, run_command
from xsim.correlation import NeighbourCorrelation, neighbour_correlation
from xsim.energies import shared_quadratures
from xsim.errors import (
    BackendError,
    CorpusError,
    MaterialError,
    MeasurementError,
    MeshError,
    ModelError,
    OutOfMemoryError,
    OutputError,
    SceneError,
    SpectrumError,
    VolumeError,
    XsimError,
)
from xsim.foreign_body import place_bodies
from xsim.frames import read_frames
from xsim.image_io import check_folder, read_tiff, write_tiff, write_whole
from xsim.insertion import Insertion, insert
from xsim.material import attenuation
from xsim.mtf import EdgeMtf, slanted_edge_mtf
from xsim.noise_power import NoisePower, noise_power
from xsim.paired import expose_paired, paired_scene
from xsim.projector import path_lengths
from xsim.quadrature import Quadrature
from xsim.radiograph import Exposure, Radiograph, expose, simulate
from xsim.real_image import Background
from xsim.report import Page, Picture, Tile, figure_png, grey_png
from xsim.resources import VERSION
from xsim.scene import Scene
from xsim.scene_file import load_scene, phantom_names, phantom_path, scene_from_dict
from xsim.screen_theory import ScreenTheory, screen_theory
from xsim.sharp import sharp_image
from xsim.spectrum import tube_spectrum
from xsim.station_options import (
    add_background_options,
    add_station_options,
    background_from_options,
    station_from_options,
)

__version__ = VERSION

__all__ = [
    "BackendError",
    "Background",
    "CommandParser",
    "CorpusError",
    "EdgeMtf",
    "Exposure",
    "Insertion",
    "MaterialError",
    "MeasurementError",
    "MeshError",
    "ModelError",
    "NeighbourCorrelation",
    "NoisePower",
    "OutOfMemoryError",
    "OutputError",
    "Page",
    "Picture",
    "Quadrature",
    "Radiograph",
    "Scene",
    "SceneError",
    "ScreenTheory",
    "SpectrumError",
    "Tile",
    "VolumeError",
    "XsimError",
    "add_background_options",
    "add_station_options",
    "attenuation",
    "available_cores",
    "background_from_options",
    "check_folder",
    "cuda_devices",
    "expose",
    "expose_paired",
    "figure_png",
    "grey_png",
    "insert",
    "load_scene",
    "neighbour_correlation",
    "noise_power",
    "paired_scene",
    "path_lengths",
    "phantom_names",
    "phantom_path",
    "place_bodies",
    "read_camera_file",
    "read_characteristics",
    "read_frames",
    "read_step",
    "read_tiff",
    "run_command",
    "scene_from_dict",
    "screen_theory",
    "shared_quadratures",
    "sharp_image",
    "simulate",
    "slanted_edge_mtf",
    "station_from_options",
    "tube_spectrum",
    "write_tiff",
    "write_whole",
]
