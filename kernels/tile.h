// What a thread works on: a tile of the image on a CPU, one pixel on a GPU, and the scratch numbers of its pixels.
#pragma once
#include "window.h"

// Scratch of a tile. Every array has `stride` numbers a row of it; pixel p of the tile is at [base + p].
struct Scratch {
  float* way;      // [pixel] length of the whole ray, mm
  float* sums;     // [pixel] signed depths of the body being drawn; zero between bodies
  float* lengths;  // [material, pixel] mm
  float* depths;   // [slot, pixel] fraction beyond the reference plane
  i32* balances;   // [pixel] entered less left; zero between bodies
  i32* counts;     // [pixel] crossings met; zero between tiles
  i32* highest;    // [pixel] 1 + rank of the highest body met, 0 where none
  i32* codes;      // [slot, pixel] 2 * body rank + (1 where the ray enters)
  i64 stride;
};

struct Tile {
  Window window;   // of the image
  i32 pitch;       // scratch pixels from one row to the next
  i64 base;
  XSIM_METHOD i64 pixel(i32 column, i32 row) const { return base + (i64)(row - window.row0) * pitch + (column - window.column0); }
};

const i32 FLOAT_ROWS = 2, INTEGER_ROWS = 3;  // beside lengths, depths and codes

// Two blocks of numbers, cut into rows: floats [2 + materials + slots, stride], integers [3 + slots, stride].
XSIM_FN Scratch scratch_of(float* floats, i32* integers, i64 stride, i32 materials) {
  return {floats, floats + stride, floats + FLOAT_ROWS * stride, floats + (FLOAT_ROWS + materials) * stride,
          integers, integers + stride, integers + 2 * stride, integers + INTEGER_ROWS * stride, stride};
}
