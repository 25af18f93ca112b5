// Poisson draws, exact up to a mean of 2^30; beyond it, where a skewness of 3e-5 is left, the normal law.
// Below 10: inversion in 32-bit fixed point. From 10: PTRS, transformed rejection (Hoermann, The transformed
// rejection method for generating Poisson random variables, Insurance: Mathematics and Economics 12 (1993) 39),
// with the probability in Loader's saddle-point form (Fast and accurate computation of binomial probabilities, 2000):
// a float log-gamma errs by 0.15 in the acceptance at a mean of 1e5, this form by 2e-6.
#pragma once
#include "math.h"
#include "philox.h"

#define XSIM_COUNTABLE 1073741824.0f  // 2^30: greater means do not fit an i32 with what is drawn around them

// ln k! - ln(sqrt(2 pi k) (k/e)^k), the remainder of Stirling's formula.
XSIM_FN float stirling_remainder(float k) {
  const float table[16] = {0.0f,           0.0810614668f, 0.0413406960f, 0.0276779257f, 0.0207906721f, 0.0166446912f,
                           0.0138761288f,  0.0118967100f, 0.0104112653f, 0.0092554622f, 0.0083305634f, 0.0075736755f,
                           0.0069428401f,  0.0064089942f, 0.0059513701f, 0.0055547336f};
  if (k < 16.0f) return table[(i32)k];
  const float inverse = 1.0f / k, inverse2 = inverse * inverse;
  return (0.0833333333f - (0.0027777778f - 0.00079365079f * inverse2) * inverse2) * inverse;
}

// k ln(k / mean) + mean - k with excess = k - mean given exactly: no cancellation near the mean.
XSIM_FN float deviance(float k, float mean, float excess) {
  const float total = k + mean;
  if (excess > 0.1f * total || excess < -0.1f * total) return k * logarithm(k / mean) - excess;
  const float v = excess / total, v2 = v * v;
  float sum = excess * v, term = 2.0f * k * v;
  for (int j = 1; j < 8; ++j) {  // |v| <= 0.1: the eighth term is below 1e-15 of the first
    term *= v2;
    sum += term / (float)(2 * j + 1);
  }
  return sum;
}

XSIM_FN float log_probability(float k, float mean, float excess) {
  if (k <= 0.0f) return -mean;
  return -stirling_remainder(k) - deviance(k, mean, excess) - 0.5f * logarithm(6.28318531f * k);
}

// Both take the words of a first draw; `draws` makes the further ones.
XSIM_FN float poisson_by_inversion(float mean, Words words, Draws& draws) {
  const float none = exponential(-mean);
  for (int attempt = 0; attempt < 16; ++attempt, words = draw(draws)) {
    u32 left = words.w[0];
    float p = none;
    for (i32 k = 0; k < 64; ++k) {
      const u32 step = p >= 1.0f ? 0xFFFFFFFFu : (u32)(p * 4294967296.0f);
      if (left < step) return (float)k;
      left -= step;
      p *= mean / (float)(k + 1);
    }
  }  // rounding leaves some 1e-7 of the words beyond the last step: these are drawn again
  return (float)floor_to_int(mean);  // never met
}

// What the rejection draws with, at one mean.
struct Rejection {
  float a, b, squeeze;
};

XSIM_FN Rejection rejection_of(float mean) {
  const float b = 0.931f + 2.53f * square_root(mean);
  return {-0.059f + 0.02483f * b, b, 0.9277f - 3.6224f / (b - 2.0f)};
}

// Distance of a candidate from the mean's fraction; us is 1/2 - |u|, u in (-1/2, 1/2).
XSIM_FN float candidate_shift(const Rejection& r, float mean, float fraction, float u, float us) {
  return larger(fraction + 0.43f + (2.0f * r.a / us + r.b) * u, -mean - 2.0f);
}

XSIM_FN float poisson_by_rejection(float mean, Words words, Draws& draws) {
  const Rejection r = rejection_of(mean);
  const float inverse_alpha = 1.1239f + 1.1328f / (r.b - 3.4f);
  const i32 whole = floor_to_int(mean);
  const float fraction = mean - (float)whole;
  for (int attempt = 0; attempt < 256; ++attempt, words = draw(draws)) {
    for (int pair = 0; pair < 4; pair += 2) {
      const float u = uniform(words.w[pair]) - 0.5f;
      const float v = uniform(words.w[pair + 1]);
      const float us = 0.5f - larger(u, -u);
      if (us < 0.013f && v > us) continue;  // first: a small us can take the offset beyond 32 bits
      const float shift = candidate_shift(r, mean, fraction, u, us);
      if (shift > 1e9f) continue;
      const i32 offset = floor_to_int(shift);
      const float k = (float)(whole + offset);
      if (us >= 0.07f && v <= r.squeeze) return k;
      if (k < 0.0f) continue;
      const float accept = logarithm(v * inverse_alpha / (r.a / (us * us) + r.b));
      if (accept <= log_probability(k, mean, (float)offset - fraction)) return k;
    }
  }
  return (float)whole;  // never met: each attempt accepts with probability above 0.7, twice
}

// The first candidate of poisson_by_rejection where the squeeze takes it, else -1. Without branches, so that
// neighbouring pixels share vectors.
XSIM_FN float poisson_at_once(float mean, u32 first, u32 second) {
  const float countable = smaller(XSIM_COUNTABLE, mean);
  const Rejection r = rejection_of(larger(countable, 10.0f));
  const i32 whole = floor_to_int(countable);
  const float u = uniform(first) - 0.5f, us = 0.5f - larger(u, -u);
  const float held = larger(us, 0.07f);  // a candidate with less is not taken
  const float shift = candidate_shift(r, countable, countable - (float)whole, u, held);
  const float k = (float)(whole + floor_to_int(shift));
  const u32 counted = (u32)((mean >= 10.0f) & (mean < XSIM_COUNTABLE));
  const u32 taken = 0u - ((u32)((us >= 0.07f) & (uniform(second) <= r.squeeze)) & counted);
  return float_of((bits_of(k) & taken) | (bits_of(-1.0f) & ~taken));
}

// From 1e15 on the noise is below the last bit of a float.
XSIM_FN float beyond_counting(float mean, Words words) {
  return mean < 1e15f ? mean + square_root(mean) * normal_quantile(uniform(words.w[0])) : mean;
}

XSIM_FN float poisson_from(float mean, Words words, Draws& draws) {
  if (mean >= XSIM_COUNTABLE) return beyond_counting(mean, words);
  return mean < 10.0f ? poisson_by_inversion(mean, words, draws) : poisson_by_rejection(mean, words, draws);
}

// Number of quanta, a float that holds an integer.
XSIM_FN float poisson(float mean, Draws& draws) {
  if (!(mean > 0.0f)) return 0.0f;
  const Words words = draw(draws);
  return poisson_from(mean, words, draws);
}
