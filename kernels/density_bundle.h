// Neighbouring rays through a density volume together, slab by slab: they share lines of memory and steps over bricks.
// Bit for bit what single rays give.
#pragma once
#include "density_volume.h"

const i32 BUNDLE = 8;

// Rays of one row of pixels that have a main axis in common. Between the first and the last that meet the box, each
// lies between its neighbours in every slab.
struct Bundle {
  VolumeRay first, last;
  double begin[BUNDLE], end[BUNDLE], slab[BUNDLE];
  Samples u[BUNDLE], v[BUNDLE];
  i32 from, to;              // slabs [from, to) that some ray meets
  i32 full_from, full_to;    // slabs that all rays meet from end to end
};

XSIM_FN bool same_main_axis(const VolumeRay& a, const VolumeRay& b) {
  return a.main.stride == b.main.stride && (a.main.direction > 0.0) == (b.main.direction > 0.0);
}

XSIM_FN void widen(Bundle& bundle, const VolumeRay& ray) {
  const i32 begin = (i32)ray.begin, end = (i32)ray.end;
  const i32 stop = end + (i32)((double)end < ray.end), whole = begin + (i32)((double)begin < ray.begin);
  const bool is_first = bundle.to == 0;
  if (is_first) bundle.first = ray;
  bundle.last = ray;
  bundle.from = is_first ? begin : smaller(bundle.from, begin);
  bundle.to = larger(bundle.to, stop);
  bundle.full_from = larger(bundle.full_from, whole);
  bundle.full_to = smaller(bundle.full_to, end);
}

// Bundle of `count` pixels from a column on; false where they are to be followed one by one. None of them meets the
// box where to is 0.
XSIM_FN bool make_bundle(const Volume& volume, i32 column, i32 row, i32 count, Bundle& bundle) {
  bundle.from = bundle.to = bundle.full_from = 0;
  bundle.full_to = 0x7FFFFFFF;
  XSIM_LANE_LOOP
  for (i32 l = 0; l < BUNDLE; ++l) {
    const VolumeRay ray = volume_ray(volume, column + smaller(l, count - 1), row, 0.0, 1e300);
    if (l == 0) bundle.first = ray;
    if (!same_main_axis(ray, bundle.first)) return false;
    if (ray.end > ray.begin) widen(bundle, ray);
    else bundle.full_to = 0;
    bundle.begin[l] = ray.begin;
    bundle.end[l] = ray.end;
    bundle.slab[l] = magnitude(ray.main.inverse);
    bundle.u[l] = u_samples(ray);
    bundle.v[l] = v_samples(ray);
  }
  return true;
}

template <i32 HINGES> struct BundleSums { double sums[HINGES][BUNDLE]; };

// Places of the samples in one slab on one axis, in two words each, so that all lanes have the width of a float.
struct BundlePlaces {
  i32 whole[BUNDLE], whole_step[BUNDLE];
  u32 part[BUNDLE], part_step[BUNDLE];
};

XSIM_FN void place_in(const Samples* samples, i64 k, BundlePlaces& places) {
  XSIM_LANE_LOOP
  for (i32 l = 0; l < BUNDLE; ++l) {
    const i64 at = samples[l].at + k * samples[l].step, step = samples[l].step;
    places.whole[l] = (i32)(at >> 32);
    places.part[l] = (u32)at;
    places.whole_step[l] = (i32)(step >> 32);
    places.part_step[l] = (u32)step;
  }
}
XSIM_FN void next_slab(BundlePlaces& places) {
  XSIM_LANE_LOOP
  for (i32 l = 0; l < BUNDLE; ++l) {
    const u32 part = places.part[l] + places.part_step[l];
    places.whole[l] += places.whole_step[l] + (i32)(part < places.part_step[l]);
    places.part[l] = part;
  }
}

template <class Voxel, class Offset, i32 HINGES>
XSIM_FN void sample_slab(const Volume& volume, const Bundle& bundle, i32 k, const BundlePlaces& u_places,
                         const BundlePlaces& v_places, BundleSums<HINGES>& sums) {
  const VolumeAxis &u = bundle.first.u, &v = bundle.first.v;
  const i32 hinges = HINGES == 1 ? 1 : volume.hinge_count;
  const Steps steps = steps_of(bundle.first);
  const Voxel* corner = (const Voxel*)volume.voxels + k * bundle.first.main.stride;
  const Voxel *across = corner + steps.across, *down = corner + steps.down, *both = down + steps.across;
  const Offset u_stride = (Offset)u.stride, v_stride = (Offset)v.stride;
  const i32 u_size = u.size, v_size = v.size;
  float values[BUNDLE], u_weight[BUNDLE], v_weight[BUNDLE];
  Offset offset[BUNDLE];
  XSIM_LANE_LOOP
  for (i32 l = 0; l < BUNDLE; ++l) {
    const Neighbours nu = neighbours_of(u_places.whole[l], u_places.part[l], u_size);
    const Neighbours nv = neighbours_of(v_places.whole[l], v_places.part[l], v_size);
    offset[l] = nu.index * u_stride + nv.index * v_stride;
    u_weight[l] = nu.weight;
    v_weight[l] = nv.weight;
  }
  XSIM_LANE_LOOP
  for (i32 l = 0; l < BUNDLE; ++l) {
    const Offset at = offset[l];
    const float a = value_of(corner[at]), b = value_of(across[at]), c = value_of(down[at]), d = value_of(both[at]);
    values[l] = bilinear(a, b, c, d, u_weight[l], v_weight[l]);
  }
  const bool full = k >= bundle.full_from && k < bundle.full_to;
  for (i32 h = 0; h < hinges; ++h) {
    const Hinge hinge = volume.hinges[h];
    if (full) {
      XSIM_LANE_LOOP
      for (i32 l = 0; l < BUNDLE; ++l) sums.sums[h][l] += on_grid(hinge_share(hinge, values[l]));
    } else {
      XSIM_LANE_LOOP
      for (i32 l = 0; l < BUNDLE; ++l)
        sums.sums[h][l] += on_grid(slab_weight(bundle.begin[l], bundle.end[l], k) * hinge_share(hinge, values[l]));
    }
  }
}

