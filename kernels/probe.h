// The parts by themselves: random words and the functions of math.h, for the fixed pattern of a camera and for tests.
#pragma once
#include "math.h"
#include "philox.h"

struct RandomWordsArgs {
  const u32* counters;  // [item, 4]
  u32* words;           // [item, 4]
  u64 seed;
};

XSIM_KERNEL(random_words, RandomWordsArgs) {
  const u32* c = args.counters + 4 * item;
  const Words words = philox4x32({{c[0], c[1], c[2], c[3]}}, (u32)args.seed, (u32)(args.seed >> 32));
  for (int k = 0; k < 4; ++k) args.words[4 * item + k] = words.w[k];
}

struct EvaluateArgs {
  const float* x;  // [item]
  float* y;        // [item]
  i32 function;    // 0 exponential, 1 logarithm, 2 normal quantile
};

XSIM_KERNEL(evaluate, EvaluateArgs) {
  const float x = args.x[item];
  args.y[item] = args.function == 0 ? exponential(x) : args.function == 1 ? logarithm(x) : normal_quantile(x);
}
