// Voxel volumes. A ray is followed slab by slab along the axis on which it moves fastest, so that it crosses at most
// one plane of each other axis in a slab. Every position is worked out from the number of its plane, never added up:
// axis-parallel rays and rays in voxel planes are ordinary rays, and a walk over a part of the way gives that part.
//
// Labels: exact path lengths (Siddon, Medical Physics 12 (1985) 252). A voxel owns its lower faces.
// Densities: P. M. Joseph, IEEE Trans. Med. Imag. 1 (1982) 192: one bilinear sample in the middle of each slab.
#pragma once
#include "math.h"
#include "window.h"

enum VoxelType : i32 { VOXEL_U8 = 0, VOXEL_U16 = 1, VOXEL_I16 = 2, VOXEL_F16 = 3, VOXEL_F32 = 4 };
const i32 BRICK_SHIFT = 3, BRICK = 1 << BRICK_SHIFT;
const i32 SLABS = 8;        // sampled together
const i32 MOST_HINGES = 15;

// A value's densities are piecewise linear: each hinge adds its rise, by the share
// min(max((value - low) * inverse_width, 0), cap) of it.
struct Hinge { float low, inverse_width, cap; };

struct Volume {
  const void* voxels;          // [slice z, row y, column x]
  const u8* reaches;           // [brick z, y, x] 0: mixed; r: all bricks less than r away hold this brick's one value
  const i32* label_materials;  // [label] index of a material, -1 for nothing; null where values are densities
  const Hinge* hinges;         // [hinge]
  const float* densities;      // [entry, 1 + hinge] below the first hinge, then the rises, of the material's own density
  const i32* entry_materials;  // [entry] index of a material
  Rays<double> rays;           // voxel k spans [k, k + 1] on each axis
  double reference_fraction;   // depths are counted from here
  i64 size[3];                 // voxels along x, y, z
  Window window;               // pixels it may cover
  i32 voxel_type, body, hinge_count, entry_count;
};

// An axis of the array as a ray sees it. Strides count voxels and bricks.
struct VolumeAxis { double origin, direction, inverse; i64 stride, brick_stride; i32 size; };

// A ray's way through the box: s runs along the main axis from `begin` to `end`, whichever way the ray goes. On the
// other axes the ray is at origin + (s - main.origin) * slope, with slopes from -1 to 1.
struct VolumeRay {
  VolumeAxis main, u, v;
  double u_slope, v_slope, u_run, v_run;  // run = 1 / slope
  double begin, end;
};

XSIM_FN i64 brick_count(i64 voxels) { return (voxels + BRICK - 1) >> BRICK_SHIFT; }

XSIM_FN VolumeAxis volume_axis(double origin, double direction, i64 size, i64 stride, i64 brick_stride) {
  return {origin, direction, direction == 0.0 ? 0.0 : 1.0 / direction, stride, brick_stride, (i32)size};
}

XSIM_FN void clip_to_axis(const VolumeAxis& axis, double& enter, double& leave) {
  if (axis.direction == 0.0) {
    if (!(axis.origin >= 0.0 && axis.origin < (double)axis.size)) leave = enter;
    return;
  }
  const double a = -axis.origin * axis.inverse, b = ((double)axis.size - axis.origin) * axis.inverse;
  enter = larger(enter, smaller(a, b));
  leave = smaller(leave, larger(a, b));
}

// The ray of a pixel between two fractions of its way; end <= begin where it misses the box.
XSIM_FN VolumeRay volume_ray(const Volume& volume, i32 column, i32 row, double f0, double f1) {
  const Vec3d o = start(volume.rays, (double)column, (double)row);
  const Vec3d d = direction(volume.rays.way, (double)column, (double)row);
  const i64 nx = volume.size[0], ny = volume.size[1], bx = brick_count(nx), by = brick_count(ny);
  VolumeRay ray = {volume_axis(o.z, d.z, volume.size[2], nx * ny, bx * by), volume_axis(o.x, d.x, nx, 1, 1),
                   volume_axis(o.y, d.y, ny, nx, bx), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
  if (magnitude(d.x) > magnitude(ray.main.direction)) exchange(ray.main, ray.u);
  if (magnitude(d.y) > magnitude(ray.main.direction)) exchange(ray.main, ray.v);
  if (ray.main.direction == 0.0) return ray;
  ray.u_slope = ray.u.direction * ray.main.inverse;
  ray.v_slope = ray.v.direction * ray.main.inverse;
  ray.u_run = ray.main.direction * ray.u.inverse;
  ray.v_run = ray.main.direction * ray.v.inverse;
  double enter = f0, leave = f1;
  clip_to_axis(ray.main, enter, leave);
  clip_to_axis(ray.u, enter, leave);
  clip_to_axis(ray.v, enter, leave);
  if (!(leave > enter)) return ray;
  const double a = ray.main.origin + enter * ray.main.direction, b = ray.main.origin + leave * ray.main.direction;
  ray.begin = larger(smaller(a, b), 0.0);
  ray.end = smaller(larger(a, b), (double)ray.main.size);
  return ray;
}

XSIM_FN double u_at(const VolumeRay& ray, double s) { return ray.u.origin + (s - ray.main.origin) * ray.u_slope; }
XSIM_FN double v_at(const VolumeRay& ray, double s) { return ray.v.origin + (s - ray.main.origin) * ray.v_slope; }

// The voxel of an axis that a position lies in; one beside the box counts as the nearest.
XSIM_FN i32 voxel_at(double position, i32 size) { return (i32)smaller(larger(position, 0.0), (double)(size - 1)); }

// A box of bricks with one value, as seen along a ray: voxels [low, high) on each axis. Beside the volume its
// outermost voxels go on, as for `voxel_at`.
struct Region { i32 reach, main_high, u_low, u_high, v_low, v_high; };

XSIM_FN i32 region_low(i32 brick, i32 reach) { return brick < reach ? -(1 << 30) : (brick - reach + 1) * BRICK; }
XSIM_FN i32 region_high(i32 brick, i32 reach, i32 size) {
  const i32 high = (brick + reach) * BRICK;
  return high >= size ? 1 << 30 : high;
}

XSIM_FN Region region_of(const Volume& volume, const VolumeRay& ray, i32 k, i32 u, i32 v) {
  const i32 a = k >> BRICK_SHIFT, b = u >> BRICK_SHIFT, c = v >> BRICK_SHIFT;
  const i32 reach = volume.reaches[a * ray.main.brick_stride + b * ray.u.brick_stride + c * ray.v.brick_stride];
  return {reach, smaller((a + reach) * BRICK, ray.main.size), region_low(b, reach), region_high(b, reach, ray.u.size),
          region_low(c, reach), region_high(c, reach, ray.v.size)};
}

// Slabs until a position leaves [low, high), to within rounding; 0 where that is nothing to count.
XSIM_FN double slabs_within(double position, double slope, double run, i32 low, i32 high) {
  if (slope == 0.0) return 1e9;
  return ((double)(slope > 0.0 ? high : low) - position) * run;
}
XSIM_FN i32 slabs_within(const VolumeRay& ray, const Region& region, i32 k, double u, double v) {
  const double side = smaller(slabs_within(u, ray.u_slope, ray.u_run, region.u_low, region.u_high),
                              slabs_within(v, ray.v_slope, ray.v_run, region.v_low, region.v_high));
  return side > 0.0 ? (i32)smaller(side, (double)(region.main_high - k)) : 0;
}
