// Closed triangle meshes, watertight by exact signs.
//
// Each vertex is projected once and rounded once to a 20.12 fixed-point screen position; from there on every
// edge function is an exact integer, so neighbours agree on which side of their shared edge a pixel
// centre lies. Ties are broken as if the centre were moved by (eps, eps^2): a ray through an edge or a vertex crosses
// a closed mesh in pairs, always. A screen stays within +-2^17 pixels (larger triangles are clipped before),
// so that edge functions stay below 2^62.
#pragma once
#include "window.h"

const i32 SUBPIXEL_BITS = 12;
const i32 SUBPIXELS = 1 << SUBPIXEL_BITS;
const double GUARD_BAND_PX = 131072.0;
// Neighbouring triangles that are stored, culled and set up together.
const i32 CLUSTER = 16;
const i32 VERTEX_BLOCK = 1024;

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

// Nearest fixed-point position of one within the guard band; moved to where truncation is rounding down.
XSIM_FN i32 to_fixed(double px) {
  const double shift = 1073741824.0;
  return (i32)(px * SUBPIXELS + (0.5 + shift)) - (i32)shift;
}

// The triangles of one body, and how it is seen. Everything is in the body's own frame: many bodies may share
// one mesh, and nothing is copied for a pose.
struct Surface {
  const double* vertices;     // [vertex, 3] mm
  i64* screen;                // [screen vertex] fixed point: the row's 32 bits, then the column's
  float* depths;              // [vertex] fraction beyond the reference plane
  const i32* faces;           // [cluster, corner, CLUSTER] into screen
  const i32* planes;          // [cluster, corner, CLUSTER] into vertices: the face whose plane and winding it has
  const float* normals;       // [cluster, axis, CLUSTER] of the planes, unit
  const double* offsets;      // [cluster, CLUSTER] of the planes: normal . corner, mm
  const float* spheres;       // [cluster, 4] centre and radius of a sphere around it, mm; null: windows are given
  const Window* windows;      // [cluster] or null
  Homography homography;
  Rays<double> rays;
  double reference_fraction, near_fraction;
  double handedness;          // sign of the determinant of the homography
  i64 first;                  // number of its first cluster among those of all bodies
  i64 first_vertex;           // number of its first vertex among those of all bodies
  i64 vertex_count;
  Window window;              // pixels the body may cover
  i32 body;                   // rank
  i32 is_line_scan;
  i32 flat_extent;            // fixed point: a triangle no larger than this is met at one angle
};

struct ProjectVerticesArgs {
  const Surface* surfaces;
  u8* outside;                // [surface] 1: a vertex is behind the source or beyond the guard band
  i64 vertex_count;           // of all surfaces
  i32 surface_count;
};

// Screen positions of vertices [begin, end) of a surface; true where one is outside.
template <bool PARALLEL> XSIM_FN bool project_range(const Surface& s, i64 begin, i64 end) {
  const Homography h = s.homography;
  const double* vertices = s.vertices;
  i64* screen = s.screen;
  float* depths = s.depths;
  const double near = s.near_fraction, reference = s.reference_fraction;
  i32 any = 0;
  XSIM_LANE_LOOP
  for (i64 k = begin; k < end; ++k) {
    const double* v = vertices + 3 * k;
    const Vec3d p = project(h, {v[0], v[1], v[2]});
    // a point behind the source is sent far off, beyond the guard band
    const double fraction = p.x > near ? p.x : near, w = PARALLEL ? 1.0 : fraction;
    const double column = p.y / w, row = p.z / w;
    const double far = p.x > near ? larger(magnitude(column), magnitude(row)) : 2.0 * GUARD_BAND_PX;
    const i32 inside = far < GUARD_BAND_PX ? 1 : 0;
    const i64 i = to_fixed(far < GUARD_BAND_PX ? column : 0.0), j = to_fixed(far < GUARD_BAND_PX ? row : 0.0);
    screen[k] = (i64)((u64)j << 32 | ((u64)i & 0xFFFFFFFFu));
    depths[k] = (float)(fraction - reference);
    any |= 1 - inside;
  }
  return any != 0;
}

