// Neighbouring rays through a density volume together, slab by slab: they share lines of memory and steps over bricks.
// The samples are those of single rays; only the order of their sum differs.
#pragma once
#include "density_volume.h"

const i32 BUNDLE = 8;

// Rays of one row of pixels that have a main axis in common. Between the first and the last that meet the box, each
// lies between its neighbours in every slab.
struct Bundle {
  VolumeRay first, last;
  double begin[BUNDLE], end[BUNDLE], full_slab[BUNDLE];
  double main_origin[BUNDLE], u_origin[BUNDLE], v_origin[BUNDLE], u_slope[BUNDLE], v_slope[BUNDLE];
  i32 from, to;  // slabs [from, to)
};

XSIM_FN bool same_main_axis(const VolumeRay& a, const VolumeRay& b) {
  return a.main.stride == b.main.stride && (a.main.direction > 0.0) == (b.main.direction > 0.0);
}

// Bundle of `count` pixels from a column on; false where they are to be followed one by one. None of them meets the
// box where to <= from.
XSIM_FN bool make_bundle(const Volume& volume, i32 column, i32 row, i32 count, Bundle& bundle) {
  bundle.from = 0;
  bundle.to = 0;
  for (i32 l = 0; l < BUNDLE; ++l) {
    const VolumeRay ray = volume_ray(volume, column + smaller(l, count - 1), row, 0.0, 1e300);
    if (l > 0 && !same_main_axis(ray, bundle.last)) return false;
    const bool met = ray.end > ray.begin;
    if (met && bundle.to == 0) bundle.first = ray;
    if (met || bundle.to == 0) bundle.last = ray;
    if (met) {
      const i32 begin = (i32)ray.begin, end = (i32)ray.end + 1;
      bundle.from = bundle.to == 0 ? begin : smaller(bundle.from, begin);
      bundle.to = smaller(larger(bundle.to, end), ray.main.size);
    }
    bundle.begin[l] = ray.begin;
    bundle.end[l] = ray.end;
    bundle.full_slab[l] = magnitude(ray.main.inverse);
    bundle.main_origin[l] = ray.main.origin;
    bundle.u_origin[l] = ray.u.origin;
    bundle.v_origin[l] = ray.v.origin;
    bundle.u_slope[l] = ray.main.inverse * ray.u.direction;
    bundle.v_slope[l] = ray.main.inverse * ray.v.direction;
  }
  return true;
}

template <i32 HINGES> struct BundleSums { float sums[HINGES][BUNDLE]; };

// Where the rays are in the middle of slab k, from a whole voxel on.
struct BundleBlock {
  float u[BUNDLE], v[BUNDLE], u_slope[BUNDLE], v_slope[BUNDLE], low[BUNDLE], high[BUNDLE];
  i32 u_base, v_base;
};

XSIM_FN void place_block(const Bundle& bundle, i32 k, BundleBlock& block) {
  const double s = (double)k + 0.5;
  const double u0 = larger(u_at(bundle.first, s), 0.0), v0 = larger(v_at(bundle.first, s), 0.0);
  block.u_base = (i32)smaller(u0, (double)bundle.first.u.size);
  block.v_base = (i32)smaller(v0, (double)bundle.first.v.size);
  const double u_base = (double)block.u_base + 0.5, v_base = (double)block.v_base + 0.5;
  for (i32 l = 0; l < BUNDLE; ++l) {
    const double way = s - bundle.main_origin[l];
    block.u[l] = (float)(bundle.u_origin[l] + way * bundle.u_slope[l] - u_base);
    block.v[l] = (float)(bundle.v_origin[l] + way * bundle.v_slope[l] - v_base);
    block.u_slope[l] = (float)bundle.u_slope[l];
    block.v_slope[l] = (float)bundle.v_slope[l];
    block.low[l] = (float)(bundle.begin[l] - (double)k);
    block.high[l] = (float)(bundle.end[l] - (double)k);
  }
}

// Bounds of a sample on one of the other axes, counted from the base.
struct SampleAxis { float low, high, last; };
XSIM_FN SampleAxis sample_axis(i32 base, i32 size) {
  return {(float)-base, (float)(size - 1 - base), (float)(larger(size - 2, 0) - base)};
}

