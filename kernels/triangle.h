// Closed triangle meshes, watertight by exact signs.
//
// Each vertex is projected once and rounded once to a 20.12 fixed-point screen position; from there on every
// edge function is an exact 64-bit integer, so neighbours agree on which side of their shared edge a pixel
// centre lies. Ties are broken as if the centre were moved by (eps, eps^2): a ray through an edge or a vertex crosses
// a closed mesh in pairs, always. A screen stays within +-2^17 pixels (larger triangles are clipped before),
// so that edge functions stay below 2^62.
#pragma once
#include "vec.h"

const i32 SUBPIXEL_BITS = 12;
const i32 SUBPIXELS = 1 << SUBPIXEL_BITS;
const double GUARD_BAND_PX = 131072.0;

// World point -> (fraction, fraction * column, fraction * row): rows of a 3 x 4 matrix.
struct Homography { double m[12]; };

XSIM_FN Vec3d project(const Homography& h, Vec3d p) {
  const double* m = h.m;
  return {m[0] * p.x + m[1] * p.y + m[2] * p.z + m[3],
          m[4] * p.x + m[5] * p.y + m[6] * p.z + m[7],
          m[8] * p.x + m[9] * p.y + m[10] * p.z + m[11]};
}

XSIM_FN i32 to_fixed(double px) {
  const double scaled = px * SUBPIXELS + 0.5;
  const i32 t = (i32)scaled;
  return t - (i32)((double)t > scaled);
}

struct ProjectVerticesArgs {
  const double* vertices;  // [vertex, 3] mm
  i32* screen;             // [vertex, 2] fixed point: column, row
  u8* outside;             // [vertex] 1: behind the source or beyond the guard band
  Homography homography;
  double near_fraction;
};

XSIM_KERNEL(project_vertices, ProjectVerticesArgs) {
  const double* v = args.vertices + 3 * item;
  const Vec3d h = project(args.homography, {v[0], v[1], v[2]});
  bool outside = !(h.x > args.near_fraction);
  const double column = outside ? 0.0 : h.y / h.x, row = outside ? 0.0 : h.z / h.x;
  outside = outside || !(column < GUARD_BAND_PX && column > -GUARD_BAND_PX && row < GUARD_BAND_PX && row > -GUARD_BAND_PX);
  args.screen[2 * item] = outside ? 0 : to_fixed(column);
  args.screen[2 * item + 1] = outside ? 0 : to_fixed(row);
  args.outside[item] = outside;
}

// A triangle on the screen. Depth along a ray = fraction beyond the reference plane
//   = (n0 + n1 i + n2 j) / (b0 + b1 i + b2 j), i and j counted from (column0, row0), by the plane of its face.
// An edge-on plane gives no depth: there n and b belong to the corners, weighted by the exact edge functions. Neighbours
// then agree along their edge, so that a ray that grazes a closed mesh leaves it after it entered it.
struct Triangle {
  i32 x[3], y[3];                    // fixed point, positive area
  float n[3], b[3];                  // numerator and denominator
  float nearest, farthest;           // depths of the three corners
  i32 column0, row0, column1, row1;  // pixel centres it may cover, inclusive; column1 < column0 if none
  i32 code;                          // 2 * body rank + (1 where a ray enters) + (EDGE_ON)
};

const i32 EDGE_ON = 1 << 30;
// |cos| of incidence below which a face is edge-on. A corner is rounded by 1/8192 px: a plane at this tilt
// and its rounded corners differ by 50 times that.
const double EDGE_ON_COSINE = 0.02;

struct SetupTrianglesArgs {
  const double* vertices;  // [vertex, 3] mm
  const i32* screen;       // [screen vertex, 2]
  const i32* faces;        // [triangle, 3] into screen
  const i32* planes;       // [triangle, 3] into vertices: the face whose plane and winding it has
  const i32* bodies;       // [triangle] body rank
  Triangle* triangles;     // [triangle]
  i32* bounds;             // [triangle, 4] column0, row0, column1, row1
  Homography homography;
  Pinhole<double> view;
  Vec3d source;
  double reference_fraction, near_fraction;
  double handedness;       // sign of the determinant of (origin, column, row)
  i32 rows, columns;
};

XSIM_FN void set_bounds(Triangle& t, i32 rows, i32 columns) {
  const i32 x0 = smaller(t.x[0], smaller(t.x[1], t.x[2])), x1 = larger(t.x[0], larger(t.x[1], t.x[2]));
  const i32 y0 = smaller(t.y[0], smaller(t.y[1], t.y[2])), y1 = larger(t.y[0], larger(t.y[1], t.y[2]));
  t.column0 = larger((x0 + SUBPIXELS - 1) >> SUBPIXEL_BITS, 0);
  t.row0 = larger((y0 + SUBPIXELS - 1) >> SUBPIXEL_BITS, 0);
  t.column1 = smaller(x1 >> SUBPIXEL_BITS, columns - 1);
  t.row1 = smaller(y1 >> SUBPIXEL_BITS, rows - 1);
}

struct Corners { Vec3d p[3]; };

XSIM_FN bool is_edge_on(const Corners& c, Vec3d source) {
  const Vec3d n = cross(c.p[1] - c.p[0], c.p[2] - c.p[0]);
  const double height = dot(n, c.p[0] - source);
  const double reach = larger(norm(c.p[0] - source), larger(norm(c.p[1] - source), norm(c.p[2] - source)));
  const double least = EDGE_ON_COSINE * norm(n) * reach;
  return !(height > least || height < -least);
}