// Work item: VERTEX_BLOCK vertices, counted over all surfaces.
XSIM_KERNEL(project_vertices, ProjectVerticesArgs) {
  i64 k = item * VERTEX_BLOCK;
  const i64 end = smaller(k + VERTEX_BLOCK, args.vertex_count);
  i32 low = 0, high = args.surface_count;
  while (high - low > 1) {
    const i32 middle = (low + high) / 2;
    if (args.surfaces[middle].first_vertex <= k) low = middle; else high = middle;
  }
  for (i32 s = low; k < end; ++s) {
    const Surface& surface = args.surfaces[s];
    const i64 first = surface.first_vertex, stop = smaller(end, first + surface.vertex_count);
    if (!surface.is_line_scan && k < stop) {
      const bool outside = surface.homography.divides_column ? project_range<false>(surface, k - first, stop - first)
                                                             : project_range<true>(surface, k - first, stop - first);
      if (outside) args.outside[s] = 1;
    }
    k = stop;
  }
}

// The corners of a triangle on the screen, turned to a positive area.
struct Outline {
  i32 x[3], y[3];  // fixed point
  bool turned;     // the area was negative
};

XSIM_FN Outline outline_of(const Surface& s, i64 cluster, i32 lane) {
  const i32* faces = s.faces + 3 * CLUSTER * cluster + lane;
  Outline t;
  for (int k = 0; k < 3; ++k) {
    const i64 position = s.screen[faces[k * CLUSTER]];
    t.x[k] = (i32)position;
    t.y[k] = (i32)(position >> 32);
  }
  t.turned = false;
  return t;
}

