// Closed triangle meshes, watertight by exact signs.
//
// Each vertex is projected once and rounded once to a 20.12 fixed-point screen position; from there on every
// edge function is an exact 64-bit integer, so neighbours agree on which side of their shared edge a pixel
// centre lies. Ties are broken as if the centre were moved by (eps, eps^2): a ray through an edge or a vertex crosses
// a closed mesh in pairs, always. A screen stays within +-2^17 pixels (larger triangles are clipped before),
// so that edge functions stay below 2^62.
#pragma once
#include "window.h"

const i32 SUBPIXEL_BITS = 12;
const i32 SUBPIXELS = 1 << SUBPIXEL_BITS;
const double GUARD_BAND_PX = 131072.0;

// World point -> (fraction, u, v): rows of a 3 x 4 matrix. The column is u / fraction, or u in a parallel beam; the row
// is v / fraction, or v in a parallel beam and along a line scan.
struct Homography {
  double m[12];
  i32 divides_column, divides_row;
};

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

// Work item: a vertex.
XSIM_KERNEL(project_vertices, ProjectVerticesArgs) {
  const double* v = args.vertices + 3 * item;
  const Vec3d h = project(args.homography, {v[0], v[1], v[2]});
  bool outside = !(h.x > args.near_fraction);
  const double column = outside ? 0.0 : args.homography.divides_column ? h.y / h.x : h.y;
  const double row = outside ? 0.0 : args.homography.divides_row ? h.z / h.x : h.z;
  outside = outside || !(column < GUARD_BAND_PX && column > -GUARD_BAND_PX && row < GUARD_BAND_PX && row > -GUARD_BAND_PX);
  args.screen[2 * item] = outside ? 0 : to_fixed(column);
  args.screen[2 * item + 1] = outside ? 0 : to_fixed(row);
  args.outside[item] = outside;
}

// The triangles of one body, and how it is seen. Everything is in the body's own frame: many bodies may share
// one mesh, and nothing is copied for a pose.
struct Surface {
  const double* vertices;     // [vertex, 3] mm
  const i32* screen;          // [screen vertex, 2] fixed point: column, row
  const i32* faces;           // [triangle, 3] into screen
  const i32* planes;          // [triangle, 3] into vertices: the face whose plane and winding it has
  Homography homography;
  Rays<double> rays;
  double reference_fraction, near_fraction;
  double handedness;          // sign of the determinant of the homography
  i64 first;                  // number of its first triangle among those of all bodies
  Window window;              // pixels the body may cover
  i32 body;                   // rank
};

// The corners of a triangle on the screen, turned to a positive area.
struct Outline {
  i32 x[3], y[3];  // fixed point
  bool turned;     // the area was negative
};

XSIM_FN Outline outline_of(const Surface& s, i64 triangle) {
  Outline t;
  for (int k = 0; k < 3; ++k) {
    const i64 v = s.faces[3 * triangle + k];
    t.x[k] = s.screen[2 * v];
    t.y[k] = s.screen[2 * v + 1];
  }
  return t;
}

// Makes the area positive; false where there is none.
XSIM_FN bool orient(Outline& t) {
  const i64 area = (i64)(t.x[1] - t.x[0]) * (t.y[2] - t.y[0]) - (i64)(t.y[1] - t.y[0]) * (t.x[2] - t.x[0]);
  t.turned = area < 0;
  if (t.turned) {
    exchange(t.x[1], t.x[2]);
    exchange(t.y[1], t.y[2]);
  }
  return area != 0;
}

// Pixel centres that a triangle may cover.
XSIM_FN Window window_of(const Outline& t) {
  const i32 x0 = smaller(t.x[0], smaller(t.x[1], t.x[2])), x1 = larger(t.x[0], larger(t.x[1], t.x[2]));
  const i32 y0 = smaller(t.y[0], smaller(t.y[1], t.y[2])), y1 = larger(t.y[0], larger(t.y[1], t.y[2]));
  return {(x0 + SUBPIXELS - 1) >> SUBPIXEL_BITS, (y0 + SUBPIXELS - 1) >> SUBPIXEL_BITS, x1 >> SUBPIXEL_BITS,
          y1 >> SUBPIXEL_BITS};
}

// Depth along a ray = fraction beyond the reference plane, a ratio of two forms linear on the screen.
//   by the plane of the face:  (n0 + n1 i + n2 j) / (b0 + b1 i + b2 j), i and j counted from (column, row)
//   edge-on, by its corners:   (n0 e0 + n1 e1 + n2 e2) / (b0 e0 + b1 e1 + b2 e2), e the exact edge functions
// An edge-on plane gives no depth. By the corners, neighbours agree along their edge, so that a ray that grazes a
// closed mesh leaves it after it entered it.
struct Plane {
  float n[3], b[3];
  float nearest, farthest;  // depths of the three corners: no depth leaves them
  i32 column, row;
  bool edge_on;
};

// |cos| of incidence below which a face is edge-on. A corner is rounded by 1/8192 px: a plane at this tilt
// and its rounded corners differ by 50 times that.
const double EDGE_ON_COSINE = 0.02;

struct Corners { Vec3d p[3]; };

XSIM_FN Corners corners_of(const Surface& s, i64 triangle, bool turned) {
  Corners c;
  for (int k = 0; k < 3; ++k) {
    const i64 v = s.planes[3 * triangle + k];
    c.p[k] = {s.vertices[3 * v], s.vertices[3 * v + 1], s.vertices[3 * v + 2]};
  }
  if (turned) exchange(c.p[1], c.p[2]);
  return c;
}

