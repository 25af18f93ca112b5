"""The ``xsim`` command."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from xsim import image_io
from xsim.backend import get_backend
from xsim.characterize_cli import add_characterize_command
from xsim.command import CommandParser, run_command
from xsim.detectors_cli import add_detectors
from xsim.errors import OutputError, SceneError
from xsim.insert_cli import add_insert_command
from xsim.material_table import DEFAULT_KEV, describe_material, list_materials, parse_material
from xsim.measure_cli import add_measure_commands
from xsim.radiograph import Radiograph, expose
from xsim.resources import VERSION, package_directory
from xsim.scene_file import load_scene, phantom_names, phantom_path

__all__ = ["main"]

DEMO = ("step-chart", "spheres-in-acrylic", "bearing-bracket")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit codes are those of ``xsim.run_command``."""
    return run_command("xsim", build_parser().parse_args(arguments))


def build_parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="xsim", description="X-ray inspection simulated.")
    parser.add_argument("--version", action="version", version=f"xsim {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser(
        "simulate",
        help="radiograph of a scene file or of phantom:NAME",
        epilog="example: xsim simulate phantom:step-chart -o out --seed 1",
    )
    add.add_argument("scene", help=f"a TOML file, or phantom:NAME ({', '.join(scene_phantoms())})")
    add.add_argument("-o", "--output", type=Path, required=True, help="folder for the images")
    add.add_argument("--frames", type=int, default=1, help="independent frames of the noisy image")
    add_machine_options(add)
    add.set_defaults(run=run_simulate)
    add = commands.add_parser(
        "init",
        help="write a commented scene file to start from",
        epilog="example: xsim init scene.toml",
    )
    add.add_argument("file", type=Path, nargs="?", default=Path("scene.toml"))
    add.set_defaults(run=run_init)
    add_scene_commands(commands.add_parser("scene", help="scene files from elsewhere"))
    add_measure_commands(commands.add_parser("measure", help="signal, noise, resolution and efficiency of images"))
    add_characterize_command(commands.add_parser("characterize", help="a camera's numbers from darks and flats"))
    add_insert_command(commands.add_parser("insert", help="simulated bodies into real images"))
    add_materials_command(commands)
    add_detectors(commands.add_parser("detectors", help="the named cameras: list, compare, show"))
    add = commands.add_parser("demo", help="simulate the shipped phantoms", epilog="example: xsim demo -o demo-out")
    add.add_argument("-o", "--output", type=Path, default=Path("demo-out"))
    add_machine_options(add)
    add.set_defaults(run=run_demo)
    return parser


def add_scene_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser(
        "from-cad",
        help="scene of a STEP assembly: a mesh per part, a body per instance, a list of masses",
        epilog="example: xsim scene from-cad asm.step --materials map.csv -o scene.toml",
    )
    add.add_argument("step", type=Path, help="STEP file (AP203, AP214, AP242)")
    add.add_argument("--materials", type=Path, required=True, help="csv: part (or pattern), material[, g/cm3]")
    add.add_argument("-o", "--output", type=Path, required=True, help="scene file to write")
    add.add_argument("--template", type=Path, help="scene file to take source, geometry, acquisition, detector from")
    add.add_argument("--sod-mm", type=float, help="source to object")
    add.add_argument("--sdd-mm", type=float, help="source to detector")
    add.add_argument("--pitch-mm", type=float, help="pixel pitch of the detector")
    add.add_argument("--chord-mm", type=float, help="facets this near the CAD surface (default: 0.1 pixel)")
    add.add_argument("--rotation-deg", type=float, nargs=3, default=(0.0, 0.0, 0.0), metavar=("X", "Y", "Z"))
    add.add_argument("--keep-origin", action="store_true", help="do not move the assembly's middle to the origin")
    add.set_defaults(run=run_from_cad)


