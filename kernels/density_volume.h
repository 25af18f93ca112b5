// Density volumes: a value says how much of some materials a voxel holds. Interpolated.
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

// What is summed along a ray: the share of each hinge, in slabs.
template <i32 HINGES> struct HingeSums {
  float lanes[HINGES][SLABS];
  float regions[HINGES];
};

XSIM_FN float hinge_share(const Hinge& hinge, float value) {
  return smaller(larger((value - hinge.low) * hinge.inverse_width, 0.0f), hinge.cap);
}

// Where a block of slabs is sampled on one of the other axes: positions from a whole voxel on, so that float has
// figures to spare, clamped to the centres of the outermost voxels.
struct BlockAxis { float first, slope, low, high, last; i32 base; };

XSIM_FN BlockAxis block_axis(double position, double slope, i32 size) {
  const double centre = position - 0.5;
  const i32 base = (i32)(centre + 16.0) - 16;
  return {(float)(centre - (double)base), (float)slope, (float)-base, (float)(size - 1 - base),
          (float)(larger(size - 2, 0) - base), base};
}

// Bilinear samples in the middle of SLABS slabs from k on.
template <class Voxel>
XSIM_FN void sample_slabs(const Volume& volume, const VolumeRay& ray, i32 k, double u, double v, float* values) {
  const BlockAxis bu = block_axis(u, ray.u_slope, ray.u.size), bv = block_axis(v, ray.v_slope, ray.v.size);
  const Voxel* voxels = (const Voxel*)volume.voxels;
  const i64 corner = k * ray.main.stride + bu.base * ray.u.stride + bv.base * ray.v.stride;
  const i64 across = ray.u.size > 1 ? ray.u.stride : 0, down = ray.v.size > 1 ? ray.v.stride : 0;
  const i32 last = ray.main.size - 1 - k;
  float wu[SLABS], wv[SLABS];
  i32 iu[SLABS], iv[SLABS];
  for (i32 j = 0; j < SLABS; ++j) {
    const float pu = smaller(larger(bu.first + (float)j * bu.slope, bu.low), bu.high);
    const float pv = smaller(larger(bv.first + (float)j * bv.slope, bv.low), bv.high);
    iu[j] = floor_to_int(smaller(pu, bu.last));
    iv[j] = floor_to_int(smaller(pv, bv.last));
    wu[j] = pu - (float)iu[j];
    wv[j] = pv - (float)iv[j];
  }
  i64 slab = corner;
  for (i32 j = 0; j < SLABS; ++j) {
    const Voxel* p = voxels + (slab + iu[j] * ray.u.stride + iv[j] * ray.v.stride);
    slab += j < last ? ray.main.stride : 0;
    const float a = value_of(p[0]), b = value_of(p[across]), c = value_of(p[down]), d = value_of(p[across + down]);
    const float upper = a + wu[j] * (b - a), lower = c + wu[j] * (d - c);
    values[j] = upper + wv[j] * (lower - upper);
  }
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

template <i32 HINGES>
XSIM_FN void add_slabs(const Volume& volume, const VolumeRay& ray, i32 k, const float* values, HingeSums<HINGES>& sums) {
  const i32 hinges = HINGES == 1 ? 1 : volume.hinge_count;
  const float low = (float)(ray.begin - (double)k), high = (float)(ray.end - (double)k);
  float weights[SLABS];
  for (i32 j = 0; j < SLABS; ++j)
    weights[j] = larger(smaller((float)(j + 1), high) - larger((float)j, low), 0.0f);
  for (i32 h = 0; h < hinges; ++h) {
    const Hinge hinge = volume.hinges[h];
    for (i32 j = 0; j < SLABS; ++j) sums.lanes[h][j] += weights[j] * hinge_share(hinge, values[j]);
  }
}

// Crosses what is left of a region of one value; returns the slabs. A region's bricks are uniform with the voxels
// around them, so that where exactly it is left does not matter.
template <i32 HINGES>
XSIM_FN i32 add_region(const Volume& volume, const VolumeRay& ray, const Region& region, i32 k, double u, double v, i64 at,
                       HingeSums<HINGES>& sums) {
  const i32 hinges = HINGES == 1 ? 1 : volume.hinge_count;
  const i32 n = larger(smaller(slabs_within(ray, region, k, u, v) + 1, region.main_high - k), 1);
  const float weight = (float)(smaller((double)(k + n), ray.end) - larger((double)k, ray.begin));
  const float value = voxel_value(volume, at);
  for (i32 h = 0; h < hinges; ++h) sums.regions[h] += weight * hinge_share(volume.hinges[h], value);
  return n;
}

XSIM_FN void sample_slabs(const Volume& volume, const VolumeRay& ray, i32 k, double u, double v, float* values) {
  switch (volume.voxel_type) {
    case VOXEL_U8: sample_slabs<u8>(volume, ray, k, u, v, values); break;
    case VOXEL_U16: sample_slabs<u16>(volume, ray, k, u, v, values); break;
    case VOXEL_I16: sample_slabs<short>(volume, ray, k, u, v, values); break;
    case VOXEL_F16: sample_slabs<Half>(volume, ray, k, u, v, values); break;
    default: sample_slabs<float>(volume, ray, k, u, v, values);
  }
}

template <i32 HINGES>
XSIM_FN void sum_densities(const Volume& volume, const VolumeRay& ray, HingeSums<HINGES>& sums) {
  for (i32 k = (i32)ray.begin; (double)k < ray.end;) {
    const double u = u_at(ray, (double)k + 0.5), v = v_at(ray, (double)k + 0.5);
    const i32 cu = voxel_at(u, ray.u.size), cv = voxel_at(v, ray.v.size);
    const Region region = region_of(volume, ray, k, cu, cv);
    if (region.reach > 0) {
      const i64 at = k * ray.main.stride + cu * ray.u.stride + cv * ray.v.stride;
      k += add_region(volume, ray, region, k, u, v, at, sums);
      continue;
    }
    float values[SLABS];
    sample_slabs(volume, ray, k, u, v, values);
    add_slabs(volume, ray, k, values, sums);
    k += SLABS;
  }
}

template <i32 HINGES, class Sink>
XSIM_FN void walk_densities(const Volume& volume, const VolumeRay& ray, const Sink& sink) {
  HingeSums<HINGES> sums;
  const i32 hinges = HINGES == 1 ? 1 : volume.hinge_count;
  for (i32 h = 0; h < hinges; ++h) {
    sums.regions[h] = 0.0f;
    for (i32 j = 0; j < SLABS; ++j) sums.lanes[h][j] = 0.0f;
  }
  sum_densities(volume, ray, sums);
  for (i32 h = 0; h < hinges; ++h) {
    const float* p = sums.lanes[h];
    sums.regions[h] += ((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + (p[6] + p[7]));
  }
  const float slab = (float)magnitude(ray.main.inverse), slabs = (float)(ray.end - ray.begin);
  for (i32 e = 0; e < volume.entry_count; ++e) {
    const float* densities = volume.densities + e * (1 + hinges);
    float sum = densities[0] * slabs;
    for (i32 h = 0; h < hinges; ++h) sum += densities[1 + h] * sums.regions[h];
    if (sum > 0.0f) sink.give(volume.entry_materials[e], sum * slab);
  }
}
