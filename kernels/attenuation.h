// Beer-Lambert over every energy: what the scintillator absorbs behind the path lengths of a pixel.
#pragma once
#include "math.h"
#include "vec.h"

struct Beam {
  const float* attenuation;      // [energy, material] halvings a mm: the coefficient over ln 2
  const float* signal_weights;   // [energy] keV a pixel on the axis absorbs without a body
  const float* variance_weights; // [energy] keV^2
  float axis_distance_mm;        // source to detector plane; a pixel at distance r gets (axis / r)^3
  i32 energies, materials;
};

// Bit m: material m lies before one of the pixels. Materials beyond 63 always count.
XSIM_FN u64 materials_met(const float* lengths, i64 stride, i32 materials, i32 count) {
  u64 met = materials > 64 ? ~0ull : 0;
  for (i32 m = 0; m < materials && m < 64; ++m) {
    i32 any = 0;
    for (i32 k = 0; k < count; ++k) any |= (i32)(lengths[m * stride + k] != 0.0f);
    met |= (u64)any << m;
  }
  return met;
}

// Signal and variance of up to XSIM_LANES neighbouring pixels; lengths [material] are `stride` apart.
XSIM_FN void integrate_spectrum(const Beam& beam, const float* lengths, i64 stride, i32 count, float* signal, float* variance) {
  const u64 met = materials_met(lengths, stride, beam.materials, count);
  for (i32 k = 0; k < XSIM_LANES; ++k) signal[k] = variance[k] = 0.0f;
  float depth[XSIM_LANES];
  for (i32 e = 0; e < beam.energies; ++e) {
    const float* mu = beam.attenuation + (i64)e * beam.materials;
    const float w1 = beam.signal_weights[e], w2 = beam.variance_weights[e];
    if (met == 0) {  // nothing before the detector
      for (i32 k = 0; k < XSIM_LANES; ++k) {
        signal[k] += w1;
        variance[k] += w2;
      }
      continue;
    }
    for (i32 k = 0; k < XSIM_LANES; ++k) depth[k] = 0.0f;
    for (i32 m = 0; m < beam.materials; ++m) {
      if (m < 64 && (met >> m & 1) == 0) continue;
      const float* length = lengths + m * stride;
      for (i32 k = 0; k < XSIM_LANES; ++k) depth[k] += mu[m] * length[k];
    }
    for (i32 k = 0; k < XSIM_LANES; ++k) {
      const float transmission = power_of_half(depth[k]);
      signal[k] += w1 * transmission;
      variance[k] += w2 * transmission;
    }
  }
}