// Makes the area positive; false where there is none.
XSIM_FN bool orient(Outline& t) {
  const i64 area = (i64)(t.x[1] - t.x[0]) * (t.y[2] - t.y[0]) - (i64)(t.y[1] - t.y[0]) * (t.x[2] - t.x[0]);
  t.turned = area < 0;
  const i32 x = t.x[1], y = t.y[1];
  t.x[1] = t.turned ? t.x[2] : x;
  t.y[1] = t.turned ? t.y[2] : y;
  t.x[2] = t.turned ? x : t.x[2];
  t.y[2] = t.turned ? y : t.y[2];
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

XSIM_FN Corners corners_of(const Surface& s, i64 cluster, i32 lane, bool turned) {
  const i32* planes = s.planes + 3 * CLUSTER * cluster + lane;
  const i32 second = planes[CLUSTER], third = planes[2 * CLUSTER];
  const double* a = s.vertices + 3 * (i64)planes[0];
  const double* b = s.vertices + 3 * (i64)(turned ? third : second);
  const double* c = s.vertices + 3 * (i64)(turned ? second : third);
  return {{{a[0], a[1], a[2]}, {b[0], b[1], b[2]}, {c[0], c[1], c[2]}}};
}

// |height of the source over the face| against the reach to its corners; in a parallel beam the way along the rays.
XSIM_FN bool is_edge_on(const Surface& s, const Corners& c, Vec3d n) {
  const bool parallel = !s.homography.divides_column;
  const Vec3d way = s.rays.way.origin, source = s.rays.source;
  const Vec3d a = parallel ? way : c.p[0] - source, b = parallel ? way : c.p[1] - source;
  const Vec3d d = parallel ? way : c.p[2] - source;
  const double height = dot(n, a);
  const double reach2 = larger(dot(a, a), larger(dot(b, b), dot(d, d)));
  return !(height * height > EDGE_ON_COSINE * EDGE_ON_COSINE * dot(n, n) * reach2);
}

// A triangle that is its face, not a piece that clipping left of it: only then do corners and outline belong together.
XSIM_FN bool is_whole(const Surface& s, i64 cluster, i32 lane) {
  if (s.faces == s.planes) return true;
  for (i64 k = 3 * CLUSTER * cluster + lane, n = 0; n < 3; ++n, k += CLUSTER)
    if (s.faces[k] != s.planes[k]) return false;
  return true;
}

XSIM_FN void weigh_corners(const Surface& s, const Corners& c, Plane& p) {
  const double* m = s.homography.m;
  for (int k = 0; k < 3; ++k) {  // 1 / fraction is linear on the screen; in a parallel beam the fraction itself
    const double fraction = larger(m[0] * c.p[k].x + m[1] * c.p[k].y + m[2] * c.p[k].z + m[3], s.near_fraction);
    const double weight = s.homography.divides_column ? 1.0 / fraction : 1.0;
    p.n[k] = (float)((fraction - s.reference_fraction) * weight);
    p.b[k] = (float)weight;
  }
}

// The plane n . x = offset with a normal of any length, from a pixel on. STILL where every ray starts at one point.
template <bool STILL> XSIM_FN Plane plane_from(const Surface& s, Vec3d n, double offset, i32 column, i32 row) {
  const double f = s.reference_fraction, i = (double)column, j = (double)row;
  const Directions<double>& way = s.rays.way;
  const double b1 = dot(n, way.column), b2 = dot(n, way.row), b0 = dot(n, way.origin) + i * b1 + j * b2;
  const double s1 = STILL ? 0.0 : dot(n, s.rays.source_column), s2 = STILL ? 0.0 : dot(n, s.rays.source_row);
  const double height = offset - (STILL ? dot(n, s.rays.source) : dot(n, s.rays.source) + i * s1 + j * s2);
  Plane p;
  p.column = column;
  p.row = row;
  p.b[0] = (float)b0;
  p.b[1] = (float)b1;
  p.b[2] = (float)b2;
  p.n[0] = (float)(height - f * b0);
  p.n[1] = (float)(-s1 - f * b1);
  p.n[2] = (float)(-s2 - f * b2);
  return p;
}

// Of a triangle of any size: edge-on by its least angle.
XSIM_FN Plane plane_of(const Surface& s, i64 cluster, i32 lane, bool turned, i32 column, i32 row) {
  const Corners c = corners_of(s, cluster, lane, turned);
  const Vec3d n = cross(c.p[1] - c.p[0], c.p[2] - c.p[0]);
  Plane p = plane_from<false>(s, n, dot(n, c.p[0]), column, row);
  p.edge_on = is_edge_on(s, c, n);
  return p;
}

// Of a flat triangle, by the normal kept for it: its angle hardly changes from corner to corner. No branches, so
// that the triangles of a cluster share vectors.
template <bool STILL> XSIM_FN Plane flat_plane_of(const Surface& s, i64 cluster, i32 lane, i32 column, i32 row) {
  const float* normal = s.normals + 3 * CLUSTER * cluster + lane;
  const Vec3d n = {normal[0], normal[CLUSTER], normal[2 * CLUSTER]};
  Plane p = plane_from<STILL>(s, n, s.offsets[CLUSTER * cluster + lane], column, row);
  const Directions<double>& w = s.rays.way;
  const Vec3f way = narrow(w.origin) + (float)column * narrow(w.column) + (float)row * narrow(w.row);
  p.edge_on = !(p.b[0] * p.b[0] > (float)(EDGE_ON_COSINE * EDGE_ON_COSINE) * dot(way, way));
  return p;
}

// Depths of its corners: none of a triangle leaves them.
XSIM_FN void limit_depths(const Surface& s, i64 cluster, i32 lane, float& nearest, float& farthest) {
  const i32* planes = s.planes + 3 * CLUSTER * cluster + lane;
  const float a = s.depths[planes[0]], b = s.depths[planes[CLUSTER]], c = s.depths[planes[2 * CLUSTER]];
  nearest = smaller(a, smaller(b, c));
  farthest = larger(a, larger(b, c));
}

XSIM_FN float bounded_depth(float depth, float nearest, float farthest) {
  return depth > nearest ? smaller(depth, farthest) : nearest;  // no area: NaN -> nearest
}

// The ratio of both forms at (u, v, w).
XSIM_FN float depth_of(const Plane& p, float u, float v, float w) {
  const float depth = (p.n[0] * u + p.n[1] * v + p.n[2] * w) / (p.b[0] * u + p.b[1] * v + p.b[2] * w);
  return bounded_depth(depth, p.nearest, p.farthest);
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
