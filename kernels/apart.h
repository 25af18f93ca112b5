// Bodies that overlap nothing: the length is the sum of signed depths, no list and no sorting.
#pragma once
#include "crossing.h"
#include "overlap.h"

// Every ray of a row leaves as often as it enters, and later: no fault to look for.
XSIM_FN bool is_sound(const float* sums, const i32* balances, i32 count) {
  i32 faults = 0;
  for (i32 k = 0; k < count; ++k) faults |= balances[k] | (i32)(sums[k] < 0.0f);
  return faults == 0;
}

// Length of a ray that may be faulty.
XSIM_FN float faulty_length(const Resolved& args, i32 body, i64 image_pixel, float length, i32 balance) {
  if (balance != 0) {
    note_fault(args, image_pixel, FAULT_OPEN, body);
    return 0.0f;
  }
  if (length < -args.fault_length_mm) note_fault(args, image_pixel, FAULT_FLIPPED, body);
  return larger(length, -length);
}

// One body is drawn over the window: its sums become lengths.
XSIM_FN void settle(const Resolved& args, const Tile& tile, const Scratch& scratch, i32 body, const Window& drawn) {
  const Window w = meet(drawn, tile.window);
  const i32 count = w.column1 - w.column0 + 1;
  for (i32 row = w.row0; row <= w.row1; ++row) {
    const i64 first = tile.pixel(w.column0, row);
    float* sums = scratch.sums + first;
    i32* balances = scratch.balances + first;
    const float* way = scratch.way + first;
    float* lengths = scratch.lengths + args.materials[body] * scratch.stride + first;
    i32* highest = scratch.highest + first;
    if (!is_sound(sums, balances, count)) {
      for (i32 k = 0; k < count; ++k) {
        const i64 image_pixel = row * args.image_columns + w.column0 + k;
        sums[k] = faulty_length(args, body, image_pixel, sums[k] * way[k], balances[k]) / way[k];
        balances[k] = 0;
      }
    }
    XSIM_INDEPENDENT
    for (i32 k = 0; k < count; ++k) {
      const float length = sums[k] * way[k];
      lengths[k] += length;
      highest[k] = length > 0.0f ? larger(highest[k], body + 1) : highest[k];
      sums[k] = 0.0f;
    }
  }
}

// What rays meet of a volume.
struct LengthSink {
  const Scratch& scratch;
  i64 pixel;
  i32 rank;
  XSIM_METHOD void give(i32 lane, i32 material, float share) const {
    scratch.lengths[material * scratch.stride + pixel + lane] += share * scratch.way[pixel + lane];
    scratch.highest[pixel + lane] = larger(scratch.highest[pixel + lane], rank + 1);
  }
  XSIM_METHOD void give(i32 material, float share) const { give(0, material, share); }
};

XSIM_FN void sum_volume(const Volume& volume, const Tile& tile, const Scratch& scratch) {
  const Window w = meet(volume.window, tile.window);
  const i32 wide = XSIM_PIXEL_MAJOR ? 1 : BUNDLE;
  for (i32 column = w.column0; column <= w.column1; column += wide)
    for (i32 row = w.row0; row <= w.row1; ++row)
      walk_rays(volume, column, row, smaller(wide, w.column1 - column + 1),
                LengthSink{scratch, tile.pixel(column, row), volume.body});
}

XSIM_FN void sum_lengths(const Drawing& drawing, const Resolved& args, i64 number, const Tile& tile, const Scratch& scratch) {
  const SumSink sink = {tile, scratch};
  Window drawn = {0, 0, -1, -1};  // around the parts of one body
  for (i64 k = drawing.solid_starts[number]; k < drawing.solid_starts[number + 1]; ++k) {
    const Solid& solid = drawing.solids[drawing.solid_list[k]];
    draw_solid(solid, tile.window, sink);
    drawn = around(drawn, solid.window);
    if (k + 1 < drawing.solid_starts[number + 1] && drawing.solids[drawing.solid_list[k + 1]].body == solid.body) continue;
    settle(args, tile, scratch, solid.body, drawn);
    drawn = {0, 0, -1, -1};
  }
  for (i32 k = 0; k < drawing.volume_count; ++k) sum_volume(drawing.volumes[k], tile, scratch);
  i32 s = -1;
  for (i64 k = drawing.cluster_starts[number]; k < drawing.cluster_starts[number + 1]; ++k) {
    const i64 cluster = drawing.cluster_list[k];
    if (s < 0 || (s + 1 < drawing.surface_count && drawing.surfaces[s + 1].first <= cluster)) {
      if (s >= 0) settle(args, tile, scratch, drawing.surfaces[s].body, drawing.surfaces[s].window);
      s = surface_of(drawing.surfaces, drawing.surface_count, cluster);
    }
    if (k + 2 < drawing.cluster_starts[number + 1])
      prefetch_cluster(drawing.surfaces[s], drawing.cluster_list[k + 2] - drawing.surfaces[s].first);
    draw_cluster(drawing.surfaces[s], cluster - drawing.surfaces[s].first, tile.window, sink);
  }
  if (s >= 0) settle(args, tile, scratch, drawing.surfaces[s].body, drawing.surfaces[s].window);
}
