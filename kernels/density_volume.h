// Density volumes: a value says how much of some materials a voxel holds. Interpolated.
//
// A sample depends on its slab and its ray alone, and what is summed is rounded to a grid on which sums are exact: the
// same bits come of any order, of steps over bricks and of parts of a way.
#pragma once
#include "volume.h"

XSIM_FN float value_of(u8 x) { return (float)x; }
XSIM_FN float value_of(u16 x) { return (float)x; }
XSIM_FN float value_of(short x) { return (float)x; }
XSIM_FN float value_of(float x) { return x; }
// IEEE binary16, subnormals included; the exponent is moved by an exact product.
struct Half { u16 bits; };
XSIM_FN float value_of(Half x) {
  const float size = float_of((u32)(x.bits & 0x7FFFu) << 13) * float_of(0x77800000u);  // 2^112
  return float_of(bits_of(size) | (u32)(x.bits & 0x8000u) << 16);
}

XSIM_FN float voxel_value(const Volume& volume, i64 at) {
  switch (volume.voxel_type) {
    case VOXEL_U8: return value_of(((const u8*)volume.voxels)[at]);
    case VOXEL_U16: return value_of(((const u16*)volume.voxels)[at]);
    case VOXEL_I16: return value_of(((const short*)volume.voxels)[at]);
    case VOXEL_F16: return value_of(((const Half*)volume.voxels)[at]);
    default: return value_of(((const float*)volume.voxels)[at]);
  }
}

XSIM_FN float hinge_share(const Hinge& hinge, float value) {
  return smaller(larger((value - hinge.low) * hinge.inverse_width, 0.0f), hinge.cap);
}

// The nearest multiple of 2^-30, for |x| < 2^21. Sums of them below 2^22 are exact.
XSIM_FN double on_grid(float x) { return ((double)x + 6291456.0) - 6291456.0; }

// Share of slab k between two ends of a way; 1 inside.
XSIM_FN float slab_weight(double begin, double end, i32 k) {
  return larger((float)(smaller((double)(k + 1), end) - larger((double)k, begin)), 0.0f);
}

// What the slabs [from, to) add where all samples have one share.
XSIM_FN double region_sum(double begin, double end, i32 from, i32 to, float share) {
  const i32 first = (i32)begin, last = (i32)end, whole = first + (i32)((double)first < begin);
  const i32 full = larger(smaller(to, last) - larger(from, whole), 0);
  double sum = (double)full * on_grid(share);
  if (first < whole && first >= from && first < to) sum += on_grid(slab_weight(begin, end, first) * share);
  if ((double)last < end && last >= whole && last >= from && last < to)
    sum += on_grid(slab_weight(begin, end, last) * share);
  return sum;
}

// Places of samples on one of the other axes in units of 2^-32 voxels, from the centre of the first voxel on: that in
// slab k is at + k * step, exactly, however it is come to.
struct Samples { i64 at, step; };
XSIM_FN i64 fixed_point(double x) { return (i64)(smaller(larger(x, -1e9), 1e9) * 4294967296.0); }
XSIM_FN Samples u_samples(const VolumeRay& ray) { return {fixed_point(u_at(ray, 0.5) - 0.5), fixed_point(ray.u_slope)}; }
XSIM_FN Samples v_samples(const VolumeRay& ray) { return {fixed_point(v_at(ray, 0.5) - 0.5), fixed_point(ray.v_slope)}; }

// The voxel before a sample, and the weight of the next; nothing changes beyond the centres of the outermost voxels.
struct Neighbours { i32 index; float weight; };
XSIM_FN Neighbours neighbours_of(i32 index, u32 part, i32 size) {
  const i32 last = size - 2;
  const float weight = (float)(i32)(part >> 8) * 5.9604644775390625e-8f;  // 2^-24
  const float above = index > last ? 1.0f : weight;
  return {smaller(larger(index, 0), larger(last, 0)), index < 0 ? 0.0f : above};
}
XSIM_FN Neighbours neighbours_of(i64 at, i32 size) { return neighbours_of((i32)(at >> 32), (u32)at, size); }

// Voxels from one to the next on the other axes; an axis of one voxel has no next.
struct Steps { i64 across, down; };
XSIM_FN Steps steps_of(const VolumeRay& ray) {
  return {ray.u.size > 1 ? ray.u.stride : 0, ray.v.size > 1 ? ray.v.stride : 0};
}

XSIM_FN float bilinear(float a, float b, float c, float d, float wu, float wv) {
  const float upper = a + wu * (b - a), lower = c + wu * (d - c);
  return upper + wv * (lower - upper);
}
template <class Voxel> XSIM_FN float interpolate(const Voxel* p, const Steps& steps, float wu, float wv) {
  const float a = value_of(p[0]), b = value_of(p[steps.across]);
  const float c = value_of(p[steps.down]), d = value_of(p[steps.across + steps.down]);
  return bilinear(a, b, c, d, wu, wv);
}