// In a parallel beam by the direction of the rays; else |height of the source over the face| against the reach to its
// corners.
XSIM_FN bool is_edge_on(const Surface& s, const Corners& c, Vec3d n) {
  if (!s.homography.divides_column) {
    const double towards = dot(n, s.rays.way.origin);
    return !(towards * towards > EDGE_ON_COSINE * EDGE_ON_COSINE * dot(n, n) * dot(s.rays.way.origin, s.rays.way.origin));
  }
  const Vec3d a = c.p[0] - s.rays.source, b = c.p[1] - s.rays.source, d = c.p[2] - s.rays.source;
  const double height = dot(n, a);
  const double reach2 = larger(dot(a, a), larger(dot(b, b), dot(d, d)));
  return !(height * height > EDGE_ON_COSINE * EDGE_ON_COSINE * dot(n, n) * reach2);
}

// A triangle that is its face, not a piece that clipping left of it: only then do corners and outline belong together.
XSIM_FN bool is_whole(const Surface& s, i64 triangle) {
  if (s.faces == s.planes) return true;
  for (int k = 0; k < 3; ++k)
    if (s.faces[3 * triangle + k] != s.planes[3 * triangle + k]) return false;
  return true;
}

XSIM_FN Plane plane_of(const Surface& s, i64 triangle, bool turned, i32 column, i32 row) {
  const Corners c = corners_of(s, triangle, turned);
  const double* m = s.homography.m;
  const double f = s.reference_fraction;
  double fraction[3];
  for (int k = 0; k < 3; ++k)
    fraction[k] = larger(m[0] * c.p[k].x + m[1] * c.p[k].y + m[2] * c.p[k].z + m[3], s.near_fraction);
  Plane p;
  p.column = column;
  p.row = row;
  p.nearest = (float)(smaller(fraction[0], smaller(fraction[1], fraction[2])) - f);
  p.farthest = (float)(larger(fraction[0], larger(fraction[1], fraction[2])) - f);
  const Vec3d n = cross(c.p[1] - c.p[0], c.p[2] - c.p[0]);
  p.edge_on = is_edge_on(s, c, n) && is_whole(s, triangle);
  if (p.edge_on) {
    for (int k = 0; k < 3; ++k) {  // 1 / fraction is linear on the screen; in a parallel beam the fraction itself
      const double weight = s.homography.divides_column ? 1.0 / fraction[k] : 1.0;
      p.n[k] = (float)((fraction[k] - f) * weight);
      p.b[k] = (float)weight;
    }
    return p;
  }
  const double b0 = dot(n, direction(s.rays.way, (double)column, (double)row));
  const double b1 = dot(n, s.rays.way.column), b2 = dot(n, s.rays.way.row);
  p.b[0] = (float)b0;
  p.b[1] = (float)b1;
  p.b[2] = (float)b2;
  p.n[0] = (float)(dot(n, c.p[0] - start(s.rays, (double)column, (double)row)) - f * b0);
  p.n[1] = (float)(-dot(n, s.rays.source_column) - f * b1);
  p.n[2] = (float)(-dot(n, s.rays.source_row) - f * b2);
  return p;
}

// e0, e1, e2: the edge functions there, from corner 0 to 1, 1 to 2 and 2 to 0.
XSIM_FN float depth_at(const Plane& p, i32 column, i32 row, i64 e0, i64 e1, i64 e2) {
  const bool by_corners = p.edge_on;  // an edge function weighs the corner opposite
  const float u = by_corners ? (float)e1 : 1.0f;
  const float v = by_corners ? (float)e2 : (float)(column - p.column);
  const float w = by_corners ? (float)e0 : (float)(row - p.row);
  const float depth = (p.n[0] * u + p.n[1] * v + p.n[2] * w) / (p.b[0] * u + p.b[1] * v + p.b[2] * w);
  return depth > p.nearest ? smaller(depth, p.farthest) : p.nearest;  // no area: NaN -> nearest
}

// The three edge functions at a pixel centre, and their steps. A point belongs to the triangle where all three
// are >= 0; an edge that does not own its points is lowered by one.
struct Edges { i64 value[3], column_step[3], row_step[3]; };

XSIM_FN Edges edges_at(const Outline& t, i32 column, i32 row) {
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

// Calls sink.cross(pixel column, row, depth, +1 entering or -1 leaving) for each pixel centre of the window inside
// the triangle. The plane is made when the first is met: most triangles of a fine mesh cover none.
template <class Sink>
XSIM_FN void draw_triangle(const Surface& s, i64 triangle, const Window& tile, const Sink& sink) {
  Outline t = outline_of(s, triangle);
  const Window whole = window_of(t), w = meet(whole, tile);
  if (empty(w) || !orient(t)) return;
  const i32 step = t.turned == (s.handedness > 0.0) ? 1 : -1;
  Edges e = edges_at(t, w.column0, w.row0);
  Plane plane;
  bool planned = false;
  for (i32 row = w.row0; row <= w.row1; ++row) {
    i64 e0 = e.value[0], e1 = e.value[1], e2 = e.value[2];
    bool met = false;
    for (i32 column = w.column0; column <= w.column1; ++column) {
      if ((e0 | e1 | e2) >= 0) {
        // counted from a pixel of the triangle, not of the tile: the same depth however the image is divided
        if (!planned) plane = plane_of(s, triangle, t.turned, larger(whole.column0, 0), larger(whole.row0, 0));
        planned = met = true;
        sink.cross(column, row, depth_at(plane, column, row, e0, e1, e2), step);
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
