// The triangles of a cluster over a tile: a CPU thread sets them up together and draws the small ones one vector of
// pixels a row.
#pragma once
#include "raster.h"

const i32 STRIP_COLUMNS = 8, STRIP_ROWS = 8;  // a triangle no larger than this is drawn in strips
const i32 SPECK = 3;                          // one no larger than this in either direction is tested pixel by pixel

// Of every triangle of a cluster, one array a field, so that a compiler fills vectors.
struct ClusterSetup {
  i32 x[3][CLUSTER], y[3][CLUSTER], turned[CLUSTER], drawn[CLUSTER];
  i32 column0[CLUSTER], row0[CLUSTER], column1[CLUSTER], row1[CLUSTER];  // pixels of the tile
  i32 column[CLUSTER], row[CLUSTER];                                     // first pixel of the triangle
  i32 small[CLUSTER], speck[CLUSTER], edge_on[CLUSTER];
  float n[3][CLUSTER], b[3][CLUSTER], nearest[CLUSTER], farthest[CLUSTER];
  i32 value[3][CLUSTER], column_step[3][CLUSTER], row_step[3][CLUSTER];  // edge functions shifted right, of small ones
};

// True where a triangle of the cluster may cover a pixel of the tile.
XSIM_FN bool set_up_outlines(ClusterSetup& u, const Surface& s, i64 cluster, const Window& tile) {
  const i32 flat_extent = s.flat_extent;
  i32 any = 0;
  XSIM_LANE_LOOP
  for (i32 k = 0; k < CLUSTER; ++k) {
    Outline t = outline_of(s, cluster, k);
    const Window whole = window_of(t), w = meet(whole, tile);
    const bool has_area = orient(t);
    for (int n = 0; n < 3; ++n) {
      u.x[n][k] = t.x[n];
      u.y[n][k] = t.y[n];
    }
    u.turned[k] = t.turned;
    u.column0[k] = w.column0;
    u.row0[k] = w.row0;
    u.column1[k] = w.column1;
    u.row1[k] = w.row1;
    u.column[k] = larger(whole.column0, 0);
    u.row[k] = larger(whole.row0, 0);
    const Extent extent = extent_of(t);
    u.small[k] = (i32)(whole.column1 - whole.column0 < STRIP_COLUMNS) & (i32)(whole.row1 - whole.row0 < STRIP_ROWS) &
                 (i32)(larger(extent.across, extent.down) <= flat_extent);
    u.speck[k] = u.small[k] & (i32)(whole.column1 - whole.column0 < SPECK) & (i32)(whole.row1 - whole.row0 < SPECK);
    u.drawn[k] = (i32)has_area & (i32)(w.column1 >= w.column0) & (i32)(w.row1 >= w.row0);
    any |= u.drawn[k];
  }
  return any != 0;
}

template <bool STILL> XSIM_FN void set_up_planes(ClusterSetup& u, const Surface& s, i64 cluster) {
  XSIM_LANE_LOOP
  for (i32 k = 0; k < CLUSTER; ++k) {
    const Plane p = flat_plane_of<STILL>(s, cluster, k, u.column[k], u.row[k]);
    for (int n = 0; n < 3; ++n) {
      u.n[n][k] = p.n[n];
      u.b[n][k] = p.b[n];
    }
    u.edge_on[k] = p.edge_on;
  }
  XSIM_LANE_LOOP
  for (i32 k = 0; k < CLUSTER; ++k) limit_depths(s, cluster, k, u.nearest[k], u.farthest[k]);
}

// As edges_at, at the first pixel in the tile.
XSIM_FN void set_up_edges(ClusterSetup& u) {
  const i64 bias = (i64)1 << 50;  // a logical shift does for an arithmetic one
  for (int k = 0; k < 3; ++k) {
    const int next = k == 2 ? 0 : k + 1;
    XSIM_LANE_LOOP
    for (i32 m = 0; m < CLUSTER; ++m) {
      const i32 dx = u.x[next][m] - u.x[k][m], dy = u.y[next][m] - u.y[k][m];
      const i32 down = u.row0[m] * SUBPIXELS - u.y[k][m], right = u.column0[m] * SUBPIXELS - u.x[k][m];
      const i32 owns = (i32)(dy < 0) | ((i32)(dy == 0) & (i32)(dx < 0));
      const i64 value = (i64)dx * down - (i64)dy * right + (owns - 1);
      u.value[k][m] = (i32)((i64)((u64)(value + bias) >> SUBPIXEL_BITS) - (bias >> SUBPIXEL_BITS));
      u.column_step[k][m] = -dy;
      u.row_step[k][m] = dx;
    }
  }
}