template <class Voxel, class Offset, i32 HINGES>
XSIM_FN void sample_block(const Volume& volume, const Bundle& bundle, i32 k, i32 slabs, BundleSums<HINGES>& sums) {
  BundleBlock block;
  place_block(bundle, k, block);
  const VolumeAxis &main = bundle.first.main, &u = bundle.first.u, &v = bundle.first.v;
  const SampleAxis au = sample_axis(block.u_base, u.size), av = sample_axis(block.v_base, v.size);
  const Voxel* corner = (const Voxel*)volume.voxels;
  i64 at = k * main.stride + block.u_base * u.stride + block.v_base * v.stride;
  const i64 across = u.size > 1 ? u.stride : 0, down = v.size > 1 ? v.stride : 0;
  const Offset u_stride = (Offset)u.stride, v_stride = (Offset)v.stride;
  const i32 hinges = HINGES == 1 ? 1 : volume.hinge_count;
  for (i32 j = 0; j < slabs; ++j, at += main.stride) {
    float wu[BUNDLE], wv[BUNDLE], values[BUNDLE], weights[BUNDLE];
    Offset offsets[BUNDLE];
    const float fj = (float)j;
    for (i32 l = 0; l < BUNDLE; ++l) {
      const float pu = smaller(larger(block.u[l] + fj * block.u_slope[l], au.low), au.high);
      const float pv = smaller(larger(block.v[l] + fj * block.v_slope[l], av.low), av.high);
      const i32 iu = floor_to_int(smaller(pu, au.last)), iv = floor_to_int(smaller(pv, av.last));
      wu[l] = pu - (float)iu;
      wv[l] = pv - (float)iv;
      offsets[l] = iu * u_stride + iv * v_stride;
      weights[l] = larger(smaller(fj + 1.0f, block.high[l]) - larger(fj, block.low[l]), 0.0f);
    }
    for (i32 l = 0; l < BUNDLE; ++l) {
      const Voxel* p = corner + (at + offsets[l]);
      const float a = value_of(p[0]), b = value_of(p[across]), c = value_of(p[down]), d = value_of(p[across + down]);
      const float upper = a + wu[l] * (b - a), lower = c + wu[l] * (d - c);
      values[l] = upper + wv[l] * (lower - upper);
    }
    for (i32 h = 0; h < hinges; ++h) {
      const Hinge hinge = volume.hinges[h];
      for (i32 l = 0; l < BUNDLE; ++l) sums.sums[h][l] += weights[l] * hinge_share(hinge, values[l]);
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
  const i32 n = smaller(slabs_within(a, region, k, au, av), slabs_within(b, region, k, bu, bv)) + 1;
  return larger(smaller(n, region.main_high - k), 1);
}

template <i32 HINGES>
XSIM_FN void add_region(const Volume& volume, const Bundle& bundle, i32 k, i32 slabs, i64 at, BundleSums<HINGES>& sums) {
  const i32 hinges = HINGES == 1 ? 1 : volume.hinge_count;
  const float value = voxel_value(volume, at);
  float weights[BUNDLE];
  for (i32 l = 0; l < BUNDLE; ++l)
    weights[l] = (float)larger(smaller((double)(k + slabs), bundle.end[l]) - larger((double)k, bundle.begin[l]), 0.0);
  for (i32 h = 0; h < hinges; ++h) {
    const float share = hinge_share(volume.hinges[h], value);
    if (share > 0.0f)
      for (i32 l = 0; l < BUNDLE; ++l) sums.sums[h][l] += weights[l] * share;
  }
}

template <class Voxel, class Offset, i32 HINGES>
XSIM_FN void sum_bundle(const Volume& volume, const Bundle& bundle, BundleSums<HINGES>& sums) {
  for (i32 k = bundle.from; k < bundle.to;) {
    i64 at = 0;
    const i32 skipped = smaller(shared_region(volume, bundle, k, at), bundle.to - k);
    if (skipped > 0) {
      add_region(volume, bundle, k, skipped, at, sums);
      k += skipped;
      continue;
    }
    const i32 slabs = smaller(SLABS, bundle.to - k);
    sample_block<Voxel, Offset>(volume, bundle, k, slabs, sums);
    k += slabs;
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
    for (i32 l = 0; l < BUNDLE; ++l) sums.sums[h][l] = 0.0f;
  switch (volume.voxel_type) {
    case VOXEL_U8: sum_bundle<u8>(volume, bundle, sums); break;
    case VOXEL_U16: sum_bundle<u16>(volume, bundle, sums); break;
    case VOXEL_I16: sum_bundle<short>(volume, bundle, sums); break;
    case VOXEL_F16: sum_bundle<Half>(volume, bundle, sums); break;
    default: sum_bundle<float>(volume, bundle, sums);
  }
  for (i32 e = 0; e < volume.entry_count; ++e) {
    const float* densities = volume.densities + e * (1 + hinges);
    for (i32 l = 0; l < count; ++l) {
      float sum = densities[0] * (float)(bundle.end[l] - bundle.begin[l]);
      for (i32 h = 0; h < hinges; ++h) sum += densities[1 + h] * sums.sums[h][l];
      if (sum > 0.0f) sink.give(l, volume.entry_materials[e], sum * (float)bundle.full_slab[l]);
    }
  }
}
