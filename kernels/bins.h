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

// Not a number becomes the least.
XSIM_FN i32 to_pixel(double x) { return (i32)smaller(1e9, larger(-1e9, x)); }

const i32 SHADOWS = 32;  // spheres that are worked on together

struct Windows { i32 column0[SHADOWS], row0[SHADOWS], column1[SHADOWS], row1[SHADOWS]; };

// Truncated towards zero: a pixel more at the edge of the image.
template <bool BY_COLUMN, bool BY_ROW>
XSIM_FN void cast_shadows(const Surface& s, const Shadow& g, const float* spheres, i32 count, Windows& windows) {
  const double step = square_root(g.ff), near_fraction = s.near_fraction;
  const Homography h = s.homography;
  const Window all = s.window;
  XSIM_LANE_LOOP
  for (i32 k = 0; k < count; ++k) {
    const Vec3d p = project(h, {spheres[4 * k], spheres[4 * k + 1], spheres[4 * k + 2]});
    const double r = spheres[4 * k + 3], nearest = p.x - r * step;
    const double column = BY_COLUMN ? p.y / p.x : p.y, row = BY_ROW ? p.z / p.x : p.z;
    const double uu = BY_COLUMN ? g.uu - 2.0 * column * g.fu + column * column * g.ff : g.uu;
    const double vv = BY_ROW ? g.vv - 2.0 * row * g.fv + row * row * g.ff : g.vv;
    const double wide = r * square_root(larger(uu, 0.0)) / (BY_COLUMN ? nearest : 1.0) + 0.01;
    const double high = r * square_root(larger(vv, 0.0)) / (BY_ROW ? nearest : 1.0) + 0.01;
    const bool in_front = nearest > near_fraction;
    const i32 left = to_pixel(column - wide), right = to_pixel(column + wide);
    const i32 top = to_pixel(row - high), bottom = to_pixel(row + high);
    windows.column0[k] = in_front ? larger(all.column0, left) : all.column0;
    windows.row0[k] = in_front ? larger(all.row0, top) : all.row0;
    windows.column1[k] = in_front ? smaller(all.column1, right) : all.column1;
    windows.row1[k] = in_front ? smaller(all.row1, bottom) : all.row1;
  }
}

XSIM_FN void shadow_windows(const Surface& s, const Shadow& g, const float* spheres, i32 count, Windows& windows) {
  if (!s.homography.divides_column) cast_shadows<false, false>(s, g, spheres, count, windows);
  else if (!s.homography.divides_row) cast_shadows<true, false>(s, g, spheres, count, windows);
  else cast_shadows<true, true>(s, g, spheres, count, windows);
}

// Tiles that a primitive's window touches, inclusive; none where last_row < first_row.
struct TileSpan { u16 first_row, first_column, last_row, last_column; };

// A whole number below 2^24 by another: no rounding of the quotient reaches the next whole number.
XSIM_FN u16 whole_quotient(i32 a, i32 b) { return (u16)(i32)((float)a / (float)b); }

XSIM_FN TileSpan span_of(const Tiling& t, const Window& window) {
  const i32 column0 = larger(window.column0, 0), column1 = smaller(window.column1, t.columns - 1);
  const i32 row0 = larger(window.row0, 0), row1 = smaller(window.row1, t.rows - 1);
  if (column1 < column0 || row1 < row0) return {1, 1, 0, 0};
  return {whole_quotient(row0, t.tile_rows), whole_quotient(column0, t.tile_columns),
          whole_quotient(row1, t.tile_rows), whole_quotient(column1, t.tile_columns)};
}

XSIM_FN void count_span(const BinArgs& args, i64* cursors, i64 primitive, const Window& w) {
  const TileSpan span = span_of(args.tiling, w);
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
    for (; k < stop; k += SHADOWS) {
      const i32 count = (i32)smaller(stop - k, (i64)SHADOWS);
      const i64 cluster = k - s.first;
      Windows cast;
      if (s.spheres) shadow_windows(s, shadow, s.spheres + 4 * cluster, count, cast);
      for (i32 m = 0; m < count; ++m)
        count_span(args, cursors, k + m,
                   s.spheres ? Window{cast.column0[m], cast.row0[m], cast.column1[m], cast.row1[m]} : s.windows[cluster + m]);
    }
    k = stop;
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
