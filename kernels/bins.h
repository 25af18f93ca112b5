// Primitives by tile, in their order: count per (chunk of primitives, tile), scan outside, fill. A primitive is an
// analytic part or a cluster of triangles.
#pragma once
#include "solid.h"
#include "triangle.h"

struct TileSpan;

struct BinArgs {
  const Surface* surfaces;  // [surface], by the number of their first cluster
  const Solid* solids;
  i64* cursors;             // [chunk, tile] counts; when filling, where the chunk's next entry in the tile's list goes
  TileSpan* spans;          // [primitive]
  i32* list;                // [entry] primitive numbers, tile by tile
  i64 primitives;
  i32 surface_count;        // 0: the primitives are solids
  i32 chunk;                // primitives a work item takes
  i32 tiles;
  Tiling tiling;
};

XSIM_FN i32 surface_of(const Surface* surfaces, i32 count, i64 cluster) {
  i32 low = 0, high = count;
  while (high - low > 1) {
    const i32 middle = (low + high) / 2;
    if (surfaces[middle].first <= cluster) low = middle; else high = middle;
  }
  return low;
}

// Pixels that a sphere may cover. Over a ball of radius r around its centre, with g the gradients,
// |column - column at the centre| <= r |g_u - column g_f| / (f - r |g_f|).
struct Shadow {
  double ff, fu, fv, uu, vv;  // products of the gradients of (fraction, u, v)
};

XSIM_FN Shadow shadow_of(const Homography& h) {
  const Vec3d f = {h.m[0], h.m[1], h.m[2]}, u = {h.m[4], h.m[5], h.m[6]}, v = {h.m[8], h.m[9], h.m[10]};
  return {dot(f, f), dot(f, u), dot(f, v), dot(u, u), dot(v, v)};
}

XSIM_FN i32 to_pixel(double x) { return (i32)smaller(larger(x, -1e9), 1e9); }

XSIM_FN Window shadow_window(const Surface& s, const Shadow& g, const float* sphere) {
  const Vec3d p = project(s.homography, {sphere[0], sphere[1], sphere[2]});
  const double r = sphere[3], nearest = p.x - r * square_root(g.ff);
  if (!(nearest > s.near_fraction)) return s.window;
  const bool by_column = s.homography.divides_column, by_row = s.homography.divides_row;
  const double column = by_column ? p.y / p.x : p.y, row = by_row ? p.z / p.x : p.z;
  const double uu = by_column ? g.uu - 2.0 * column * g.fu + column * column * g.ff : g.uu;
  const double vv = by_row ? g.vv - 2.0 * row * g.fv + row * row * g.ff : g.vv;
  const double wide = r * square_root(larger(uu, 0.0)) / (by_column ? nearest : 1.0) + 0.01;
  const double high = r * square_root(larger(vv, 0.0)) / (by_row ? nearest : 1.0) + 0.01;
  // truncated towards zero: a pixel more at the edge of the image
  return meet(s.window, {to_pixel(column - wide), to_pixel(row - high), to_pixel(column + wide), to_pixel(row + high)});
}

// Tiles that a primitive's window touches, inclusive; none where last_row < first_row.
struct TileSpan { u16 first_row, first_column, last_row, last_column; };

XSIM_FN TileSpan span_of(const BinArgs& args, const Window& window) {
  const Tiling& t = args.tiling;
  const Window w = meet(window, {0, 0, t.columns - 1, t.rows - 1});
  if (empty(w)) return {1, 1, 0, 0};
  return {(u16)(w.row0 / t.tile_rows), (u16)(w.column0 / t.tile_columns), (u16)(w.row1 / t.tile_rows),
          (u16)(w.column1 / t.tile_columns)};
}

XSIM_FN void count_span(const BinArgs& args, i64* cursors, i64 primitive, const Window& w) {
  const TileSpan span = span_of(args, w);
  args.spans[primitive] = span;
  for (i32 row = span.first_row; row <= span.last_row; ++row)
    for (i32 column = span.first_column; column <= span.last_column; ++column)
      cursors[row * args.tiling.tile_grid_columns + column] += 1;
}

// Work item: a chunk of primitives. Counts what goes into each tile, and keeps each primitive's span.
XSIM_KERNEL(count_bins, BinArgs) {
  i64 k = item * args.chunk;
  const i64 end = smaller(k + args.chunk, args.primitives);
  i64* cursors = args.cursors + item * args.tiles;
  if (args.surface_count == 0) {
    for (; k < end; ++k) count_span(args, cursors, k, args.solids[k].window);
    return;
  }
  for (i32 n = surface_of(args.surfaces, args.surface_count, k); k < end; ++n) {
    const Surface& s = args.surfaces[n];
    const i64 stop = n + 1 < args.surface_count ? smaller(end, args.surfaces[n + 1].first) : end;
    const Shadow shadow = shadow_of(s.homography);
    for (; k < stop; ++k) {
      const i64 cluster = k - s.first;
      count_span(args, cursors, k, s.spheres ? shadow_window(s, shadow, s.spheres + 4 * cluster) : s.windows[cluster]);
    }
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
