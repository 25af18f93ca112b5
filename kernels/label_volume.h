// Label volumes: every voxel is one material, or nothing. Exact lengths.
#pragma once
#include "volume.h"

// Runs of one label along a ray. `Visit` takes (label, begin, end) of each run, positions on the main axis.
template <class Visit> struct LabelRun {
  const Visit& visit;
  double begin, end;  // of the way through the box
  double from;        // of the run
  i32 label;          // -1 before the first

  XSIM_METHOD void meet(i32 next, double s) {
    if (next == label) return;
    const double to = smaller(larger(s, begin), end);
    if (label >= 0 && to > from) visit.run(label, from, to);
    label = next;
    from = to;
  }
};

template <class Visit> struct LabelWalk {
  const Volume& volume;
  const VolumeRay& ray;
  LabelRun<Visit> run;
};

template <class Voxel, class Visit>
XSIM_FN void meet_voxel(LabelWalk<Visit>& walk, i32 k, i32 u, i32 v, double s) {
  const VolumeRay& ray = walk.ray;
  const i32 cu = smaller(larger(u, 0), ray.u.size - 1), cv = smaller(larger(v, 0), ray.v.size - 1);
  const i64 at = k * ray.main.stride + cu * ray.u.stride + cv * ray.v.stride;
  walk.run.meet(((const Voxel*)walk.volume.voxels)[at], s);
}

// Largest integer not above a position within the box or less than a slab beside it.
XSIM_FN i32 cell_of(double position) { return (i32)(position + 4.0) - 4; }

// A slab in which the ray goes from the voxel (u, v) to another.
template <class Voxel, class Visit>
XSIM_FN void cross_slab(LabelWalk<Visit>& walk, i32 k, i32 u, i32 v, i32 u_end, i32 v_end) {
  const VolumeRay& ray = walk.ray;
  const i32 u_step = u_end > u ? 1 : -1, v_step = v_end > v ? 1 : -1;
  meet_voxel<Voxel>(walk, k, u, v, (double)k);
  while (u != u_end || v != v_end) {
    const double u_plane = ray.main.origin + ((double)(u + (u_step > 0)) - ray.u.origin) * ray.u_run;
    const double v_plane = ray.main.origin + ((double)(v + (v_step > 0)) - ray.v.origin) * ray.v_run;
    const bool along_u = v == v_end || (u != u_end && u_plane <= v_plane);
    if (along_u) u += u_step; else v += v_step;
    const double s = smaller(larger(along_u ? u_plane : v_plane, (double)k), (double)(k + 1));
    meet_voxel<Voxel>(walk, k, u, v, s);
  }
}

// Slabs from k on in which the ray stays inside one region; 0 where it leaves it in the first.
XSIM_FN i32 slabs_of_region(const VolumeRay& ray, const Region& region, i32 k, double u, double v) {
  i32 n = slabs_within(ray, region, k, u, v);
  for (; n > 0; --n) {  // rounding, at most twice
    const double next = (double)(k + n), u_next = u_at(ray, next), v_next = v_at(ray, next);
    const bool within_u = u_next >= (double)region.u_low && u_next < (double)region.u_high;
    if (within_u && v_next >= (double)region.v_low && v_next < (double)region.v_high) break;
  }
  return n;
}

template <class Voxel, class Visit> XSIM_FN void walk_labels(LabelWalk<Visit>& walk) {
  const Volume& volume = walk.volume;
  const VolumeRay& ray = walk.ray;
  const i32 first = (i32)ray.begin;
  double u = u_at(ray, (double)first), v = v_at(ray, (double)first);
  for (i32 k = first; (double)k < ray.end;) {
    const Region region = region_of(volume, ray, k, voxel_at(u, ray.u.size), voxel_at(v, ray.v.size));
    const i32 skipped = region.reach > 0 ? slabs_of_region(ray, region, k, u, v) : 0;
    if (skipped > 0) {
      meet_voxel<Voxel>(walk, k, cell_of(u), cell_of(v), (double)k);
      k += skipped;
      u = u_at(ray, (double)k);
      v = v_at(ray, (double)k);
      continue;
    }
    const i32 stop = (i32)smaller((double)smaller((k | (BRICK - 1)) + 1, ray.main.size), ray.end + 1.0);
    i32 cu = cell_of(u), cv = cell_of(v);
    for (; k < stop; ++k) {
      u = u_at(ray, (double)(k + 1));
      v = v_at(ray, (double)(k + 1));
      const i32 u_end = cell_of(u), v_end = cell_of(v);
      if (u_end == cu && v_end == cv) meet_voxel<Voxel>(walk, k, cu, cv, (double)k);
      else cross_slab<Voxel>(walk, k, cu, cv, u_end, v_end);
      cu = u_end;
      cv = v_end;
    }
  }
  walk.run.meet(-1, ray.end);
}

template <class Visit> XSIM_FN void visit_labels(const Volume& volume, const VolumeRay& ray, const Visit& visit) {
  LabelWalk<Visit> walk = {volume, ray, {visit, ray.begin, ray.end, ray.begin, -1}};
  if (volume.voxel_type == VOXEL_U8) walk_labels<u8>(walk);
  else walk_labels<u16>(walk);
}
