"""What turns light into grey values, and how a station corrects them, as data."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from xsim.schema import NonNegative, Positive, StrictModel

__all__ = ["Correction", "Defects", "Sensor"]

Share = Annotated[NonNegative, Field(le=1)]
Fraction = Annotated[Positive, Field(le=1)]
Frames = Annotated[int, Field(strict=True, ge=1, le=1024)]
Pixels = Annotated[int, Field(strict=True, gt=0, le=65536)]

CHARGES = 1e-12, 1e12  # electrons per keV; others leave the range of a float
NEED_ELECTRONS = (
    "fill_factor", "quantum_efficiency", "gain_adu_per_e", "full_well_e", "read_noise_e", "row_noise_e",
    "column_noise_e", "dark_current_e_s", "dsnu_e", "dsnu_column_e", "dsnu_tap_e", "dsnu_tile_e",
)  # fmt: skip


class Defects(StrictModel):
    """How often pixels are bad, in the classes of ASTM E2597; which ones, the camera's serial number says.

    Shares are of the pixels, rows or columns. Dead: no response. Hot: a dark signal between 0.1 and ``hot_level`` of
    full scale. Over-responding: sensitivity 1.4 to 2. Under-responding: 0.1 to 0.55. Noisy: two levels 20 read noises
    apart, either as likely in every frame. Clusters: round patches of about ``cluster_px`` dead pixels. Lines: dead
    rows and columns over the whole sensor.
    """

    dead_share: Share = 0.0
    hot_share: Share = 0.0
    hot_level: Annotated[Share, Field(ge=0.1)] = 1.0
    over_responding_share: Share = 0.0
    under_responding_share: Share = 0.0
    noisy_share: Share = 0.0
    clusters_per_mpx: Annotated[NonNegative, Field(le=900)] = 0.0
    cluster_px: Annotated[Positive, Field(ge=2, le=400)] = 9.0
    dead_rows_share: Share = 0.0
    dead_columns_share: Share = 0.0

    @property
    def pixel_shares(self) -> tuple[float, ...]:
        """Of single dead, hot, over-responding, under-responding and noisy pixels."""
        return (self.dead_share, self.hot_share, self.over_responding_share, self.under_responding_share,
                self.noisy_share)  # fmt: skip

    @property
    def any(self) -> bool:
        """Whether any pixel may be bad."""
        return any((*self.pixel_shares, self.clusters_per_mpx, self.dead_rows_share, self.dead_columns_share))

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Defects:
        if sum(self.pixel_shares) > 1:
            raise ValueError(
                f"the shares of bad pixels add up to {sum(self.pixel_shares):g} (1 is all of them) lower them"
            )
        return self


class Correction(StrictModel):
    """What a station corrects frames with: means of so many dark and open-beam frames of the same camera.

    The open beam is that of the scene without its bodies, at ``gain_level`` of full scale in the detector's middle.
    ``pedestal_adu`` is the grey value of no light after a correction; what is below 0 is lost, as at a station.
    ``session`` numbers the recordings of these frames: another number, other noise in them.
    """

    dark_frames: Frames = 64
    gain_frames: Frames = 64
    gain_level: Annotated[Positive, Field(le=0.95)] = 0.7
    pedestal_adu: NonNegative = 0.0
    interpolate_defects: bool = False
    session: Annotated[int, Field(strict=True, ge=0, lt=2**20)] = 0


class Sensor(StrictModel):
    """Light to grey values.

    The short form: gain per keV of light, offset, read noise and saturation in ADU. The physical form names
    ``electrons_per_kev``, the electrons that a pixel without gaps of quantum efficiency 1 would collect: the charge is
    then drawn electron by electron. Beside it one of ``gain_adu_per_kev`` and ``gain_adu_per_e`` gives the other.
    """

    adc_bits: Annotated[int, Field(strict=True, ge=1, le=16)] = 16
    gain_adu_per_kev: Positive
    offset_adu: NonNegative = 0.0
    read_noise_adu: NonNegative = 0.0
    saturation_adu: Positive | None = None  # None where the ADC or the full well ends first
    electrons_per_kev: Positive | None = None
    fill_factor: Fraction = 1.0
    quantum_efficiency: Fraction = 1.0
    gain_adu_per_e: Positive | None = None
    full_well_e: Positive | None = None
    read_noise_e: NonNegative | None = None
    row_noise_e: NonNegative = 0.0
    column_noise_e: NonNegative = 0.0
    dark_current_e_s: NonNegative = 0.0
    dsnu_e: NonNegative = 0.0
    dsnu_column_e: NonNegative = 0.0
    dsnu_tap_e: NonNegative = 0.0
    dsnu_tile_e: NonNegative = 0.0
    prnu_share: Share = 0.0
    prnu_column_share: Share = 0.0
    prnu_tap_share: Share = 0.0
    prnu_tile_share: Share = 0.0
    tap_columns: Pixels | None = None
    tile_rows: Pixels | None = None
    tile_columns: Pixels | None = None
    defects: Defects = Defects()
    serial: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 0
    tdi_stages: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1

    @model_validator(mode="before")
    @classmethod
    def _fill_in_electrons(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = {name for name, value in data.items() if value is not None}
        if "electrons_per_kev" not in given:
            for name in NEED_ELECTRONS:
                if name in given and data[name] != cls.model_fields[name].default:
                    raise ValueError(f"{name} is in electrons (electrons_per_kev is not given) give it too")
            return data
        return fill_in_electrons(data)

    @model_validator(mode="after")
    def _seams_have_places(self) -> Sensor:
        if (self.dsnu_tap_e or self.prnu_tap_share) and self.tap_columns is None:
            raise ValueError("taps differ, but none is known (tap_columns is missing) give the columns of a tap")
        if (self.dsnu_tile_e or self.prnu_tile_share) and not (self.tile_rows or self.tile_columns):
            raise ValueError("tiles differ, but none is known (tile_rows, tile_columns are missing) give one or both")
        return self

    @property
    def has_electrons(self) -> bool:
        """Whether charge is drawn electron by electron."""
        return self.electrons_per_kev is not None

    @property
    def charge_per_kev(self) -> float:
        """Electrons collected per keV of light; of the short form 1, its charge is counted in keV."""
        if self.electrons_per_kev is None:
            return 1.0
        return self.electrons_per_kev * self.fill_factor * self.quantum_efficiency

    @property
    def adu_per_charge(self) -> float:
        """ADU per electron; of the short form per keV."""
        return self.gain_adu_per_kev / self.charge_per_kev

    @property
    def read_noise_charge(self) -> float:
        """Read noise of a pixel by itself [electrons; of the short form keV]."""
        return self.read_noise_adu / self.adu_per_charge

    @property
    def end_adu(self) -> float:
        """Where the ADC ends, or ``saturation_adu`` before it."""
        top = float(2**self.adc_bits - 1)
        return top if self.saturation_adu is None else min(float(int(self.saturation_adu)), top)

    @property
    def full_scale_adu(self) -> float:
        """What ``target_gv`` is a share of: the range of the ADC, or the full well where that is reached before."""
        top = float(2**self.adc_bits - 1)
        return top if self.full_well_e is None else min(top, self.offset_adu + self.adu_per_charge * self.full_well_e)

    @property
    def is_plain(self) -> bool:
        """Whether all pixels are alike and no electrons are counted."""
        pattern = (self.prnu_share, self.prnu_column_share, self.prnu_tap_share, self.prnu_tile_share)
        return not (self.has_electrons or any(pattern) or self.defects.any)


def fill_in_electrons(data: dict[str, Any]) -> dict[str, Any]:
    """A sensor's fields with the gains and read noise that follow from the others; what is no number is left alone."""
    factors = [data.get(name, 1.0) for name in ("electrons_per_kev", "fill_factor", "quantum_efficiency")]
    numbers = [data[name] for name in ("gain_adu_per_e", "gain_adu_per_kev", "read_noise_e", "read_noise_adu")
               if data.get(name) is not None]  # fmt: skip
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in factors + numbers) or min(factors) <= 0:
        return data
    charge = factors[0] * factors[1] * factors[2]
    if not CHARGES[0] <= charge <= CHARGES[1]:
        raise ValueError(
            f"no sensor collects {charge:g} electrons per keV of light ({CHARGES[0]:g} to {CHARGES[1]:g}) check "
            "electrons_per_kev, fill_factor and quantum_efficiency"
        )
    if data.get("gain_adu_per_e") is None:
        if data.get("gain_adu_per_kev") is None:
            return data
        data = {**data, "gain_adu_per_e": data["gain_adu_per_kev"] / charge}
    data = with_product(data, "gain_adu_per_kev", "gain_adu_per_e", charge)
    return with_product(data, "read_noise_adu", "read_noise_e", data["gain_adu_per_e"])


def with_product(data: dict[str, Any], name: str, of: str, factor: float) -> dict[str, Any]:
    """``data[name] = data[of] * factor``, or an error where it says another."""
    if data.get(of) is None:
        return data
    value = data[of] * factor
    if data.get(name) is not None and abs(data[name] - value) > 1e-6 * abs(value):
        raise ValueError(f"{name} = {data[name]:g} does not fit {of} ({value:.6g} follows from it) leave one out")
    return {**data, name: value}