def add_materials_command(commands: Any) -> None:
    add = commands.add_parser(
        "materials",
        help="materials by name; density, composition, edges and attenuation of one",
        epilog='example: xsim materials show 316L --energy-kev 60 100; xsim materials show "Al=96,Cu=4" '
        "--density-g-cm3 2.8",
    )
    add.set_defaults(run=run_materials)
    show = add.add_subparsers(metavar="COMMAND").add_parser(
        "show", help="one material", epilog="example: xsim materials show PMMA --density-g-cm3 1.17"
    )
    show.add_argument("name", help="a name, a formula, or parts by weight: Al=96,Cu=4")
    show.add_argument("--density-g-cm3", type=float, help="instead of the usual density")
    show.add_argument("--energy-kev", type=float, nargs="+", help="energies of the table, 0.1 to 800")
    show.set_defaults(run=run_show_material)


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default 0)")
    parser.add_argument("--backend", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")


def scene_phantoms() -> list[str]:
    return [name for name in phantom_names() if "corpus" not in name]


def run_simulate(options: argparse.Namespace) -> None:
    if options.frames < 1:
        raise SceneError(f"--frames {options.frames} (must be at least 1) ask for 1 or more")
    file = options.scene
    scene = load_scene(file)
    image_io.check_folder(options.output)
    text = phantom_path(file[8:]).read_text() if file.startswith("phantom:") else Path(file).read_text()
    start = time.perf_counter()
    exposure = expose(scene, get_backend(options.backend, options.threads))
    steps = tqdm(range(options.frames), unit="frame", disable=options.frames < 2)
    frames = [exposure.record(options.seed, k) for k in steps]
    image_io.write_radiograph(options.output, frames[0], text, frames)
    seconds = time.perf_counter() - start
    print(summary(frames[0]))
    if frames[0].second is not None:
        print(f"\nsecond image, in {options.output}/second/\n{summary(frames[0].second)}\n")
    print(f"written to {options.output}/ in {seconds:.2f} s: {', '.join(image_io.file_names())}, scene.toml")


def summary(image: Radiograph) -> str:
    """Quanta, grey value, saturation and SNR of the open beam, one line each."""
    data = image.metadata
    unit = "ADU" if data["adc_bits"] else "keV"
    level = data["gain_adu_per_kev"] * data["quanta_per_pixel"] * data["mean_energy_kev"]
    spread = max(
        data["a_pixel_adu"] * level + data["b_adu2"] + data["a_pixel_adu"] * data["offset_adu"],
        1e-30,
    )
    return (
        f"exposure          {data['exposure_mas']:.4g} mAs, {data['quanta_per_pixel']:.4g} quanta absorbed "
        f"per pixel in the open beam\n"
        f"mean grey value   {data['mean_adu']:.5g} {unit}\n"
        f"saturated         {100 * data['saturated_share']:.3g} % of pixels, "
        f"{100 * data['invalid_share']:.3g} % invalid\n"
        f"SNR               {level / spread**0.5:.4g} in the open beam\n" + "\n".join(ray_lines(data))
    )


def ray_lines(data: Mapping[str, Any]) -> list[str]:
    """Magnification, rays, focal spot, and the aspect of a line scan."""
    rays = data["rays_per_pixel"]
    lines = [f"magnification     {data['magnification']:.4g} at the object", f"rays              {rays:.4g} per pixel"]
    if told := data.get("energies"):
        bound = told.get("all_bins") or f"off by {100 * told['bound']:.2g} % at the most"
        lines.append(f"energies          {told['nodes']} of {told['bins']} bins ({bound})")
    if "focal_spot_samples" in data:
        width, height = data["focal_spot_effective_mm"]
        spot = f"{width:.3g} mm x {height:.3g} mm effective, {data['focal_spot_samples']} points"
        lines.append(f"focal spot        {spot}, penumbra of {data['penumbra_px']:.3g} pixels")
    if "aspect" in data:
        aspects = [f"{data['aspect']:.4g} at the object"]
        if bodies := data["aspect_of_bodies"]:
            aspects.append(f"{min(bodies):.4g} to {max(bodies):.4g} at the bodies")
        lines.append(f"line scan         {data['line_step_mm']:.4g} mm a line")
        lines.append(f"aspect            {', '.join(aspects)} (a pixel along travel over across)")
    return lines


def run_init(options: argparse.Namespace) -> None:
    target: Path = options.file
    if target.exists():
        raise OutputError(f"{target} is already there (it is left as it is) choose another name")
    template = (package_directory("templates") / "scene.toml").read_text()
    image_io.write_whole(target, lambda path: path.write_text(template))
    print(f"{target} written; next: xsim simulate {target} -o out")


def run_from_cad(options: argparse.Namespace) -> None:
    from xsim.cad_scene import CadOptions, scene_from_cad
    from xsim.part_list import parts_table

    names = ("template", "sod_mm", "sdd_mm", "pitch_mm", "chord_mm", "keep_origin")
    chosen = CadOptions(**{k: getattr(options, k) for k in names}, rotation_deg=tuple(options.rotation_deg))
    scene, parts, chord_mm = scene_from_cad(options.step, options.materials, options.output, chosen)
    print(parts_table(parts))
    print(f"facets within {chord_mm:.3g} mm of the CAD surface; {len(scene.body)} bodies of {len(parts)} meshes")
    print(f"{options.output} written; next: xsim simulate {options.output} -o out")


def run_materials(options: argparse.Namespace) -> None:
    print(list_materials())


def run_show_material(options: argparse.Namespace) -> None:
    material = parse_material(options.name, options.density_g_cm3)
    print(describe_material(material, options.energy_kev or DEFAULT_KEV))


def run_demo(options: argparse.Namespace) -> None:
    machine = get_backend(options.backend, options.threads)
    image_io.check_folder(options.output)
    for name in tqdm(DEMO, unit="phantom"):
        image = expose(load_scene(f"phantom:{name}"), machine).record(options.seed)
        text = phantom_path(name).read_text()
        written = image_io.write_radiograph(options.output / name, image, text)
        tqdm.write(f"{name}: look at {next(p for p in written if p.suffix == '.png')}")


if __name__ == "__main__":
    sys.exit(main())