// Slabs that all rays of the bundle stay in one region of one value; 0 where there is none.
XSIM_FN i32 shared_region(const Volume& volume, const Bundle& bundle, i32 k, i64& at) {
  const double s = (double)k + 0.5;
  const VolumeRay &a = bundle.first, &b = bundle.last;
  const double au = u_at(a, s), av = v_at(a, s), bu = u_at(b, s), bv = v_at(b, s);
  const i32 cu = voxel_at(au, a.u.size), cv = voxel_at(av, a.v.size);
  const Region region = region_of(volume, a, k, cu, cv);
  if (region.reach == 0) return 0;
  const i32 du = voxel_at(bu, a.u.size), dv = voxel_at(bv, a.v.size);
  if (du < region.u_low || du >= region.u_high || dv < region.v_low || dv >= region.v_high) return 0;
  at = k * a.main.stride + cu * a.u.stride + cv * a.v.stride;
  return smaller(region_slabs(a, region, k, au, av), region_slabs(b, region, k, bu, bv));
}

template <i32 HINGES>
XSIM_FN void add_region(const Volume& volume, const Bundle& bundle, i32 k, i32 to, i64 at, BundleSums<HINGES>& sums) {
  const i32 hinges = HINGES == 1 ? 1 : volume.hinge_count;
  const float value = voxel_value(volume, at);
  const bool full = k >= bundle.full_from && to <= bundle.full_to;
  for (i32 h = 0; h < hinges; ++h) {
    const float share = hinge_share(volume.hinges[h], value);
    if (share == 0.0f) continue;
    const double whole = (double)(to - k) * on_grid(share);
    XSIM_LANE_LOOP
    for (i32 l = 0; l < BUNDLE; ++l)
      sums.sums[h][l] += full ? whole : region_sum(bundle.begin[l], bundle.end[l], k, to, share);
  }
}

template <class Voxel, class Offset, i32 HINGES>
XSIM_FN void sum_bundle(const Volume& volume, const Bundle& bundle, BundleSums<HINGES>& sums) {
  for (i32 k = bundle.from; k < bundle.to;) {
    i64 at = 0;
    const i32 skipped = smaller(shared_region(volume, bundle, k, at), bundle.to - k);
    if (skipped > 0) {
      add_region(volume, bundle, k, k + skipped, at, sums);
      k += skipped;
      continue;
    }
    BundlePlaces u, v;
    place_in(bundle.u, k, u);
    place_in(bundle.v, k, v);
    for (const i32 stop = smaller(k + SLABS, bundle.to); k < stop; ++k) {
      sample_slab<Voxel, Offset>(volume, bundle, k, u, v, sums);
      next_slab(u);
      next_slab(v);
    }
  }
}

template <class Voxel, i32 HINGES>
XSIM_FN void sum_bundle(const Volume& volume, const Bundle& bundle, BundleSums<HINGES>& sums) {
  const bool wide = volume.size[0] * volume.size[1] * volume.size[2] >= (i64)1 << 31;
  if (wide) sum_bundle<Voxel, i64>(volume, bundle, sums);
  else sum_bundle<Voxel, i32>(volume, bundle, sums);
}

// sink.give(lane, material, share of the way) for each ray of a bundle.
template <i32 HINGES, class Sink>
XSIM_FN void walk_bundle(const Volume& volume, const Bundle& bundle, i32 count, const Sink& sink) {
  BundleSums<HINGES> sums;
  const i32 hinges = HINGES == 1 ? 1 : volume.hinge_count;
  for (i32 h = 0; h < hinges; ++h)
    XSIM_LANE_LOOP
    for (i32 l = 0; l < BUNDLE; ++l) sums.sums[h][l] = 0.0;
  switch (volume.voxel_type) {
    case VOXEL_U8: sum_bundle<u8>(volume, bundle, sums); break;
    case VOXEL_U16: sum_bundle<u16>(volume, bundle, sums); break;
    case VOXEL_I16: sum_bundle<short>(volume, bundle, sums); break;
    case VOXEL_F16: sum_bundle<Half>(volume, bundle, sums); break;
    default: sum_bundle<float>(volume, bundle, sums);
  }
  for (i32 e = 0; e < volume.entry_count; ++e)
    for (i32 l = 0; l < count; ++l) {
      const double slabs = bundle.end[l] - bundle.begin[l];
      const float share = density_share<HINGES>(volume, e, slabs, bundle.slab[l], sums.sums[0] + l, BUNDLE);
      if (share > 0.0f) sink.give(l, volume.entry_materials[e], share);
    }
}
