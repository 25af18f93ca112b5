// Beer-Lambert over every energy: what the scintillator absorbs behind the path lengths of a pixel.
#pragma once
#include "math.h"
#include "vec.h"

struct IntegrateSpectrumArgs {
  const float* lengths;          // [material, pixel] mm
  const float* attenuation;      // [energy, material] 1/mm
  const float* signal_weights;   // [energy] keV a pixel on the axis absorbs without a body
  const float* variance_weights; // [energy] keV^2
  float* signal;                 // [pixel] M1 = sum N eta E, keV
  float* variance;               // [pixel] M2 = sum N eta E^2, keV^2
  Directions<float> view;
  float axis_distance_mm;        // source to detector plane; a pixel at distance r gets (axis / r)^3
  i32 energies, materials, columns;
  i64 pixels;
};

// Work item: XSIM_LANES neighbouring pixels.
XSIM_KERNEL(integrate_spectrum, IntegrateSpectrumArgs) {
  const i64 first = item * XSIM_LANES;
  const i32 lanes = (i32)smaller((i64)XSIM_LANES, args.pixels - first);
  float signal[XSIM_LANES] = {}, variance[XSIM_LANES] = {}, depth[XSIM_LANES];
  for (i32 k = 0; k < args.energies; ++k) {
    const float* mu = args.attenuation + (i64)k * args.materials;
    for (i32 lane = 0; lane < lanes; ++lane) depth[lane] = 0.0f;
    for (i32 m = 0; m < args.materials; ++m) {
      const float* length = args.lengths + m * args.pixels + first;
      for (i32 lane = 0; lane < lanes; ++lane) depth[lane] += mu[m] * length[lane];
    }
    const float w1 = args.signal_weights[k], w2 = args.variance_weights[k];
    for (i32 lane = 0; lane < lanes; ++lane) {
      const float transmission = exponential(-depth[lane]);
      signal[lane] += w1 * transmission;
      variance[lane] += w2 * transmission;
    }
  }
  for (i32 lane = 0; lane < lanes; ++lane) {
    const i64 pixel = first + lane;
    // inverse square of the distance, times the cosine at which the plane is met
    const float r = norm(direction(args.view, (float)(pixel % args.columns), (float)(pixel / args.columns)));
    const float ratio = args.axis_distance_mm / r;
    const float share = ratio * ratio * ratio;
    args.signal[pixel] = signal[lane] * share;
    args.variance[pixel] = variance[lane] * share;
  }
}