XSIM_FN void set_depth_by_corners(Triangle& t, const double* fraction, double reference) {
  for (int k = 0; k < 3; ++k) {  // 1 / fraction is linear on the screen
    t.n[k] = (float)((fraction[k] - reference) / fraction[k]);
    t.b[k] = (float)(1.0 / fraction[k]);
  }
}

XSIM_FN void set_depth_by_plane(Triangle& t, const SetupTrianglesArgs& args, const Corners& c) {
  Vec3d n = cross(c.p[1] - c.p[0], c.p[2] - c.p[0]);
  const double length = norm(n);
  if (!(length > 0.0)) {  // no area: one depth will do
    t.n[0] = t.nearest;
    t.b[0] = 1.0f;
    t.n[1] = t.n[2] = t.b[1] = t.b[2] = 0.0f;
    return;
  }
  n = (1.0 / length) * n;
  const Pinhole<double>& view = args.view;
  const double b0 = dot(n, direction(view, (double)t.column0, (double)t.row0));
  const double b1 = dot(n, view.column), b2 = dot(n, view.row), f = args.reference_fraction;
  t.b[0] = (float)b0;
  t.b[1] = (float)b1;
  t.b[2] = (float)b2;
  t.n[0] = (float)(dot(n, c.p[0] - args.source) - f * b0);
  t.n[1] = (float)(-f * b1);
  t.n[2] = (float)(-f * b2);
}

// `whole`: the triangle is its face, not a piece that clipping left of it.
XSIM_FN void set_depth(Triangle& t, const SetupTrianglesArgs& args, const Corners& c, bool whole) {
  double fraction[3];
  for (int k = 0; k < 3; ++k) fraction[k] = larger(project(args.homography, c.p[k]).x, args.near_fraction);
  t.nearest = (float)(smaller(fraction[0], smaller(fraction[1], fraction[2])) - args.reference_fraction);
  t.farthest = (float)(larger(fraction[0], larger(fraction[1], fraction[2])) - args.reference_fraction);
  if (whole && is_edge_on(c, args.source)) {
    t.code |= EDGE_ON;
    set_depth_by_corners(t, fraction, args.reference_fraction);
  } else {
    set_depth_by_plane(t, args, c);
  }
}

XSIM_FN Vec3d vertex(const double* vertices, i32 k) {
  return {vertices[3 * (i64)k], vertices[3 * (i64)k + 1], vertices[3 * (i64)k + 2]};
}

XSIM_KERNEL(setup_triangles, SetupTrianglesArgs) {
  Triangle t;
  Corners corners;
  bool whole = true;
  for (int k = 0; k < 3; ++k) {
    const i32 v = args.faces[3 * item + k], p = args.planes[3 * item + k];
    t.x[k] = args.screen[2 * (i64)v];
    t.y[k] = args.screen[2 * (i64)v + 1];
    corners.p[k] = vertex(args.vertices, p);
    whole = whole && v == p;
  }
  const i64 area = (i64)(t.x[1] - t.x[0]) * (t.y[2] - t.y[0]) - (i64)(t.y[1] - t.y[0]) * (t.x[2] - t.x[0]);
  const bool facing_away = (area > 0) == (args.handedness > 0.0);
  t.code = 2 * args.bodies[item] + (facing_away ? 0 : 1);
  if (area < 0) {
    exchange(t.x[1], t.x[2]);
    exchange(t.y[1], t.y[2]);
    exchange(corners.p[1], corners.p[2]);
  }
  set_bounds(t, args.rows, args.columns);
  if (area == 0) t.column1 = t.column0 - 1;
  set_depth(t, args, corners, whole);
  args.triangles[item] = t;
  i32* bounds = args.bounds + 4 * item;
  bounds[0] = t.column0;
  bounds[1] = t.row0;
  bounds[2] = t.column1;
  bounds[3] = t.row1;
}

// The three edge functions at a pixel centre, and their steps. A point belongs to the triangle where all three
// are >= 0; an edge that does not own its points is lowered by one.
struct Edges { i64 value[3], column_step[3], row_step[3]; };

XSIM_FN Edges edges_at(const Triangle& t, i32 column, i32 row) {
  Edges e;
  for (int k = 0; k < 3; ++k) {
    const int n = k == 2 ? 0 : k + 1;
    const i64 dx = t.x[n] - t.x[k], dy = t.y[n] - t.y[k];
    const bool owns = dy < 0 || (dy == 0 && dx < 0);
    e.value[k] = dx * ((i64)row * SUBPIXELS - t.y[k]) - dy * ((i64)column * SUBPIXELS - t.x[k]) - (owns ? 0 : 1);
    e.column_step[k] = -dy * SUBPIXELS;
    e.row_step[k] = dx * SUBPIXELS;
  }
  return e;
}

XSIM_FN float depth_by_corners(const Triangle& t, i32 column, i32 row) {
  const Edges e = edges_at(t, column, row);
  float numerator = 0.0f, denominator = 0.0f;
  for (int k = 0; k < 3; ++k) {
    const int opposite = k == 0 ? 2 : k - 1;
    numerator += (float)e.value[k] * t.n[opposite];
    denominator += (float)e.value[k] * t.b[opposite];
  }
  return numerator / denominator;
}

XSIM_FN float depth_by_plane(const Triangle& t, i32 column, i32 row) {
  const float i = (float)(column - t.column0), j = (float)(row - t.row0);
  return (t.n[0] + t.n[1] * i + t.n[2] * j) / (t.b[0] + t.b[1] * i + t.b[2] * j);
}

XSIM_FN float depth_at(const Triangle& t, i32 column, i32 row) {
  const float depth = t.code & EDGE_ON ? depth_by_corners(t, column, row) : depth_by_plane(t, column, row);
  return depth > t.nearest ? smaller(depth, t.farthest) : t.nearest;  // NaN -> nearest
}
