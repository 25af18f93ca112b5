// Analytic solids, exact rather than tessellated, in double: a chord of R/100 through a sphere of 50 mm, good to
// 1e-4 mm, needs R^2 - b^2 to 2e-8, less than a float resolves.
#pragma once
#include "window.h"

enum SolidKind : i32 { SOLID_BOX = 0, SOLID_ELLIPSOID = 1, SOLID_CYLINDER = 2, SOLID_CONE = 3 };

struct Solid {
  Rays<double> rays;                 // in the solid's own frame
  Vec3d size;                        // box: half sizes; ellipsoid: radii; cylinder, cone: radius in x, half height in z
  double reference_fraction;         // depths are counted from here
  Window window;                     // pixels it may cover
  i32 kind;
  i32 body;                          // rank
  i32 hole;                          // 1: left where it is entered, to hollow another part of the body
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

// x^2 + y^2 = k^2 (apex - z)^2 below the apex. Fractions are counted from the foot of the perpendicular from the
// centre, so that the distance of the source costs no figures.
XSIM_FN void clip_to_cone(Interval& s, Vec3d o, Vec3d d, double radius, double half_height) {
  const double foot = -dot(o, d) / dot(d, d);
  const Vec3d p = o + foot * d;
  const double k = radius / (2.0 * half_height), k2 = k * k, below = half_height - p.z;
  const double a = d.x * d.x + d.y * d.y - k2 * d.z * d.z;
  const double b = p.x * d.x + p.y * d.y + k2 * below * d.z;
  const double c = p.x * p.x + p.y * p.y - k2 * below * below;
  const double discriminant = b * b - a * c;
  if (a == 0.0) {  // along the mantle: one side of a plane
    if (b == 0.0) { if (c > 0.0) s.leave = s.enter; return; }
    const double f = foot - 0.5 * c / b;
    if (b > 0.0) s.leave = smaller(s.leave, f); else s.enter = larger(s.enter, f);
    return;
  }
  if (discriminant < 0.0) {
    if (a > 0.0) s.leave = s.enter;
    return;
  }
  const double root = square_root(discriminant);
  const double q = b > 0.0 ? -b - root : -b + root;  // no cancellation
  const double f0 = q == 0.0 ? 0.0 : q / a, f1 = q == 0.0 ? 0.0 : c / q;
  const double first = foot + smaller(f0, f1), last = foot + larger(f0, f1);
  if (a > 0.0) {
    s.enter = larger(s.enter, first);
    s.leave = smaller(s.leave, last);
  } else if (d.z > 0.0) {  // steeper than the mantle: before one root lies the cone, behind the other its mirror image
    s.leave = smaller(s.leave, first);
  } else {
    s.enter = larger(s.enter, last);
  }
}

XSIM_FN Interval intersect(const Solid& solid, i32 column, i32 row) {
  const Vec3d o = start(solid.rays, (double)column, (double)row), d = direction(solid.rays.way, (double)column, (double)row);
  Interval s = {0.0, 1e300};
  if (solid.kind == SOLID_BOX) {
    clip_to_slab(s, o.x, d.x, solid.size.x);
    clip_to_slab(s, o.y, d.y, solid.size.y);
    clip_to_slab(s, o.z, d.z, solid.size.z);
  } else if (solid.kind == SOLID_ELLIPSOID) {
    const Vec3d r = solid.size;
    clip_to_round(s, {o.x / r.x, o.y / r.y, o.z / r.z}, {d.x / r.x, d.y / r.y, d.z / r.z}, 1.0);
  } else if (solid.kind == SOLID_CONE) {
    clip_to_slab(s, o.z, d.z, solid.size.z);
    clip_to_cone(s, o, d, solid.size.x, solid.size.z);
  } else {
    clip_to_round(s, {o.x, o.y, 0.0}, {d.x, d.y, 0.0}, solid.size.x);
    clip_to_slab(s, o.z, d.z, solid.size.z);
  }
  return s;
}
