// Triangles seen by a line camera. Row j is the plane fan of rays through the source's j-th position: a point's row is
// linear in space, its column is not, and the edges of a triangle are curves in the image. Row by row they are cut
// instead, in double: an edge's cut depends on its two ends alone, taken in one order, so that neighbours get the same
// column, and a ray crosses a closed mesh in pairs, always.
#pragma once
#include "triangle.h"

struct Cut { double column, fraction; };

// Where the edge from p to q, (fraction, u, row) each, meets a row that lies between them.
XSIM_FN Cut cut_edge(Vec3d p, Vec3d q, double row) {
  if (q.z < p.z) exchange(p, q);  // never equal: the row lies between them
  const double share = (row - p.z) / (q.z - p.z);
  const double fraction = p.x + share * (q.x - p.x);
  return {(p.y + share * (q.y - p.y)) / fraction, fraction};
}

XSIM_FN double ceiling(double x, double least, double most) {
  const double clamped = larger(smaller(x, most), least);
  const double t = (double)(i64)clamped;
  return t + (double)(t < clamped);
}

template <class Sink>
XSIM_FN void fill_scanned_row(const Surface& s, Cut left, Cut right, i32 row, i32 step, const Window& w, const Sink& sink) {
  const double f = s.reference_fraction;
  const i32 begin = (i32)ceiling(left.column, w.column0, w.column1 + 1.0);
  const i32 end = (i32)ceiling(right.column, w.column0, w.column1 + 1.0);
  // 1 / fraction is linear along the cut
  const double b0 = 1.0 / left.fraction, b1 = 1.0 / right.fraction;
  const double n0 = (left.fraction - f) * b0, n1 = (right.fraction - f) * b1;
  for (i32 column = begin; column < end; ++column) {
    const double share = ((double)column - left.column) / (right.column - left.column);
    const double depth = (n0 + share * (n1 - n0)) / (b0 + share * (b1 - b0));
    sink.cross(sink.pixel(column, row), (float)depth, step);
  }
}

template <class Sink>
XSIM_FN void draw_scanned_face(const Surface& s, const Vec3d* p, const Window& tile, const Sink& sink) {
  const double low = smaller(p[0].z, smaller(p[1].z, p[2].z)), high = larger(p[0].z, larger(p[1].z, p[2].z));
  const i32 row0 = (i32)ceiling(low, tile.row0, tile.row1 + 1.0), row1 = (i32)ceiling(high, tile.row0, tile.row1 + 1.0);
  for (i32 row = row0; row < row1; ++row) {
    Cut cuts[2];
    i32 found = 0;
    bool first_falls = false;
    for (int k = 0; k < 3; ++k) {
      const Vec3d a = p[k], b = p[k == 2 ? 0 : k + 1];
      if ((a.z <= row) == (b.z <= row)) continue;
      if (found == 0) first_falls = a.z <= row;
      if (found < 2) cuts[found++] = cut_edge(a, b, row);
    }
    if (found < 2) continue;
    const bool swapped = cuts[1].column < cuts[0].column;
    const bool left_falls = swapped ? !first_falls : first_falls;  // the left edge goes to higher rows: area < 0
    const i32 step = left_falls == (s.handedness > 0.0) ? 1 : -1;
    fill_scanned_row(s, cuts[swapped ? 1 : 0], cuts[swapped ? 0 : 1], row, step, tile, sink);
  }
}

template <class Sink> XSIM_FN void draw_scanned(const Surface& s, i64 cluster, const Window& tile, const Sink& sink) {
  for (i32 lane = 0; lane < CLUSTER; ++lane) {
    const i32* planes = s.planes + 3 * CLUSTER * cluster + lane;
    if (planes[0] == planes[CLUSTER]) continue;  // fills up the last cluster
    const Corners c = corners_of(s, cluster, lane, false);
    const Vec3d p[3] = {project(s.homography, c.p[0]), project(s.homography, c.p[1]), project(s.homography, c.p[2])};
    draw_scanned_face(s, p, tile, sink);
  }
}
