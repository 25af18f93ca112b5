// Where rays cross the surfaces of bodies. The test of a primitive against a pixel is one piece of code; the loop around
// it fits the machine: a CPU thread draws the primitives of its tile one after the other, a GPU thread tests its
// pixel against its tile's list. Both meet each pixel's crossings in the order of the list: solids, volumes, then triangles.
#pragma once
#include "bins.h"
#include "cluster.h"
#include "tile.h"
#include "voxels.h"

// Bodies to draw, and which of their primitives each tile may meet.
struct Drawing {
  const Surface* surfaces;
  const Solid* solids;
  const i64* cluster_starts;   // [tile + 1] into cluster_list
  const i32* cluster_list;
  const i64* solid_starts;     // [tile + 1] into solid_list
  const i32* solid_list;
  const Volume* volumes;
  i32 surface_count, volume_count;
};

// Keeps the crossings of every pixel, as far as there are slots; counts them all.
struct ListSink {
  const Tile& tile;
  const Scratch& scratch;
  i32 slots, body;
  XSIM_METHOD i64 pixel(i32 column, i32 row) const { return tile.pixel(column, row); }
  XSIM_METHOD void cross(i64 pixel, float depth, i32 step) const {
    const i32 slot = scratch.counts[pixel]++;
    if (slot >= slots) return;
    scratch.depths[slot * scratch.stride + pixel] = depth;
    scratch.codes[slot * scratch.stride + pixel] = 2 * body + (step > 0);
  }
  template <i32 SPAN> XSIM_METHOD void span(i64 pixel, const i32* inside, const float* depth, i32 count, i32 step) const {
    if (SPAN > 1 && take_whole<SPAN>(pixel, inside, depth, step)) return;
    for (i32 k = 0; k < count; ++k)
      if (inside[k]) cross(pixel + k, depth[k], step);
  }
  // Neighbours that all cross, and all for the same time, are kept together; false where they are not.
  template <i32 SPAN> XSIM_METHOD bool take_whole(i64 pixel, const i32* inside, const float* depth, i32 step) const {
    i32* counts = scratch.counts + pixel;
    const i32 slot = counts[0];
    i32 differs = 0;
    for (i32 k = 0; k < SPAN; ++k) differs |= (counts[k] ^ slot) | (inside[k] ^ 1);
    if (differs || slot >= slots) return false;
    float* depths = scratch.depths + slot * scratch.stride + pixel;
    i32* codes = scratch.codes + slot * scratch.stride + pixel;
    for (i32 k = 0; k < SPAN; ++k) {
      depths[k] = depth[k];
      codes[k] = 2 * body + (step > 0);
      counts[k] = slot + 1;
    }
    return true;
  }
};

// Adds signed depths, for bodies that overlap nothing.
struct SumSink {
  const Tile& tile;
  const Scratch& scratch;
  XSIM_METHOD i64 pixel(i32 column, i32 row) const { return tile.pixel(column, row); }
  XSIM_METHOD void cross(i64 pixel, float depth, i32 step) const {
    scratch.sums[pixel] += step > 0 ? -depth : depth;
    scratch.balances[pixel] += step;
  }
  template <i32 SPAN> XSIM_METHOD void span(i64 pixel, const i32* inside, const float* depth, i32, i32 step) const {
    float* sums = scratch.sums + pixel;
    i32* balances = scratch.balances + pixel;
    XSIM_LANE_LOOP
    for (i32 k = 0; k < SPAN; ++k) {  // rows of the scratch are a span longer than the tile's
      const float signed_depth = step > 0 ? -depth[k] : depth[k];
      sums[k] += inside[k] ? signed_depth : 0.0f;
      balances[k] += inside[k] ? step : 0;
    }
  }
};

template <class Sink> XSIM_FN void draw_solid(const Solid& s, const Window& tile, const Sink& sink) {
  const Window w = meet(s.window, tile);
  for (i32 row = w.row0; row <= w.row1; ++row)
    for (i32 column = w.column0; column <= w.column1; ++column) {
      const Interval f = intersect(s, column, row);
      if (!(f.leave > f.enter)) continue;
      const i32 step = s.hole ? -1 : 1;
      const i64 pixel = sink.pixel(column, row);
      sink.cross(pixel, (float)(f.enter - s.reference_fraction), step);
      sink.cross(pixel, (float)(f.leave - s.reference_fraction), -step);
    }
}

// Lists the crossings of bodies that may overlap.
XSIM_FN void list_crossings(const Drawing& drawing, i64 number, const Tile& tile, const Scratch& scratch, i32 slots) {
  for (i64 k = drawing.solid_starts[number]; k < drawing.solid_starts[number + 1]; ++k) {
    const Solid& solid = drawing.solids[drawing.solid_list[k]];
    draw_solid(solid, tile.window, ListSink{tile, scratch, slots, solid.body});
  }
  for (i32 k = 0; k < drawing.volume_count; ++k) {
    const Volume& volume = drawing.volumes[k];
    cross_volume(volume, tile.window, ListSink{tile, scratch, slots, volume.body});
  }
  i32 s = 0;
  for (i64 k = drawing.cluster_starts[number]; k < drawing.cluster_starts[number + 1]; ++k) {
    const i64 cluster = drawing.cluster_list[k];
    while (s + 1 < drawing.surface_count && drawing.surfaces[s + 1].first <= cluster) ++s;
    const Surface& surface = drawing.surfaces[s];
    draw_cluster(surface, cluster - surface.first, tile.window, ListSink{tile, scratch, slots, surface.body});
  }
}
