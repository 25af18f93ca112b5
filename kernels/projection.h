// A scene's image in one pass over its tiles: what every ray crosses, whom each stretch of it belongs to, and what is
// left of the beam behind it. Path lengths live in a tile's scratch; an image of them is written where it is asked for.
#pragma once
#include "apart.h"
#include "attenuation.h"

struct ProjectSceneArgs {
  float* floats;             // scratch of the worker, see tile.h
  i32* integers;
  const i32* active;         // [item] tile numbers; null: all tiles in order
  Drawing apart, together;   // bodies that overlap nothing, and those that may
  Resolved resolved;
  Beam beam;                 // energies 0: no signal
  const u16* labels_of_rank; // [1 + rank]
  float* lengths;            // [material, pixel] mm, or null
  u16* labels;               // [pixel] or null
  float* signal;             // [class, pixel] M1, keV: one class without escape, sum N eta E
  float* variance;           // [class, pixel] M2, keV^2, or null: sum N eta E^2
  i32* deepest;              // [tile] greatest number of crossings of a ray where there were too few slots, else 0
  Directions<float> view;
  i64 stride, pixels;
  i32 slots;
  Tiling tiling;
};

// Gives stretches of one ray to the bodies that win them.
struct GiveStretch {
  const ProjectSceneArgs& args;
  const Scratch& scratch;
  i64 pixel;
  i32 column, row;
  XSIM_METHOD void operator()(i32 rank, float from, float to) const {
    const i32 material = args.resolved.materials[rank];
    scratch.highest[pixel] = larger(scratch.highest[pixel], rank + 1);
    if (material >= 0) {
      scratch.lengths[material * scratch.stride + pixel] += (to - from) * scratch.way[pixel];
      return;
    }
    const Volume& volume = args.together.volumes[-1 - material];
    const double f = volume.reference_fraction;
    walk_volume(volume, column, row, f + (double)from, f + (double)to, LengthSink{scratch, pixel, rank});
  }
};

XSIM_FN void clear_tile(const ProjectSceneArgs& args, const Tile& tile, const Scratch& scratch) {
  const i32 count = tile.window.column1 - tile.window.column0 + 1;
  for (i32 row = tile.window.row0; row <= tile.window.row1; ++row) {
    const i64 first = tile.pixel(tile.window.column0, row);
    XSIM_INDEPENDENT
    for (i32 k = 0; k < count; ++k) {
      scratch.way[first + k] = norm(direction(args.view, (float)(tile.window.column0 + k), (float)row));
      scratch.highest[first + k] = 0;
    }
    for (i32 m = 0; m < args.beam.materials; ++m)
      for (i32 k = 0; k < count; ++k) scratch.lengths[m * scratch.stride + first + k] = 0.0f;
  }
}

// False where a ray had more crossings than slots: the tile is to be done again with more.
XSIM_FN bool resolve_tile(const ProjectSceneArgs& args, i64 number, const Tile& tile, const Scratch& scratch) {
  list_crossings(args.together, number, tile, scratch, args.slots);
  i32 deepest = 0;
  const Window& w = tile.window;
  for (i32 row = w.row0; row <= w.row1; ++row)
    for (i32 column = w.column0; column <= w.column1; ++column)
      deepest = larger(deepest, scratch.counts[tile.pixel(column, row)]);
  const bool fits = deepest <= args.slots;
  if (!fits) args.deepest[number] = deepest;
  for (i32 row = w.row0; row <= w.row1 && deepest > 0; ++row)
    for (i32 column = w.column0; column <= w.column1; ++column) {
      const i64 pixel = tile.pixel(column, row);
      const i32 count = scratch.counts[pixel];
      scratch.counts[pixel] = 0;
      if (count == 0 || !fits) continue;
      const Crossings crossings = {scratch.depths + pixel, scratch.codes + pixel, scratch.stride, count};
      resolve_ray(args.resolved, crossings, row * args.resolved.image_columns + column, scratch.way[pixel],
                  GiveStretch{args, scratch, pixel, column, row});
    }
  return fits;
}

// Writes XSIM_LANES pixels of a row or fewer.
XSIM_FN void write_signal(const ProjectSceneArgs& args, const Scratch& scratch, i64 first, i64 image_pixel, i32 count) {
  float signal[XSIM_LANES], variance[XSIM_LANES];
  integrate_spectrum(args.beam, scratch.lengths + first, scratch.stride, count, args.variance != nullptr, signal, variance);
  const float* way = scratch.way + first;
  for (i32 k = 0; k < count; ++k) {
    // inverse square of the distance, times the cosine at which the plane is met
    const float ratio = args.beam.axis_distance_mm / way[k];
    const float share = ratio * ratio * ratio;
    args.signal[image_pixel + k] = signal[k] * share;
    if (args.variance) args.variance[image_pixel + k] = variance[k] * share;
  }
}

// The same of a screen with depth classes.
XSIM_FN void write_classes(const ProjectSceneArgs& args, const Scratch& scratch, i64 first, i64 image_pixel, i32 count) {
  float signal[XSIM_CLASSES * XSIM_LANES], variance[XSIM_CLASSES * XSIM_LANES];
  integrate_classes(args.beam, scratch.lengths + first, scratch.stride, count, signal, variance);
  const float* way = scratch.way + first;
  for (i32 k = 0; k < count; ++k) {
    const float ratio = args.beam.axis_distance_mm / way[k];
    const float share = ratio * ratio * ratio;
    for (i32 c = 0; c < args.beam.classes; ++c) {
      const i64 at = c * args.pixels + image_pixel + k;
      args.signal[at] = signal[c * XSIM_LANES + k] * share;
      if (args.variance) args.variance[at] = variance[c * XSIM_LANES + k] * share;
    }
  }
}

XSIM_FN void write_tile(const ProjectSceneArgs& args, const Tile& tile, const Scratch& scratch) {
  const Window& w = tile.window;
  for (i32 row = w.row0; row <= w.row1; ++row)
    for (i32 column = w.column0; column <= w.column1; column += XSIM_LANES) {
      const i64 first = tile.pixel(column, row), image_pixel = row * args.resolved.image_columns + column;
      const i32 count = smaller(w.column1 - column + 1, XSIM_LANES);
      if (args.beam.energies > 0 && args.beam.classes > 1) write_classes(args, scratch, first, image_pixel, count);
      else if (args.beam.energies > 0) write_signal(args, scratch, first, image_pixel, count);
      for (i32 k = 0; k < count && args.labels; ++k)
        args.labels[image_pixel + k] = args.labels_of_rank[scratch.highest[first + k]];
      for (i32 m = 0; m < args.beam.materials && args.lengths; ++m)
        for (i32 k = 0; k < count; ++k)
          args.lengths[m * args.pixels + image_pixel + k] = scratch.lengths[m * scratch.stride + first + k];
    }
}

// Work item: as place_of says.
XSIM_KERNEL(project_scene, ProjectSceneArgs) {
  const Place place = place_of(args.tiling, args.active, item);
  if (empty(place.window)) return;
  const i32 pitch = XSIM_PIXEL_MAJOR ? 1 : args.tiling.tile_columns + XSIM_SPAN;
  const Tile tile = {place.window, pitch, XSIM_PIXEL_MAJOR ? item % args.stride : 0};
  const Scratch scratch = scratch_of(args.floats, args.integers, args.stride, args.beam.materials);
  clear_tile(args, tile, scratch);
  if (!resolve_tile(args, place.tile, tile, scratch)) return;
  sum_lengths(args.apart, args.resolved, place.tile, tile, scratch);
  write_tile(args, tile, scratch);
}
