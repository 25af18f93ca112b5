// Beer-Lambert over every energy: what the scintillator absorbs behind the path lengths of a pixel.
#pragma once
#include "math.h"
#include "vec.h"

struct Beam {
  const float* attenuation;      // [energy, material] halvings a mm: the coefficient over ln 2
  const float* signal_weights;   // [class, energy] keV a pixel on the axis absorbs without a body
  const float* variance_weights; // [class, energy] keV^2
  float axis_distance_mm;        // source to detector plane; a pixel at distance r gets (axis / r)^3
  i32 energies, materials, classes;
};

// Depth classes of a screen at the most.
#define XSIM_CLASSES 8

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

// What is left of the beam behind two materials, the sums kept apart from what is read.
template <bool VARIANCE>
XSIM_FN void attenuate_two(const Beam& beam, const float* one, const float* other, i32 a, i32 b, float* signal, float* variance) {
  for (i32 e = 0; e < beam.energies; ++e) {
    const float* mu = beam.attenuation + (i64)e * beam.materials;
    const float mu_a = mu[a], mu_b = mu[b], w1 = beam.signal_weights[e], w2 = beam.variance_weights[e];
    XSIM_LANE_LOOP
    for (i32 k = 0; k < XSIM_LANES; ++k) {
      const float transmission = power_of_half(mu_a * one[k] + mu_b * other[k]);
      signal[k] += w1 * transmission;
      if (VARIANCE) variance[k] += w2 * transmission;
    }
  }
}

template <bool VARIANCE>
XSIM_FN void attenuate_one(const Beam& beam, const float* length, i32 material, float* signal, float* variance) {
  for (i32 e = 0; e < beam.energies; ++e) {
    const float mu = beam.attenuation[(i64)e * beam.materials + material];
    const float w1 = beam.signal_weights[e], w2 = beam.variance_weights[e];
    XSIM_LANE_LOOP
    for (i32 k = 0; k < XSIM_LANES; ++k) {
      const float transmission = power_of_half(mu * length[k]);
      signal[k] += w1 * transmission;
      if (VARIANCE) variance[k] += w2 * transmission;
    }
  }
}

// Behind any number of materials, those of them that are met.
XSIM_FN void attenuate_many(const Beam& beam, const float* lengths, i64 stride, u64 met, float* signal, float* variance) {
  float depth[XSIM_LANES];
  for (i32 e = 0; e < beam.energies; ++e) {
    const float* mu = beam.attenuation + (i64)e * beam.materials;
    const float w1 = beam.signal_weights[e], w2 = beam.variance_weights[e];
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

XSIM_FN void add_open_beam(const Beam& beam, float* signal, float* variance) {
  float s = 0.0f, v = 0.0f;
  for (i32 e = 0; e < beam.energies; ++e) {
    s += beam.signal_weights[e];
    v += beam.variance_weights[e];
  }
  for (i32 k = 0; k < XSIM_LANES; ++k) {
    signal[k] = s;
    variance[k] = v;
  }
}

// Signal and variance of up to XSIM_LANES neighbouring pixels; lengths [material] are `stride` apart.
XSIM_FN void integrate_spectrum(const Beam& beam, const float* lengths, i64 stride, i32 count, bool with_variance,
                                float* signal, float* variance) {
  const u64 met = materials_met(lengths, stride, beam.materials, count);
  for (i32 k = 0; k < XSIM_LANES; ++k) signal[k] = variance[k] = 0.0f;
  const i32 a = first_bit(met);
  const u64 rest = a < 64 ? met & (met - 1) : 0;
  const i32 b = first_bit(rest);
  if (met == 0) {
    add_open_beam(beam, signal, variance);
  } else if (rest == 0) {
    if (with_variance) attenuate_one<true>(beam, lengths + a * stride, a, signal, variance);
    else attenuate_one<false>(beam, lengths + a * stride, a, signal, variance);
  } else if ((rest & (rest - 1)) == 0) {
    if (with_variance) attenuate_two<true>(beam, lengths + a * stride, lengths + b * stride, a, b, signal, variance);
    else attenuate_two<false>(beam, lengths + a * stride, lengths + b * stride, a, b, signal, variance);
  } else {
    attenuate_many(beam, lengths, stride, met, signal, variance);
  }
}

// Signal and variance of each depth class, [class, lane]: the transmission is worked out once an energy.
XSIM_FN void integrate_classes(const Beam& beam, const float* lengths, i64 stride, i32 count, float* signal, float* variance) {
  const u64 met = materials_met(lengths, stride, beam.materials, count);
  for (i32 k = 0; k < beam.classes * XSIM_LANES; ++k) signal[k] = variance[k] = 0.0f;
  float transmission[XSIM_LANES];
  for (i32 e = 0; e < beam.energies; ++e) {
    const float* mu = beam.attenuation + (i64)e * beam.materials;
    for (i32 k = 0; k < XSIM_LANES; ++k) transmission[k] = 0.0f;
    for (i32 m = 0; m < beam.materials; ++m) {
      if (m < 64 && (met >> m & 1) == 0) continue;
      const float* length = lengths + m * stride;
      XSIM_LANE_LOOP
      for (i32 k = 0; k < XSIM_LANES; ++k) transmission[k] += mu[m] * length[k];
    }
    XSIM_LANE_LOOP
    for (i32 k = 0; k < XSIM_LANES; ++k) transmission[k] = power_of_half(transmission[k]);
    for (i32 c = 0; c < beam.classes; ++c) {
      const float w1 = beam.signal_weights[c * beam.energies + e], w2 = beam.variance_weights[c * beam.energies + e];
      float *s = signal + c * XSIM_LANES, *v = variance + c * XSIM_LANES;
      XSIM_LANE_LOOP
      for (i32 k = 0; k < XSIM_LANES; ++k) {
        s[k] += w1 * transmission[k];
        v[k] += w2 * transmission[k];
      }
    }
  }
}
