// exp, log and the normal quantile of our own. A machine's libm differs from processor to processor and from
// host to device; these are + - * / and bit moves only, so that the same input gives the same bits everywhere.
// Polynomials: Chebyshev fits made for this project (relative error of each fit below 2e-9).
#pragma once
#include "platform.h"

// Nearest integer, ties to even, for |x| < 2^22.
XSIM_FN float nearest(float x) { return (x + 12582912.0f) - 12582912.0f; }

// Largest integer not above x, for |x| < 2^31.
XSIM_FN i32 floor_to_int(float x) {
  const i32 t = (i32)x;
  return t - (i32)((float)t > x);
}

// e^x for x <= 88; 0 below -87 (results there would be subnormal). Relative error below 1.2e-7.
XSIM_FN float exponential(float x) {
  const float clamped = larger(x, -87.0f);
  const float n = nearest(clamped * 1.44269504f);
  const float r = (clamped - n * 0.693145752f) - n * 1.42860677e-6f;  // ln 2 in two pieces
  float p = 1.989108046e-4f;
  p = p * r + 1.393373072e-3f;
  p = p * r + 8.333310845e-3f;
  p = p * r + 4.16664642e-2f;
  p = p * r + 1.666666668e-1f;
  p = p * r + 5.000000014e-1f;
  const float e = (p * r) * r + r + 1.0f;
  const float scaled = e * float_of((u32)((i32)n + 127) << 23);
  return x < -87.0f ? 0.0f : scaled;
}

// 2^-x for x >= 0; from 125 on 2^-125, which is nothing beside anything. Relative error below 1.6e-7 beside that of x.
// Polynomial: a Chebyshev fit made for this project to (2^f - 1) / f on |f| <= 1/2, relative error below 6e-9.
XSIM_FN float power_of_half(float x) {
  // as integers, numbers that are not negative have the same order: one instruction where floats need three
  const float bounded = float_of(smaller(bits_of(x), bits_of(125.0f)));
  const float shifted = 12582912.0f - bounded;  // the integer nearest to -x in its last bits
  const float f = (12582912.0f - shifted) - bounded;
  float p = 0.0001545316295f;
  p = p * f + 0.001339086336f;
  p = p * f + 0.009618082557f;
  p = p * f + 0.05550357114f;
  p = p * f + 0.2402265076f;
  p = p * f + 0.693147188f;
  const float e = p * f + 1.0f;
  return float_of(bits_of(e) + (bits_of(shifted) << 23));
}

// ln x for normal x > 0. Error below 1.5e-7 relative to max(|ln x|, 1).
XSIM_FN float logarithm(float x) {
  const u32 b = bits_of(x) - 0x3F3504F3u;  // sqrt(1/2)
  const float e = (float)((i32)b >> 23);
  const float r = float_of((b & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f;
  float p = -6.201255071e-2f;
  p = p * r + 1.05341916e-1f;
  p = p * r - 1.064799829e-1f;
  p = p * r + 1.103744815e-1f;
  p = p * r - 1.245050031e-1f;
  p = p * r + 1.428653064e-1f;
  p = p * r - 1.666801085e-1f;
  p = p * r + 2.000001011e-1f;
  p = p * r - 2.499999019e-1f;
  p = p * r + 3.333333328e-1f;
  const float r2 = r * r;
  const float small = p * r * r2 + e * -2.12194440e-4f - 0.5f * r2;
  return e * 0.693359375f + (r + small);
}

// Quantile of the standard normal: PPND7 of Wichura, Algorithm AS 241, Applied Statistics 37 (1988) 477.
// About 7 figures. p in (0, 1).
// Without branches, so that neighbouring pixels share vectors: centre and tail are both worked out.
XSIM_FN float normal_quantile(float p) {
  const float q = p - 0.5f;
  const float c = 0.180625f - q * q;
  const float centre = q * (((59.10937472f * c + 159.29113202f) * c + 50.434271938f) * c + 3.3871327179f) /
                       (((67.187563600f * c + 78.757757664f) * c + 17.895169469f) * c + 1.0f);
  const float distance = square_root(-logarithm(q < 0.0f ? p : 1.0f - p));
  const bool far = distance > 5.0f;
  const float r = distance - (far ? 5.0f : 1.6f);
  const float n3 = far ? 0.017337203997f : 0.17023821103f, n2 = far ? 0.42868294337f : 1.3067284816f;
  const float n1 = far ? 3.081226386f : 2.75681539f, n0 = far ? 6.657905115f : 1.4234372777f;
  const float d2 = far ? 0.012258202635f : 0.12021132975f, d1 = far ? 0.24197894225f : 0.73700164250f;
  const float tail = (((n3 * r + n2) * r + n1) * r + n0) / ((d2 * r + d1) * r + 1.0f);
  return q <= 0.425f && q >= -0.425f ? centre : q < 0.0f ? -tail : tail;
}
