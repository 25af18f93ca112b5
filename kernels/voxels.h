// What a ray meets in a volume of either kind.
#pragma once
#include "density_bundle.h"
#include "label_volume.h"

// Runs of labels as lengths of materials.
template <class Sink> struct MaterialRuns {
  const Volume& volume;
  const Sink& sink;
  double fraction_per_slab;
  XSIM_METHOD void run(i32 label, double from, double to) const {
    const i32 material = volume.label_materials[label];
    if (material >= 0) sink.give(material, (float)((to - from) * fraction_per_slab));
  }
};

// Gives every material met between two fractions of the way: sink.give(material, share of the way). A density counts
// as that much of the material at its own density.
template <class Sink>
XSIM_FN void walk_volume(const Volume& volume, i32 column, i32 row, double f0, double f1, const Sink& sink) {
  const VolumeRay ray = volume_ray(volume, column, row, f0, f1);
  if (!(ray.end > ray.begin)) return;
  if (volume.label_materials) {
    visit_labels(volume, ray, MaterialRuns<Sink>{volume, sink, magnitude(ray.main.inverse)});
  } else if (volume.hinge_count == 1) {
    walk_densities<1>(volume, ray, sink);
  } else {
    walk_densities<MOST_HINGES>(volume, ray, sink);
  }
}

// The stretch of voxels with a material that a ray is in; kept outside the visitor, whose calls change nothing else.
struct Stretch { double from, to; };

template <class Sink> struct Surfaces {
  const Volume& volume;
  const VolumeRay& ray;
  const Sink& sink;
  Stretch& held;
  i32 column, row;
  XSIM_METHOD float depth(double s) const {
    return (float)((s - ray.main.origin) * ray.main.inverse - volume.reference_fraction);
  }
  XSIM_METHOD void settle() const {
    if (!(held.to > held.from)) return;
    const float a = depth(held.from), b = depth(held.to);
    const i64 pixel = sink.pixel(column, row);
    sink.cross(pixel, smaller(a, b), 1);
    sink.cross(pixel, larger(a, b), -1);
  }
  XSIM_METHOD void run(i32 label, double from, double to) const {
    if (volume.label_materials[label] < 0) return;
    if (from != held.to) {
      settle();
      held.from = from;
    }
    held.to = to;
  }
};

// Where rays of a tile pass between nothing and something: sink.cross(pixel, depth, +1 or -1), in pairs.
template <class Sink> XSIM_FN void cross_volume(const Volume& volume, const Window& tile, const Sink& sink) {
  const Window w = meet(volume.window, tile);
  for (i32 row = w.row0; row <= w.row1; ++row)
    for (i32 column = w.column0; column <= w.column1; ++column) {
      const VolumeRay ray = volume_ray(volume, column, row, 0.0, 1e300);
      if (!(ray.end > ray.begin)) continue;
      Stretch held = {-1.0, -1.0};
      const Surfaces<Sink> surfaces = {volume, ray, sink, held, column, row};
      if (volume.label_materials) visit_labels(volume, ray, surfaces);
      else held = {ray.begin, ray.end};
      surfaces.settle();
    }
}

struct BrickArgs {
  const void* voxels;
  u8* uniform;    // [brick] 1 where all voxels are equal
  u32* values;    // [brick] the first voxel, as bits
  i64 size[3];
  i32 bytes;      // of a voxel
  i32 halo;       // 1: the voxels around count too
};

template <class Word> XSIM_FN void find_uniform_brick(const BrickArgs& args, i64 brick) {
  const i64 bx = brick_count(args.size[0]), by = brick_count(args.size[1]);
  const i64 first[3] = {brick % bx * BRICK, brick / bx % by * BRICK, brick / (bx * by) * BRICK};
  i64 low[3], high[3];
  for (i32 a = 0; a < 3; ++a) {
    low[a] = larger(first[a] - args.halo, (i64)0);
    high[a] = smaller(first[a] + BRICK + args.halo, args.size[a]);
  }
  const Word* voxels = (const Word*)args.voxels;
  const Word value = voxels[(first[2] * args.size[1] + first[1]) * args.size[0] + first[0]];
  u32 different = 0;
  for (i64 z = low[2]; z < high[2] && !different; ++z)
    for (i64 y = low[1]; y < high[1]; ++y) {
      const Word* line = voxels + (z * args.size[1] + y) * args.size[0];
      for (i64 x = low[0]; x < high[0]; ++x) different |= (u32)(line[x] ^ value);
    }
  args.uniform[brick] = different == 0;
  args.values[brick] = value;
}

// Work item: a brick.
XSIM_KERNEL(find_uniform_bricks, BrickArgs) {
  if (args.bytes == 1) find_uniform_brick<u8>(args, item);
  else if (args.bytes == 2) find_uniform_brick<u16>(args, item);
  else find_uniform_brick<u32>(args, item);
}

// One ray of several.
template <class Sink> struct LaneSink {
  const Sink& sink;
  i32 lane;
  XSIM_METHOD void give(i32 material, float share) const { sink.give(lane, material, share); }
};

// Gives every material that neighbouring rays of a row meet on all their way: sink.give(which of them, material, share).
template <class Sink>
XSIM_FN void walk_rays(const Volume& volume, i32 column, i32 row, i32 count, const Sink& sink) {
  Bundle bundle;
  if (XSIM_PIXEL_MAJOR || volume.label_materials || !make_bundle(volume, column, row, count, bundle)) {
    for (i32 k = 0; k < count; ++k) walk_volume(volume, column + k, row, 0.0, 1e300, LaneSink<Sink>{sink, k});
    return;
  }
  if (bundle.to <= bundle.from) return;
  if (volume.hinge_count == 1) walk_bundle<1>(volume, bundle, count, sink);
  else walk_bundle<MOST_HINGES>(volume, bundle, count, sink);
}
