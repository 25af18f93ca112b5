// Light to grey values through electrons: a pixel's sensitivity, dark signal, the Poisson draw of both together, full
// well, offset, read noise with what rows, columns and flickering pixels add to it, gain, ADC. Several exposures at
// once give the mean of as many frames: the sum of Poisson draws is one draw of the summed mean.
#pragma once
#include "poisson.h"

struct ReadElectronsArgs {
  const float* light;         // [pixel] keV, all exposures together
  const float* gain_map;      // [pattern] sensitivity, 1 of an ideal pixel
  const float* dark_map;      // [pattern] e per exposure, beside `dark`
  const float* offset_map;    // [pattern] e
  const float* flicker_map;   // [pattern] e, half the step of a flickering pixel
  const float* row_noise;     // [row] e, of this frame
  const float* column_noise;  // [column] e, of this frame
  float* total;               // [pixel] ADU; the frame is added
  u8* valid;                  // [pixel] 0 where saturated; left as it is elsewhere
  u64 seed;
  i64 pixels, pattern;        // pixel p has entry p % pattern of the maps
  i32 columns, exposures;
  u32 frame;
  i32 is_counted, is_digitised;    // whether electrons are drawn; whether the ADC rounds
  float electrons_per_kev, dark;   // dark: e per exposure
  float full_well;                 // e
  float read_noise;                // e, standard deviation of the mean of the exposures
  float adu_per_electron, offset;  // offset: ADU
  float saturation;                // ADU
};

XSIM_FN i32 count_bits(u32 x) {
  x = x - ((x >> 1) & 0x55555555u);
  x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
  return (i32)((((x + (x >> 4)) & 0x0F0F0F0Fu) * 0x01010101u) >> 24);
}

// Mean over the exposures of +1 or -1, either as likely, in each of them.
XSIM_FN float flicker(Draws& draws, i32 exposures) {
  i32 up = 0;
  for (i32 done = 0; done < exposures; done += 32) {
    const i32 bits = smaller(32, exposures - done);
    up += count_bits(draw(draws).w[0] >> (32 - bits));
  }
  return (float)(2 * up - exposures) / (float)exposures;
}

// Electrons in the well after an exposure, the mean of several.
XSIM_FN float collect(const ReadElectronsArgs& args, i64 pixel, i64 place) {
  const float count = (float)args.exposures;
  const float mean = args.electrons_per_kev * args.light[pixel] * args.gain_map[place] +
                     count * (args.dark + args.dark_map[place]);
  Draws draws = {args.seed, (u32)pixel, args.frame, STREAM_ELECTRONS, 0};
  return (args.is_counted ? poisson(mean, draws) : mean) / count;
}

// Work item: XSIM_LANES neighbouring pixels.
XSIM_KERNEL(read_electrons, ReadElectronsArgs) {
  const i64 first = item * XSIM_LANES;
  const i32 lanes = (i32)smaller((i64)XSIM_LANES, args.pixels - first);
  float charge[XSIM_LANES], beside[XSIM_LANES];
  u32 word[XSIM_LANES];
  for (i32 lane = 0; lane < lanes; ++lane) {
    const i64 pixel = first + lane, place = pixel % args.pattern;
    charge[lane] = collect(args, pixel, place);
    beside[lane] = args.offset_map[place] + args.row_noise[pixel / args.columns] + args.column_noise[pixel % args.columns];
    if (args.flicker_map[place] > 0.0f) {
      Draws draws = {args.seed, (u32)pixel, args.frame, STREAM_FLICKER, 0};
      beside[lane] += args.flicker_map[place] * flicker(draws, args.exposures);
    }
    Draws draws = {args.seed, (u32)pixel, args.frame, STREAM_READ_NOISE, 0};
    word[lane] = draw(draws).w[0];
  }
  for (i32 lane = 0; lane < lanes; ++lane) {
    const i64 pixel = first + lane;
    const float held = smaller(charge[lane], args.full_well);
    const float electrons = held + (beside[lane] + args.read_noise * normal_quantile(uniform(word[lane])));
    const float value = smaller(larger(args.offset + args.adu_per_electron * electrons, 0.0f), args.saturation);
    const float grey = args.is_digitised ? (float)(i32)(value + 0.5f) : value;
    args.total[pixel] += grey;
    if (charge[lane] >= args.full_well || grey >= args.saturation) args.valid[pixel] = 0;
  }
}
