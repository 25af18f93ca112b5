// Where rays cross surfaces: count, then fill, then resolve by priority. No fixed number of crossings a ray.
//
// The test of a primitive against a pixel is one piece of code. The loop around it fits the machine: a CPU thread
// draws the primitives of its tile one after the other; a GPU thread tests its pixel against its tile's
// list. Both meet each pixel's crossings in the order of the list: solids, then triangles.
#pragma once
#include "solid.h"
#include "triangle.h"

struct CrossingArgs {
  const Triangle* triangles;
  const Solid* solids;
  const i64* triangle_starts;  // [tile + 1] into triangle_list
  const i32* triangle_list;
  const i64* solid_starts;     // [tile + 1] into solid_list
  const i32* solid_list;
  i32* counts;                 // [pixel of the block] crossings met so far
  const i64* starts;           // [pixel of the block] first slot of the pixel; used when filling
  float* depths;               // [slot] fraction beyond the reference plane
  i32* codes;                  // [slot] 2 * body rank + (1 where the ray enters)
  double reference_fraction;
  i32 columns;                 // of the image
  i32 row_begin, row_end;      // rows of the block
  i32 tile_rows, tile_columns, tile_grid_columns;
};

template <bool FILL>
XSIM_FN void add_crossing(const CrossingArgs& args, i64 pixel, float depth, i32 code) {
  if (FILL) {
    const i64 slot = args.starts[pixel] + args.counts[pixel];
    args.depths[slot] = depth;
    args.codes[slot] = code;
  }
  args.counts[pixel] += 1;
}

template <bool FILL>
XSIM_FN void meet_solid(const CrossingArgs& args, const Solid& s, i32 column, i32 row, i64 pixel) {
  const Interval f = intersect(s, column, row);
  if (!(f.leave > f.enter)) return;
  add_crossing<FILL>(args, pixel, (float)(f.enter - args.reference_fraction), 2 * s.body + 1);
  add_crossing<FILL>(args, pixel, (float)(f.leave - args.reference_fraction), 2 * s.body);
}

template <bool FILL>
XSIM_FN void meet_triangle(const CrossingArgs& args, const Triangle& t, i32 column, i32 row, i64 pixel) {
  add_crossing<FILL>(args, pixel, FILL ? depth_at(t, column, row) : 0.0f, t.code & ~EDGE_ON);
}

struct Window { i32 column0, row0, column1, row1; };  // inclusive

template <class Primitive> XSIM_FN Window meet(const Primitive& p, const Window& w) {
  return {larger(p.column0, w.column0), larger(p.row0, w.row0), smaller(p.column1, w.column1), smaller(p.row1, w.row1)};
}

XSIM_FN Window tile_window(const CrossingArgs& args, i64 tile) {
  const i32 row0 = (i32)(tile / args.tile_grid_columns) * args.tile_rows;
  const i32 column0 = (i32)(tile % args.tile_grid_columns) * args.tile_columns;
  return {column0, larger(row0, args.row_begin), smaller(column0 + args.tile_columns, args.columns) - 1,
          smaller(row0 + args.tile_rows, args.row_end) - 1};
}

XSIM_FN i64 pixel_at(const CrossingArgs& args, i32 column, i32 row) {
  return (i64)(row - args.row_begin) * args.columns + column;
}

template <bool FILL> XSIM_FN void draw_solid(const CrossingArgs& args, const Solid& s, const Window& tile) {
  const Window w = meet(s, tile);
  for (i32 row = w.row0; row <= w.row1; ++row)
    for (i32 column = w.column0; column <= w.column1; ++column)
      meet_solid<FILL>(args, s, column, row, pixel_at(args, column, row));
}

template <bool FILL> XSIM_FN void draw_triangle(const CrossingArgs& args, const Triangle& t, const Window& tile) {
  const Window w = meet(t, tile);
  if (w.column1 < w.column0 || w.row1 < w.row0) return;
  Edges e = edges_at(t, w.column0, w.row0);
  for (i32 row = w.row0; row <= w.row1; ++row) {
    i64 e0 = e.value[0], e1 = e.value[1], e2 = e.value[2];
    bool met = false;
    for (i32 column = w.column0; column <= w.column1; ++column) {
      if ((e0 | e1 | e2) >= 0) {
        meet_triangle<FILL>(args, t, column, row, pixel_at(args, column, row));
        met = true;
      } else if (met) {
        break;  // convex: past the right edge
      }
      e0 += e.column_step[0];
      e1 += e.column_step[1];
      e2 += e.column_step[2];
    }
    for (int k = 0; k < 3; ++k) e.value[k] += e.row_step[k];
  }
}

// Work item: a tile (XSIM_PIXEL_MAJOR 0) or a pixel of the block (1).
template <bool FILL> XSIM_FN void find_crossings(const CrossingArgs& args, i64 item) {
  i64 tile = item;
  i32 column = 0, row = 0;
  if (XSIM_PIXEL_MAJOR) {
    row = args.row_begin + (i32)(item / args.columns);
    column = (i32)(item % args.columns);
    tile = (i64)(row / args.tile_rows) * args.tile_grid_columns + column / args.tile_columns;
  }
  const Window w = XSIM_PIXEL_MAJOR ? Window{column, row, column, row} : tile_window(args, tile);
  for (i64 k = args.solid_starts[tile]; k < args.solid_starts[tile + 1]; ++k)
    draw_solid<FILL>(args, args.solids[args.solid_list[k]], w);
  for (i64 k = args.triangle_starts[tile]; k < args.triangle_starts[tile + 1]; ++k)
    draw_triangle<FILL>(args, args.triangles[args.triangle_list[k]], w);
}

XSIM_KERNEL(count_crossings, CrossingArgs) { find_crossings<false>(args, item); }
XSIM_KERNEL(fill_crossings, CrossingArgs) { find_crossings<true>(args, item); }