// A small triangle, a strip of pixels a row. What does not change from row to row is worked out once.
template <class Sink> XSIM_FN void draw_small(const ClusterSetup& u, i32 m, float handedness, const Sink& sink) {
  const i32 left = u.column1[m] - u.column0[m], right = u.column0[m] - u.column[m];
  const float n2 = u.n[2][m], b2 = u.b[2][m], nearest = u.nearest[m], farthest = u.farthest[m];
  i32 e0[STRIP_COLUMNS], e1[STRIP_COLUMNS], e2[STRIP_COLUMNS];
  float n[STRIP_COLUMNS], b[STRIP_COLUMNS];
  XSIM_LANE_LOOP
  for (i32 k = 0; k < STRIP_COLUMNS; ++k) {
    e0[k] = u.value[0][m] + k * u.column_step[0][m];
    e1[k] = u.value[1][m] + k * u.column_step[1][m];
    e2[k] = u.value[2][m] + k * u.column_step[2][m];
    n[k] = u.n[0][m] + u.n[1][m] * (float)(right + k);
    b[k] = u.b[0][m] + u.b[1][m] * (float)(right + k);
  }
  const i32 step = (u.turned[m] != 0) == (handedness > 0.0f) ? 1 : -1;
  const i32 s0 = u.row_step[0][m], s1 = u.row_step[1][m], s2 = u.row_step[2][m];
  for (i32 row = u.row0[m]; row <= u.row1[m]; ++row) {
    const float down = (float)(row - u.row[m]);
    i32 inside[STRIP_COLUMNS];
    float depth[STRIP_COLUMNS];
    XSIM_LANE_LOOP
    for (i32 k = 0; k < STRIP_COLUMNS; ++k) {
      inside[k] = ((e0[k] | e1[k] | e2[k]) >= 0) & (k <= left);
      e0[k] += s0;
      e1[k] += s1;
      e2[k] += s2;
      depth[k] = bounded_depth((n[k] + n2 * down) / (b[k] + b2 * down), nearest, farthest);
    }
    sink.template span<STRIP_COLUMNS>(sink.pixel(u.column0[m], row), inside, depth, smaller(left + 1, STRIP_COLUMNS), step);
  }
}

// Bit dx + 4 * dy of a triangle: it covers that pixel of its window. The pixels' depths, [pixel, triangle].
XSIM_FN void test_specks(const ClusterSetup& u, i32* hits, float depths[][CLUSTER]) {
  i32 across = 0, down = 0;  // not less than the widest and the tallest, less one
  for (i32 k = 0; k < CLUSTER; ++k) {
    across |= -u.drawn[k] & (u.column1[k] - u.column0[k]);
    down |= -u.drawn[k] & (u.row1[k] - u.row0[k]);
    hits[k] = 0;
  }
  for (i32 dy = 0; dy <= smaller(down, SPECK - 1); ++dy)
    for (i32 dx = 0; dx <= smaller(across, SPECK - 1); ++dx) {
      float* depth = depths[dx + 4 * dy];
      XSIM_LANE_LOOP
      for (i32 k = 0; k < CLUSTER; ++k) {
        const i32 a = u.value[0][k] + dx * u.column_step[0][k] + dy * u.row_step[0][k];
        const i32 b = u.value[1][k] + dx * u.column_step[1][k] + dy * u.row_step[1][k];
        const i32 c = u.value[2][k] + dx * u.column_step[2][k] + dy * u.row_step[2][k];
        const i32 inside = (i32)((a | b | c) >= 0) & (i32)(u.column0[k] + dx <= u.column1[k]) &
                           (i32)(u.row0[k] + dy <= u.row1[k]) & u.drawn[k];
        hits[k] |= inside << (dx + 4 * dy);
        const Plane plane = {{u.n[0][k], u.n[1][k], u.n[2][k]}, {u.b[0][k], u.b[1][k], u.b[2][k]},
                             u.nearest[k], u.farthest[k], u.column[k], u.row[k], false};
        depth[k] = depth_of(plane, 1.0f, (float)(u.column0[k] + dx - u.column[k]), (float)(u.row0[k] + dy - u.row[k]));
      }
    }
}

