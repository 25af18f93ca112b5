// X-rays to light: the energy-weighted Poisson draw, then the spread of its light over the neighbours. A screen has one
// or more depth classes; each is drawn and spread by itself and the light of all is added.
// Compound Poisson in two moments: q = s Poisson(M1 / s), s = M2 / M1, has the mean M1 and the variance M2 of the
// energy deposited; with one energy it is the plain draw.
#pragma once
#include "poisson.h"

struct DrawQuantaArgs {
  const float* signal;    // [class, pixel] M1, keV
  const float* variance;  // [class, pixel] M2, keV^2
  float* light;           // [class, pixel] keV
  u64 seed;
  i64 pixels;
  u32 frame;
};

// Stream of a depth class: the first keeps that of a screen without classes.
XSIM_FN u32 quanta_stream(i64 depth_class) { return depth_class == 0 ? STREAM_QUANTA : STREAM_CLASSES + (u32)depth_class; }

// Work item: XSIM_LANES neighbouring pixels of a class. Most take their first candidate, worked out in vectors; the
// others go on pixel by pixel.
XSIM_KERNEL(draw_quanta, DrawQuantaArgs) {
  const i64 groups = (args.pixels + XSIM_LANES - 1) / XSIM_LANES, depth_class = item / groups;
  const i64 pixel = item % groups * XSIM_LANES, at = depth_class * args.pixels + pixel;
  const i32 lanes = (i32)smaller((i64)XSIM_LANES, args.pixels - pixel);
  const u32 stream = quanta_stream(depth_class);
  u32 words[4][XSIM_LANES];
  float weight[XSIM_LANES], mean[XSIM_LANES], drawn[XSIM_LANES];
  for (i32 lane = 0; lane < XSIM_LANES; ++lane) {
    words[0][lane] = (u32)(pixel + lane);
    words[1][lane] = args.frame;
    words[2][lane] = stream;
    words[3][lane] = 0;
  }
  philox4x32_lanes(words, (u32)args.seed, (u32)(args.seed >> 32));
  for (i32 lane = 0; lane < lanes; ++lane) {
    const float m1 = args.signal[at + lane], m2 = args.variance[at + lane];
    const bool lit = smaller(m1, m2) > 0.0f;
    const float held = lit ? m1 : 1.0f;
    weight[lane] = (lit ? m2 : 1.0f) / held;
    const float quanta = held / weight[lane];
    mean[lane] = lit ? quanta : 0.0f;
  }
  for (i32 lane = 0; lane < lanes; ++lane) drawn[lane] = poisson_at_once(mean[lane], words[0][lane], words[1][lane]);
  for (i32 lane = 0; lane < lanes; ++lane)
    if (drawn[lane] < 0.0f && mean[lane] > 0.0f) {
      Draws draws = {args.seed, (u32)(pixel + lane), args.frame, stream, 1};
      const Words known = {{words[0][lane], words[1][lane], words[2][lane], words[3][lane]}};
      drawn[lane] = poisson_from(mean[lane], known, draws);
    }
  for (i32 lane = 0; lane < lanes; ++lane) args.light[at + lane] = mean[lane] > 0.0f ? weight[lane] * drawn[lane] : 0.0f;
}

struct DrawPhotonsArgs {
  const float* light;  // [pixel] keV
  float* drawn;        // [pixel] keV
  u64 seed;
  i64 pixels;
  u32 frame;
  float photons_per_kev;
};

// Photons of the light that are detected, counted and taken back to keV. Work item: a pixel.
XSIM_KERNEL(draw_photons, DrawPhotonsArgs) {
  Draws draws = {args.seed, (u32)item, args.frame, STREAM_LIGHT, 0};
  args.drawn[item] = poisson(args.light[item] * args.photons_per_kev, draws) / args.photons_per_kev;
}

struct SpreadLightArgs {
  const float* light;    // [class, row + 2 margin, column + 2 margin]
  const float* kernels;  // [class, 2 radius + 1, 2 radius + 1], the sum of a class's is its share of the light
  const i32* radii;      // [class] beyond which its kernel is nought; none above `radius`
  float* spread;         // [row, column]
  i32 rows, columns, radius, margin, classes;
};

// Work item: XSIM_LANES neighbouring pixels of a row. A sum over classes and kernel in one fixed order.
XSIM_KERNEL(spread_light, SpreadLightArgs) {
  const i32 groups = (args.columns + XSIM_LANES - 1) / XSIM_LANES;
  const i32 row = (i32)(item / groups), first = (i32)(item % groups) * XSIM_LANES;
  const i32 lanes = smaller(XSIM_LANES, args.columns - first);
  const i32 size = 2 * args.radius + 1, stride = args.columns + 2 * args.margin;
  const i64 plane = (i64)stride * (args.rows + 2 * args.margin);
  float sum[XSIM_LANES] = {};
  for (i32 c = 0; c < args.classes; ++c) {
    const i32 radius = args.radii[c];
    const float* kernel = args.kernels + ((i64)c * size + args.radius) * size + args.radius;
    const float* middle = args.light + c * plane + (i64)(row + args.margin) * stride + first + args.margin;
    for (i32 dy = -radius; dy <= radius; ++dy)
      for (i32 dx = -radius; dx <= radius; ++dx) {
        const float weight = kernel[dy * size + dx];
        const float* light = middle + (i64)dy * stride + dx;
        for (i32 lane = 0; lane < lanes; ++lane) sum[lane] += weight * light[lane];
      }
  }
  for (i32 lane = 0; lane < lanes; ++lane) args.spread[(i64)row * args.columns + first + lane] = sum[lane];
}

