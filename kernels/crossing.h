// Where rays cross surfaces: count, then fill a list, then resolve by priority (overlap.h). No fixed number of
// crossings a ray. A body that overlaps nothing needs no list: its length is the sum of signed depths.
//
// The test of a primitive against a pixel is one piece of code. The loop around it fits the machine: a CPU thread
// draws the primitives of its tile one after the other; a GPU thread tests its pixel against its tile's
// list. Both meet each pixel's crossings in the order of the list: solids, volumes, then triangles.
#pragma once
#include "bins.h"
#include "voxels.h"

// Bodies to draw, and which of their primitives each tile may meet.
struct Drawing {
  const Surface* surfaces;
  const Solid* solids;
  const i64* triangle_starts;  // [tile + 1] into triangle_list
  const i32* triangle_list;
  const i64* solid_starts;     // [tile + 1] into solid_list
  const i32* solid_list;
  const Volume* volumes;
  i32 surface_count, volume_count;
};

struct CrossingArgs {
  i32* counts;                 // [pixel of the block] crossings met so far
  const i64* starts;           // [pixel of the block] first slot of the pixel; used when filling
  float* depths;               // [slot] fraction beyond the reference plane
  i32* codes;                  // [slot] 2 * body rank + (1 where the ray enters)
  Drawing drawing;
  Tiling tiling;
};

template <bool FILL> struct ListSink {
  const CrossingArgs& args;
  i32 body;
  XSIM_METHOD void cross(i32 column, i32 row, float depth, i32 step) const {
    const i64 pixel = pixel_of_block(args.tiling, column, row);
    if (FILL) {
      const i64 slot = args.starts[pixel] + args.counts[pixel];
      args.depths[slot] = depth;
      args.codes[slot] = 2 * body + (step > 0);
    }
    args.counts[pixel] += 1;
  }
};

template <class Sink> XSIM_FN void draw_solid(const Solid& s, const Window& tile, const Sink& sink) {
  const Window w = meet(s.window, tile);
  for (i32 row = w.row0; row <= w.row1; ++row)
    for (i32 column = w.column0; column <= w.column1; ++column) {
      const Interval f = intersect(s, column, row);
      if (!(f.leave > f.enter)) continue;
      const i32 step = s.hole ? -1 : 1;
      sink.cross(column, row, (float)(f.enter - s.reference_fraction), step);
      sink.cross(column, row, (float)(f.leave - s.reference_fraction), -step);
    }
}

template <bool FILL> XSIM_FN void find_crossings(const CrossingArgs& args, i64 item) {
  const Drawing& drawing = args.drawing;
  const Place place = place_of(args.tiling, item);
  for (i64 k = drawing.solid_starts[place.tile]; k < drawing.solid_starts[place.tile + 1]; ++k) {
    const Solid& solid = drawing.solids[drawing.solid_list[k]];
    draw_solid(solid, place.window, ListSink<FILL>{args, solid.body});
  }
  for (i32 k = 0; k < drawing.volume_count; ++k) {
    const Volume& volume = drawing.volumes[k];
    cross_volume(volume, place.window, ListSink<FILL>{args, volume.body});
  }
  i32 s = 0;
  for (i64 k = drawing.triangle_starts[place.tile]; k < drawing.triangle_starts[place.tile + 1]; ++k) {
    const i64 triangle = drawing.triangle_list[k];
    while (s + 1 < drawing.surface_count && drawing.surfaces[s + 1].first <= triangle) ++s;
    const Surface& surface = drawing.surfaces[s];
    draw_triangle(surface, triangle - surface.first, place.window, ListSink<FILL>{args, surface.body});
  }
}

XSIM_KERNEL(count_crossings, CrossingArgs) { find_crossings<false>(args, item); }
XSIM_KERNEL(fill_crossings, CrossingArgs) { find_crossings<true>(args, item); }
