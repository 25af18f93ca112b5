// Triangles to pixels: which centres a triangle covers, and how deep its face lies there.
//
// The steps of an edge function are multiples of SUBPIXELS, so that its sign at every pixel is that of its value
// shifted right by SUBPIXEL_BITS: but for the largest they fit 32-bit integers, and neighbouring pixels share vectors.
#pragma once
#include "line_scan.h"

// 1024 px: over a tile of 64 x 32 pixels and a span beyond it, edge functions shifted right change by less than 2^29
// then, so that one whose value is cut to 2^30 keeps its sign.
const i32 SMALL_SUBPIXELS = 1 << 22;
const i64 EDGE_LIMIT = (i64)1 << 30;


// SPAN neighbours of a row are tested together. A sink takes them by sink.span<SPAN>, and single ones by sink.cross.
template <class Integer, i32 SPAN, class Sink>
XSIM_FN void fill_face(const Edges& exact, const Plane& plane, const Window& w, i32 step, const Sink& sink) {
  Integer value[3], column_step[3], row_step[3];
  for (int k = 0; k < 3; ++k) {
    const i64 shifted = exact.value[k] >> SUBPIXEL_BITS;
    value[k] = sizeof(Integer) == 8 ? (Integer)shifted : (Integer)larger(smaller(shifted, EDGE_LIMIT), -EDGE_LIMIT);
    column_step[k] = (Integer)(exact.column_step[k] >> SUBPIXEL_BITS);
    row_step[k] = (Integer)(exact.row_step[k] >> SUBPIXEL_BITS);
  }
  for (i32 row = w.row0; row <= w.row1; ++row) {
    const float down = (float)(row - plane.row);
    Integer e0 = value[0], e1 = value[1], e2 = value[2];
    for (i32 column = w.column0; column <= w.column1; column += SPAN) {
      const i32 right = column - plane.column, left = w.column1 - column;
      i32 inside[SPAN];
      float depth[SPAN];
      for (i32 k = 0; k < SPAN; ++k) {
        const Integer a = e0 + k * column_step[0], b = e1 + k * column_step[1], c = e2 + k * column_step[2];
        inside[k] = ((a | b | c) >= 0) & (k <= left);
        depth[k] = depth_of(plane, 1.0f, (float)(right + k), down);
      }
      sink.template span<SPAN>(sink.pixel(column, row), inside, depth, smaller(left + 1, SPAN), step);
      e0 += SPAN * column_step[0];
      e1 += SPAN * column_step[1];
      e2 += SPAN * column_step[2];
    }
    for (int k = 0; k < 3; ++k) value[k] += row_step[k];
  }
}

// By the exact edge functions: they weigh the corners opposite.
template <class Sink>
XSIM_FN void fill_edge_on(Edges e, const Plane& plane, const Window& w, i32 step, const Sink& sink) {
  for (i32 row = w.row0; row <= w.row1; ++row) {
    i64 e0 = e.value[0], e1 = e.value[1], e2 = e.value[2];
    for (i32 column = w.column0; column <= w.column1; ++column) {
      if ((e0 | e1 | e2) >= 0)
        sink.cross(sink.pixel(column, row), depth_of(plane, (float)e1, (float)e2, (float)e0), step);
      e0 += e.column_step[0];
      e1 += e.column_step[1];
      e2 += e.column_step[2];
    }
    for (int k = 0; k < 3; ++k) e.value[k] += e.row_step[k];
  }
}

struct Extent { i32 across, down; };  // fixed point

XSIM_FN Extent extent_of(const Outline& t) {
  const i32 x0 = smaller(t.x[0], smaller(t.x[1], t.x[2])), x1 = larger(t.x[0], larger(t.x[1], t.x[2]));
  const i32 y0 = smaller(t.y[0], smaller(t.y[1], t.y[2])), y1 = larger(t.y[0], larger(t.y[1], t.y[2]));
  return {x1 - x0, y1 - y0};
}

// The plane is that of flat_plane_of, filled in here for a triangle that is not.
template <class Sink>
XSIM_FN void fill_triangle(const Surface& s, i64 cluster, i32 lane, const Outline& t, Plane& plane, const Window& w,
                           const Sink& sink) {
  const i32 step = t.turned == (s.handedness > 0.0) ? 1 : -1;
  const Edges e = edges_at(t, w.column0, w.row0);
  const Extent extent = extent_of(t);
  if (larger(extent.across, extent.down) > s.flat_extent) {
    const float nearest = plane.nearest, farthest = plane.farthest;
    plane = plane_of(s, cluster, lane, t.turned, plane.column, plane.row);
    plane.nearest = nearest;
    plane.farthest = farthest;
  }
  if (plane.edge_on && is_whole(s, cluster, lane)) {
    weigh_corners(s, corners_of(s, cluster, lane, t.turned), plane);
    fill_edge_on(e, plane, w, step, sink);
    return;
  }
  if (extent.across > SMALL_SUBPIXELS || extent.down > SMALL_SUBPIXELS) fill_face<i64, XSIM_SPAN>(e, plane, w, step, sink);
  else fill_face<i32, XSIM_SPAN>(e, plane, w, step, sink);
}

// A GPU thread has one pixel: most triangles of a cluster do not cover it, and their planes are never made.
template <class Sink>
XSIM_FN void draw_one_by_one(const Surface& s, i64 cluster, const Window& tile, const Sink& sink) {
  for (i32 lane = 0; lane < CLUSTER; ++lane) {
    Outline t = outline_of(s, cluster, lane);
    const Window whole = window_of(t), w = meet(whole, tile);
    if (empty(w) || !orient(t)) continue;
    const Edges e = edges_at(t, w.column0, w.row0);
    if (XSIM_PIXEL_MAJOR && (e.value[0] | e.value[1] | e.value[2]) < 0) continue;
    // counted from a pixel of the triangle, not of the tile: the same depth however the image is divided
    Plane plane = flat_plane_of<false>(s, cluster, lane, larger(whole.column0, 0), larger(whole.row0, 0));
    limit_depths(s, cluster, lane, plane.nearest, plane.farthest);
    fill_triangle(s, cluster, lane, t, plane, w, sink);
  }
}