// sum[lane] += the taps of a row, four distances at a time. `at` is the row at the first lane.
XSIM_FN void add_folded(const float* at, const float* weight, i32 radius, i32 lanes, float* sum) {
  XSIM_INDEPENDENT
  for (i32 k = 0; k < lanes; ++k) sum[k] += weight[0] * at[k];
  i32 dx = 1;
  for (; dx + 3 <= radius; dx += 4) {
    const float w0 = weight[dx], w1 = weight[dx + 1], w2 = weight[dx + 2], w3 = weight[dx + 3];
    const float *left = at - dx, *right = at + dx;
    XSIM_INDEPENDENT
    for (i32 k = 0; k < lanes; ++k)
      sum[k] += (w0 * (left[k] + right[k]) + w1 * (left[k - 1] + right[k + 1])) +
                (w2 * (left[k - 2] + right[k + 2]) + w3 * (left[k - 3] + right[k + 3]));
  }
  for (; dx <= radius; ++dx) {
    const float w = weight[dx];
    XSIM_INDEPENDENT
    for (i32 k = 0; k < lanes; ++k) sum[k] += w * (at[k - dx] + at[k + dx]);
  }
}

// Radius of the kernels that spread_mirrored folds, at the most.
#define XSIM_FOLD 128

struct SpreadMirroredArgs {
  const float* light;      // [class, row + 2 margin, column + 2 margin]
  const float* quadrants;  // [class, 1 + radius, 1 + radius] weights of the rows and columns from the middle on
  const i32* radii;        // [class] beyond which its kernel is nought; none above `radius`, that not above XSIM_FOLD
  float* spread;           // [row, column]
  i32 rows, columns, radius, margin, classes;
};

// spread_light of kernels that are the same mirrored, with half the additions and a quarter of the multiplications: the
// two rows at a distance are added first, then the two columns. Work item: as there.
XSIM_KERNEL(spread_mirrored, SpreadMirroredArgs) {
  const i32 groups = (args.columns + XSIM_LANES - 1) / XSIM_LANES;
  const i32 row = (i32)(item / groups), first = (i32)(item % groups) * XSIM_LANES;
  const i32 lanes = smaller(XSIM_LANES, args.columns - first), stride = args.columns + 2 * args.margin;
  const i64 plane = (i64)stride * (args.rows + 2 * args.margin);
  float sum[XSIM_LANES] = {}, folded[XSIM_LANES + 2 * XSIM_FOLD];
  for (i32 c = 0; c < args.classes; ++c) {
    const i32 radius = args.radii[c], width = lanes + 2 * radius;
    const float* middle = args.light + c * plane + (i64)(row + args.margin) * stride + first + args.margin - radius;
    for (i32 dy = 0; dy <= radius; ++dy) {
      const float* weight = args.quadrants + ((i64)c * (args.radius + 1) + dy) * (args.radius + 1);
      const float *above = middle - (i64)dy * stride, *below = middle + (i64)dy * stride;
      const float twice = dy == 0 ? 0.0f : 1.0f;
      XSIM_INDEPENDENT
      for (i32 k = 0; k < width; ++k) folded[k] = above[k] + twice * below[k];
      add_folded(folded + radius, weight, radius, lanes, sum);
    }
  }
  for (i32 lane = 0; lane < lanes; ++lane) args.spread[(i64)row * args.columns + first + lane] = sum[lane];
}

struct SpreadAlongArgs {
  const float* light;    // [class, row, column + 2 radius] along rows, [class, row + 2 radius, column] along columns
  const float* weights;  // [class, 2 radius + 1]
  float* spread;         // [row, column]
  i64 plane;             // numbers of a class's light
  i32 rows, columns, radius, stride, step, classes;  // from row to row of the light; from tap to tap
};

// One direction of a spread, over neighbours of a row (step 1) or of a column. Work item: as spread_light.
XSIM_KERNEL(spread_along, SpreadAlongArgs) {
  const i32 groups = (args.columns + XSIM_LANES - 1) / XSIM_LANES;
  const i32 row = (i32)(item / groups), first = (i32)(item % groups) * XSIM_LANES;
  const i32 lanes = smaller(XSIM_LANES, args.columns - first), size = 2 * args.radius + 1;
  float sum[XSIM_LANES] = {};
  for (i32 c = 0; c < args.classes; ++c)
    for (i32 k = 0; k < size; ++k) {
      const float weight = args.weights[c * size + k];
      const float* light = args.light + c * args.plane + (i64)row * args.stride + first + (i64)k * args.step;
      for (i32 lane = 0; lane < lanes; ++lane) sum[lane] += weight * light[lane];
    }
  for (i32 lane = 0; lane < lanes; ++lane) args.spread[(i64)row * args.columns + first + lane] = sum[lane];
}
