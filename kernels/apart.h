// Bodies that overlap nothing: the length is the sum of signed depths, no list and no sorting.
#pragma once
#include "crossing.h"
#include "overlap.h"

struct SumLengthsArgs {
  float* sums;                 // [pixel of the image] scratch, zero before and after
  i32* balances;               // [pixel of the image] scratch, zero before and after
  Drawing drawing;
  Resolved resolved;
  Tiling tiling;               // of the whole image
};

struct SumSink {
  const SumLengthsArgs& args;
  XSIM_METHOD void cross(i32 column, i32 row, float depth, i32 step) const {
    const i64 pixel = pixel_of_block(args.tiling, column, row);
    args.sums[pixel] += step > 0 ? -depth : depth;
    args.balances[pixel] += step;
  }
};

// Every ray of a row leaves as often as it enters, and later: no fault to look for.
XSIM_FN bool is_sound(const float* sums, const i32* balances, i32 count) {
  i32 faults = 0;
  for (i32 k = 0; k < count; ++k) faults |= balances[k] | (i32)(sums[k] < 0.0f);
  return faults == 0;
}

XSIM_FN void settle_faulty(const SumLengthsArgs& args, i32 body, i64 pixel, float length, i32 balance) {
  const Resolved& out = args.resolved;
  if (balance != 0) {
    note_fault(out, pixel, FAULT_OPEN, body);
    return;
  }
  if (length < -FAULT_LENGTH_MM) note_fault(out, pixel, FAULT_FLIPPED, body);
  out.lengths[out.materials[body] * out.image_pixels + pixel] += larger(length, -length);
  if (length != 0.0f) out.highest[pixel] = larger(out.highest[pixel], (u16)(body + 1));
}

// One body is drawn over the window: its sums become lengths.
XSIM_FN void settle(const SumLengthsArgs& args, i32 body, const Window& w) {
  const Resolved& out = args.resolved;
  const Directions<float> view = out.view;
  const i32 count = w.column1 - w.column0 + 1;
  for (i32 row = w.row0; row <= w.row1; ++row) {
    const i64 first = pixel_of_block(args.tiling, w.column0, row);
    float* sums = args.sums + first;
    i32* balances = args.balances + first;
    float* lengths = out.lengths + out.materials[body] * out.image_pixels + first;
    u16* highest = out.highest + first;
    if (!is_sound(sums, balances, count)) {
      for (i32 k = 0; k < count; ++k) {
        const float length = sums[k] * norm(direction(view, (float)(w.column0 + k), (float)row));
        settle_faulty(args, body, first + k, length, balances[k]);
        sums[k] = 0.0f;
        balances[k] = 0;
      }
      continue;
    }
    XSIM_INDEPENDENT
    for (i32 k = 0; k < count; ++k) {
      const float length = sums[k] * norm(direction(view, (float)(w.column0 + k), (float)row));
      lengths[k] += length;
      highest[k] = length > 0.0f ? larger(highest[k], (u16)(body + 1)) : highest[k];
      sums[k] = 0.0f;
    }
  }
}

// Work item: as for crossings.
XSIM_KERNEL(sum_lengths, SumLengthsArgs) {
  const Drawing& drawing = args.drawing;
  const Place place = place_of(args.tiling, item);
  const SumSink sink = {args};
  Window drawn = {0, 0, -1, -1};  // around the parts of one body
  for (i64 k = drawing.solid_starts[place.tile]; k < drawing.solid_starts[place.tile + 1]; ++k) {
    const Solid& solid = drawing.solids[drawing.solid_list[k]];
    draw_solid(solid, place.window, sink);
    drawn = around(drawn, solid.window);
    if (k + 1 < drawing.solid_starts[place.tile + 1] && drawing.solids[drawing.solid_list[k + 1]].body == solid.body) continue;
    settle(args, solid.body, meet(drawn, place.window));
    drawn = {0, 0, -1, -1};
  }
  i32 s = -1;
  for (i64 k = drawing.triangle_starts[place.tile]; k < drawing.triangle_starts[place.tile + 1]; ++k) {
    const i64 triangle = drawing.triangle_list[k];
    if (s < 0 || (s + 1 < drawing.surface_count && drawing.surfaces[s + 1].first <= triangle)) {
      if (s >= 0) settle(args, drawing.surfaces[s].body, meet(drawing.surfaces[s].window, place.window));
      s = surface_of(drawing.surfaces, drawing.surface_count, triangle);
    }
    draw_triangle(drawing.surfaces[s], triangle - drawing.surfaces[s].first, place.window, sink);
  }
  if (s >= 0) settle(args, drawing.surfaces[s].body, meet(drawing.surfaces[s].window, place.window));
}
