// Light to grey values: gain, offset, read noise, saturation, ADC; and the four images kept apart.
#pragma once
#include "math.h"
#include "philox.h"

struct ReadOutArgs {
  const float* light;       // [pixel] keV, this exposure
  const float* mean_light;  // [pixel] keV, its expectation
  float* noisy;             // [pixel] ADU on a grid of `step`
  float* clean;             // [pixel] ADU on a grid of `clean_step`, not clipped below `clean_limit`
  float* noise;             // [pixel] noisy - clean, exact
  float* expected;          // [pixel] ADU
  u8* valid;                // [pixel] 0 where saturated; left as it is elsewhere
  u64 seed;
  i64 pixels;
  u32 frame;
  float gain, offset;       // ADU per keV, ADU
  float read_noise;         // ADU, standard deviation
  float saturation;         // ADU: full well or the end of the ADC, whichever comes first
  float step, inverse_step, clean_step, inverse_clean_step;  // powers of two
  float clean_limit;        // ADU
};

// x >= 0 to the nearest multiple of a power of two.
XSIM_FN float snap(float x, float step, float inverse_step) {
  const float scaled = x * inverse_step;
  return scaled < 8388608.0f ? (float)(i32)(scaled + 0.5f) * step : x;
}

// Work item: XSIM_LANES neighbouring pixels.
XSIM_KERNEL(read_out, ReadOutArgs) {
  const i64 first = item * XSIM_LANES;
  const i32 lanes = (i32)smaller((i64)XSIM_LANES, args.pixels - first);
  float value[XSIM_LANES];
  u32 word[XSIM_LANES];
  for (i32 lane = 0; lane < lanes; ++lane) {
    Draws draws = {args.seed, (u32)(first + lane), args.frame, STREAM_READ_NOISE, 0};
    word[lane] = draw(draws).w[0];
  }
  for (i32 lane = 0; lane < lanes; ++lane)
    value[lane] = args.offset + args.gain * args.light[first + lane] +
                  args.read_noise * normal_quantile(uniform(word[lane]));
  XSIM_INDEPENDENT
  for (i32 lane = 0; lane < lanes; ++lane) {
    const i64 pixel = first + lane;
    const float mean = args.offset + args.gain * args.mean_light[pixel];
    const float noisy = snap(smaller(larger(value[lane], 0.0f), args.saturation), args.step, args.inverse_step);
    const float clean = snap(smaller(larger(mean, 0.0f), args.clean_limit), args.clean_step, args.inverse_clean_step);
    args.noisy[pixel] = noisy;
    args.clean[pixel] = clean;
    args.noise[pixel] = noisy - clean;
    args.expected[pixel] = smaller(mean, args.saturation);
    args.valid[pixel] = noisy >= args.saturation ? (u8)0 : args.valid[pixel];
  }
}