// A cluster of triangles of a few pixels each.
template <class Sink> XSIM_FN void draw_specks(const ClusterSetup& u, float handedness, const Sink& sink) {
  i32 hits[CLUSTER], steps[CLUSTER];
  i64 pixels[CLUSTER];
  float depths[4 * SPECK][CLUSTER];
  test_specks(u, hits, depths);
  XSIM_LANE_LOOP
  for (i32 k = 0; k < CLUSTER; ++k) {
    pixels[k] = sink.pixel(u.column0[k], u.row0[k]);
    steps[k] = (u.turned[k] != 0) == (handedness > 0.0f) ? 1 : -1;
  }
  const i64 below = sink.pixel(0, 1) - sink.pixel(0, 0);
  for (i32 first = 0; first < CLUSTER; first += 4) {
    u64 bits = (u64)hits[first] | (u64)hits[first + 1] << 16 | (u64)hits[first + 2] << 32 | (u64)hits[first + 3] << 48;
    for (; bits; bits &= bits - 1) {
      const i32 bit = first_bit(bits), m = first + bit / 16, n = bit % 16;
      sink.cross(pixels[m] + n % 4 + (n / 4) * below, depths[n][m], steps[m]);
    }
  }
}

XSIM_FN bool are_specks(const ClusterSetup& u) {
  i32 others = 0;
  for (i32 k = 0; k < CLUSTER; ++k) others |= u.drawn[k] & (1 - (u.speck[k] & (1 - u.edge_on[k])));
  return others == 0;
}

template <class Sink> XSIM_FN void draw_together(const Surface& s, i64 cluster, const Window& tile, const Sink& sink) {
  ClusterSetup u;
  if (!set_up_outlines(u, s, cluster, tile)) return;
  if (is_still(s.rays)) set_up_planes<true>(u, s, cluster);
  else set_up_planes<false>(u, s, cluster);
  set_up_edges(u);
  const float handedness = (float)s.handedness;
  if (are_specks(u)) {
    draw_specks(u, handedness, sink);
    return;
  }
  for (i32 k = 0; k < CLUSTER; ++k) {
    if (!u.drawn[k]) continue;
    if (u.small[k] & (1 - u.edge_on[k])) {
      draw_small(u, k, handedness, sink);
      continue;
    }
    const Outline t = {{u.x[0][k], u.x[1][k], u.x[2][k]}, {u.y[0][k], u.y[1][k], u.y[2][k]}, u.turned[k] != 0};
    Plane plane = {{u.n[0][k], u.n[1][k], u.n[2][k]}, {u.b[0][k], u.b[1][k], u.b[2][k]},
                   u.nearest[k], u.farthest[k], u.column[k], u.row[k], u.edge_on[k] != 0};
    fill_triangle(s, cluster, k, t, plane, {u.column0[k], u.row0[k], u.column1[k], u.row1[k]}, sink);
  }
}

// Asks for a cluster that is drawn soon: which comes next a processor cannot guess.
XSIM_FN void prefetch_cluster(const Surface& s, i64 cluster) {
  const i32 line = 64;
  const char* faces = (const char*)(s.faces + 3 * CLUSTER * cluster);
  const char* normals = (const char*)(s.normals + 3 * CLUSTER * cluster);
  const char* offsets = (const char*)(s.offsets + CLUSTER * cluster);
  for (i32 k = 0; k < 3; ++k) {
    prefetch(faces + k * line);
    prefetch(normals + k * line);
  }
  for (i32 k = 0; k < 2; ++k) prefetch(offsets + k * line);
}

template <class Sink> XSIM_FN void draw_cluster(const Surface& s, i64 cluster, const Window& tile, const Sink& sink) {
  if (s.is_line_scan) draw_scanned(s, cluster, tile, sink);
  else if (XSIM_PIXEL_MAJOR) draw_one_by_one(s, cluster, tile, sink);
  else draw_together(s, cluster, tile, sink);
}
