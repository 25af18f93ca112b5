// Primitives by tile, in their order: count per (chunk of primitives, tile), scan outside, fill.
#pragma once
#include "solid.h"
#include "triangle.h"

struct TileSpan;

struct BinArgs {
  const Surface* surfaces;  // [surface], by the number of their first triangle
  const Solid* solids;
  i64* cursors;             // [chunk, tile] counts; when filling, where the chunk's next entry in the tile's list goes
  TileSpan* spans;          // [primitive]
  i32* list;                // [entry] primitive numbers, tile by tile
  i64 primitives;
  i32 surface_count;        // 0: the primitives are solids
  i32 chunk;                // primitives a work item takes
  i32 tiles;
  i32 rows;
  Tiling tiling;            // of the whole image
};

XSIM_FN i32 surface_of(const Surface* surfaces, i32 count, i64 triangle) {
  i32 low = 0, high = count;
  while (high - low > 1) {
    const i32 middle = (low + high) / 2;
    if (surfaces[middle].first <= triangle) low = middle; else high = middle;
  }
  return low;
}

// Tiles that a primitive's window touches, inclusive; none where last_row < first_row.
struct TileSpan { u16 first_row, first_column, last_row, last_column; };

XSIM_FN TileSpan span_of(const BinArgs& args, const Window& window) {
  const Tiling& t = args.tiling;
  const Window w = meet(window, {0, 0, t.columns - 1, args.rows - 1});
  if (empty(w)) return {1, 1, 0, 0};
  return {(u16)(w.row0 / t.tile_rows), (u16)(w.column0 / t.tile_columns), (u16)(w.row1 / t.tile_rows),
          (u16)(w.column1 / t.tile_columns)};
}

// Work item: a chunk of primitives. Counts what goes into each tile, and keeps each primitive's span.
XSIM_KERNEL(count_bins, BinArgs) {
  const i64 begin = item * args.chunk, end = smaller(begin + args.chunk, args.primitives);
  i64* cursors = args.cursors + item * args.tiles;
  i32 s = args.surface_count > 0 ? surface_of(args.surfaces, args.surface_count, begin) : 0;
  for (i64 k = begin; k < end; ++k) {
    while (s + 1 < args.surface_count && args.surfaces[s + 1].first <= k) ++s;
    const Window w = args.surface_count > 0
                         ? window_of(outline_of(args.surfaces[s], k - args.surfaces[s].first))
                         : args.solids[k].window;
    const TileSpan span = span_of(args, w);
    args.spans[k] = span;
    for (i32 row = span.first_row; row <= span.last_row; ++row)
      for (i32 column = span.first_column; column <= span.last_column; ++column)
        cursors[row * args.tiling.tile_grid_columns + column] += 1;
  }
}

// Work item: a chunk of primitives.
XSIM_KERNEL(fill_bins, BinArgs) {
  const i64 begin = item * args.chunk, end = smaller(begin + args.chunk, args.primitives);
  i64* cursors = args.cursors + item * args.tiles;
  for (i64 k = begin; k < end; ++k) {
    const TileSpan span = args.spans[k];
    for (i32 row = span.first_row; row <= span.last_row; ++row)
      for (i32 column = span.first_column; column <= span.last_column; ++column)
        args.list[cursors[row * args.tiling.tile_grid_columns + column]++] = (i32)k;
  }
}