// Samples in the middle of `count` slabs from k on.
template <class Voxel>
XSIM_FN void sample_slabs(const Volume& volume, const VolumeRay& ray, i32 k, i32 count, float* values) {
  const Steps steps = steps_of(ray);
  const Samples us = u_samples(ray), vs = v_samples(ray);
  for (i32 j = 0; j < SLABS; ++j) {
    const i64 slab = smaller(k + j, k + count - 1);
    const Neighbours u = neighbours_of(us.at + slab * us.step, ray.u.size);
    const Neighbours v = neighbours_of(vs.at + slab * vs.step, ray.v.size);
    const i64 at = slab * ray.main.stride + u.index * ray.u.stride + v.index * ray.v.stride;
    values[j] = interpolate((const Voxel*)volume.voxels + at, steps, u.weight, v.weight);
  }
}

XSIM_FN void sample_slabs(const Volume& volume, const VolumeRay& ray, i32 k, i32 count, float* values) {
  switch (volume.voxel_type) {
    case VOXEL_U8: sample_slabs<u8>(volume, ray, k, count, values); break;
    case VOXEL_U16: sample_slabs<u16>(volume, ray, k, count, values); break;
    case VOXEL_I16: sample_slabs<short>(volume, ray, k, count, values); break;
    case VOXEL_F16: sample_slabs<Half>(volume, ray, k, count, values); break;
    default: sample_slabs<float>(volume, ray, k, count, values);
  }
}

// What is summed along a ray: the share of each hinge, in slabs.
template <i32 HINGES> struct HingeSums { double sums[HINGES]; };

// Slabs from k on until the ray leaves a region, at least one. A region's bricks are uniform with the voxels around
// them, so that where exactly it is left does not matter.
XSIM_FN i32 region_slabs(const VolumeRay& ray, const Region& region, i32 k, double u, double v) {
  return larger(smaller(slabs_within(ray, region, k, u, v) + 1, region.main_high - k), 1);
}

template <i32 HINGES>
XSIM_FN void sum_densities(const Volume& volume, const VolumeRay& ray, HingeSums<HINGES>& sums) {
  const i32 hinges = HINGES == 1 ? 1 : volume.hinge_count;
  const i32 stop = (i32)ray.end + (i32)((double)(i32)ray.end < ray.end);
  for (i32 k = (i32)ray.begin; k < stop;) {
    const double u = u_at(ray, (double)k + 0.5), v = v_at(ray, (double)k + 0.5);
    const i32 cu = voxel_at(u, ray.u.size), cv = voxel_at(v, ray.v.size);
    const Region region = region_of(volume, ray, k, cu, cv);
    if (region.reach > 0) {
      const float value = voxel_value(volume, k * ray.main.stride + cu * ray.u.stride + cv * ray.v.stride);
      const i32 n = region_slabs(ray, region, k, u, v);
      for (i32 h = 0; h < hinges; ++h)
        sums.sums[h] += region_sum(ray.begin, ray.end, k, k + n, hinge_share(volume.hinges[h], value));
      k += n;
      continue;
    }
    const i32 count = smaller(SLABS, stop - k);
    float values[SLABS];
    sample_slabs(volume, ray, k, count, values);
    for (i32 h = 0; h < hinges; ++h) {
      const Hinge hinge = volume.hinges[h];
      for (i32 j = 0; j < count; ++j)
        sums.sums[h] += on_grid(slab_weight(ray.begin, ray.end, k + j) * hinge_share(hinge, values[j]));
    }
    k += count;
  }
}

// Share of the way that counts as material `entry` at its own density.
template <i32 HINGES>
XSIM_FN float density_share(const Volume& volume, i32 entry, double slabs, double slab, const double* sums, i32 stride) {
  const i32 hinges = HINGES == 1 ? 1 : volume.hinge_count;
  const float* densities = volume.densities + entry * (1 + hinges);
  float sum = densities[0] * (float)slabs;
  for (i32 h = 0; h < hinges; ++h) sum += densities[1 + h] * (float)sums[h * stride];
  return sum * (float)slab;
}

template <i32 HINGES, class Sink>
XSIM_FN void walk_densities(const Volume& volume, const VolumeRay& ray, const Sink& sink) {
  HingeSums<HINGES> sums;
  for (i32 h = 0; h < HINGES; ++h) sums.sums[h] = 0.0;
  sum_densities(volume, ray, sums);
  for (i32 e = 0; e < volume.entry_count; ++e) {
    const float share =
        density_share<HINGES>(volume, e, ray.end - ray.begin, magnitude(ray.main.inverse), sums.sums, 1);
    if (share > 0.0f) sink.give(volume.entry_materials[e], share);
  }
}
