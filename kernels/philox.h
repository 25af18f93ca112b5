// Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as
// 1, 2, 3, SC11). Counter = (pixel, frame, stream, draw), key = seed: any draw can be made anywhere, in any order.
#pragma once
#include "platform.h"

struct Words { u32 w[4]; };

XSIM_FN Words philox4x32(Words counter, u32 key0, u32 key1) {
  for (int round = 0; round < 10; ++round) {
    const u64 a = (u64)0xD2511F53u * counter.w[0];
    const u64 b = (u64)0xCD9E8D57u * counter.w[2];
    counter = {{(u32)(b >> 32) ^ counter.w[1] ^ key0, (u32)b, (u32)(a >> 32) ^ counter.w[3] ^ key1, (u32)a}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// The same of XSIM_LANES counters, word by word, so that neighbouring pixels share vectors.
XSIM_FN void philox4x32_lanes(u32 words[4][XSIM_LANES], u32 key0, u32 key1) {
  for (int round = 0; round < 10; ++round) {
    XSIM_LANE_LOOP
    for (i32 lane = 0; lane < XSIM_LANES; ++lane) {
      const u64 a = (u64)0xD2511F53u * words[0][lane];
      const u64 b = (u64)0xCD9E8D57u * words[2][lane];
      words[0][lane] = (u32)(b >> 32) ^ words[1][lane] ^ key0;
      words[2][lane] = (u32)(a >> 32) ^ words[3][lane] ^ key1;
      words[1][lane] = (u32)b;
      words[3][lane] = (u32)a;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

// What is drawn; a stream of its own for each, so that one never shifts another.
enum Stream : u32 {
  STREAM_QUANTA = 0,
  STREAM_READ_NOISE = 1,
  STREAM_ELECTRONS = 16,
  STREAM_FLICKER = 17,
  // 18 to 31: what xsim/fixed_pattern.py, camera.py and travel.py draw by random_words
  STREAM_LIGHT = 0x100,
  STREAM_CLASSES = 0x200,
};

struct Draws {
  u64 seed;
  u32 pixel, frame, stream, next;
};

XSIM_FN Words draw(Draws& d) {
  const Words counter = {{d.pixel, d.frame, d.stream, d.next}};
  d.next += 1;
  return philox4x32(counter, (u32)d.seed, (u32)(d.seed >> 32));
}

// Uniform in (0, 1): 2^23 equally spaced values, neither end included. With one bit more, adding 1/2 rounds: the last
// value would be 1, and its normal quantile 13.
XSIM_FN float uniform(u32 word) { return ((float)(word >> 9) + 0.5f) * 1.1920928955078125e-7f; }
