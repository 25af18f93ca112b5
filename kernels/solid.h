// Analytic solids, exact rather than tessellated, in double: a chord of R/100 through a sphere of 50 mm, good to
// 1e-4 mm, needs R^2 - b^2 to 2e-8, less than a float resolves.
#pragma once
#include "window.h"

enum SolidKind : i32 { SOLID_BOX = 0, SOLID_SPHERE = 1, SOLID_CYLINDER = 2 };

struct Solid {
  Pinhole<double> view;              // the view's rays in the solid's own frame
  Vec3d source;                      // mm, in the solid's own frame
  Vec3d size;                        // box: half sizes; sphere: radius in x; cylinder: radius in x, half height in z
  double reference_fraction;         // depths are counted from here
  Window window;                     // pixels it may cover
  i32 kind;
  i32 body;                          // rank
};

// Fractions of the ray inside the solid; enter < leave, or nothing is hit.
struct Interval { double enter, leave; };

XSIM_FN void clip_to_slab(Interval& s, double o, double d, double half) {
  if (d == 0.0) {
    if (o > half || o < -half) s.leave = s.enter;
    return;
  }
  const double a = (-half - o) / d, b = (half - o) / d;
  s.enter = larger(s.enter, smaller(a, b));
  s.leave = smaller(s.leave, larger(a, b));
}

// |o + f d|^2 = radius^2 in the first two or all three axes. Half the chord from the foot of the perpendicular.
XSIM_FN void clip_to_round(Interval& s, Vec3d o, Vec3d d, double radius) {
  const double dd = dot(d, d);
  if (dd == 0.0) {
    if (dot(o, o) > radius * radius) s.leave = s.enter;
    return;
  }
  const double foot = -dot(o, d) / dd;
  const Vec3d p = o + foot * d;
  const double square = radius * radius - dot(p, p);
  if (!(square > 0.0)) {
    s.leave = s.enter;
    return;
  }
  const double half = square_root(square / dd);
  s.enter = larger(s.enter, foot - half);
  s.leave = smaller(s.leave, foot + half);
}

XSIM_FN Interval intersect(const Solid& solid, i32 column, i32 row) {
  const Vec3d o = solid.source, d = direction(solid.view, (double)column, (double)row);
  Interval s = {0.0, 1e300};
  if (solid.kind == SOLID_BOX) {
    clip_to_slab(s, o.x, d.x, solid.size.x);
    clip_to_slab(s, o.y, d.y, solid.size.y);
    clip_to_slab(s, o.z, d.z, solid.size.z);
  } else if (solid.kind == SOLID_SPHERE) {
    clip_to_round(s, o, d, solid.size.x);
  } else {
    clip_to_round(s, {o.x, o.y, 0.0}, {d.x, d.y, 0.0}, solid.size.x);
    clip_to_slab(s, o.z, d.z, solid.size.z);
  }
  return s;
}
