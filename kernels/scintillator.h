// X-rays to light: the energy-weighted Poisson draw, then the spread of its light over the neighbours.
// Compound Poisson in two moments: q = s Poisson(M1 / s), s = M2 / M1, has the mean M1 and the variance M2 of the
// energy deposited; with one energy it is the plain draw.
#pragma once
#include "poisson.h"

struct DrawQuantaArgs {
  const float* signal;    // [pixel] M1, keV
  const float* variance;  // [pixel] M2, keV^2
  float* light;           // [pixel] keV
  u64 seed;
  i64 pixels;
  u32 frame;
};

// Work item: a pixel.
XSIM_KERNEL(draw_quanta, DrawQuantaArgs) {
  const float m1 = args.signal[item], m2 = args.variance[item];
  float light = 0.0f;
  if (m1 > 0.0f && m2 > 0.0f) {
    const float weight = m2 / m1;
    Draws draws = {args.seed, (u32)item, args.frame, STREAM_QUANTA, 0};
    light = weight * poisson(m1 / weight, draws);
  }
  args.light[item] = light;
}

struct SpreadLightArgs {
  const float* light;   // [row + 2 radius, column + 2 radius] with its margin
  const float* kernel;  // [2 radius + 1, 2 radius + 1], sum 1
  float* spread;        // [row, column]
  i32 rows, columns, radius;
};

// Work item: XSIM_LANES neighbouring pixels of a row. A sum over the kernel in one fixed order.
XSIM_KERNEL(spread_light, SpreadLightArgs) {
  const i32 groups = (args.columns + XSIM_LANES - 1) / XSIM_LANES;
  const i32 row = (i32)(item / groups), first = (i32)(item % groups) * XSIM_LANES;
  const i32 lanes = smaller(XSIM_LANES, args.columns - first);
  const i32 size = 2 * args.radius + 1, stride = args.columns + 2 * args.radius;
  float sum[XSIM_LANES] = {};
  for (i32 dy = 0; dy < size; ++dy)
    for (i32 dx = 0; dx < size; ++dx) {
      const float weight = args.kernel[dy * size + dx];
      const float* light = args.light + (i64)(row + dy) * stride + first + dx;
      for (i32 lane = 0; lane < lanes; ++lane) sum[lane] += weight * light[lane];
    }
  for (i32 lane = 0; lane < lanes; ++lane) args.spread[(i64)row * args.columns + first + lane] = sum[lane];
}
