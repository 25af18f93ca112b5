// Overlap by priority: along each ray the body of the highest rank owns the length, whatever lies below it.
#pragma once
#include "math.h"
#include "vec.h"
#include "voxels.h"

// What can be wrong with a body on a ray.
enum Fault : u8 {
  FAULT_OPEN = 1,    // entered and left unequally often
  FAULT_FLIPPED = 2, // left before it was entered, over more than FAULT_LENGTH_MM
  FAULT_NESTED = 4   // entered twice, over more than FAULT_LENGTH_MM: its shells overlap
};
const float FAULT_LENGTH_MM = 1e-2f;

// What is found on every ray of an image.
struct Resolved {
  float* lengths;        // [material, pixel] mm
  u16* highest;          // [pixel] 1 + rank of the highest body met, 0 where none
  u8* faults;            // [pixel] OR of Fault
  i32* faulty_bodies;    // [pixel] 8 * rank + faults of one faulty body, 0 where none
  const i32* materials;  // [body rank] -1 - k for the volume k
  const Volume* volumes;
  Directions<float> view;
  i64 image_pixels;
};

struct ResolveArgs {
  float* depths;       // [slot] consumed: sorted, then reused
  i32* codes;          // [slot] consumed
  const i64* starts;   // [pixel of the block + 1]
  Resolved resolved;
  i64 first_pixel;     // of the block, in the image
  i32 columns;
};

// Crossings of one ray in the order (depth, code). Shell sort in place: equal keys are interchangeable.
XSIM_FN void sort_crossings(float* depths, i32* codes, i32 n) {
  i32 gap = 1;
  while (gap < n / 3) gap = 3 * gap + 1;
  for (; gap > 0; gap /= 3)
    for (i32 i = gap; i < n; ++i) {
      const float depth = depths[i];
      const i32 code = codes[i];
      i32 k = i;
      for (; k >= gap && (depth < depths[k - gap] || (depth == depths[k - gap] && code < codes[k - gap])); k -= gap) {
        depths[k] = depths[k - gap];
        codes[k] = codes[k - gap];
      }
      depths[k] = depth;
      codes[k] = code;
    }
}

// The bodies a ray is inside of, kept in the slots of crossings already passed: there are never more of them.
struct Active { float* windings; i32* ranks; i32 count; };

XSIM_FN void cross_surface(Active& a, i32 rank, float step) {
  i32 k = 0;
  while (k < a.count && a.ranks[k] != rank) ++k;
  if (k == a.count) {
    a.ranks[k] = rank;
    a.windings[k] = step;
    a.count += 1;
    return;
  }
  a.windings[k] += step;
  if (a.windings[k] != 0.0f) return;
  a.count -= 1;
  a.ranks[k] = a.ranks[a.count];
  a.windings[k] = a.windings[a.count];
}

// A pixel names one body and its faults: one that is open or flipped before one that is nested, then the highest.
XSIM_FN void note_fault(const Resolved& args, i64 pixel, u8 fault, i32 rank) {
  const i32 grave = FAULT_OPEN | FAULT_FLIPPED, held = args.faulty_bodies[pixel];
  args.faults[pixel] |= fault;
  if (held > 0 && held >> 3 == rank) {
    args.faulty_bodies[pixel] = held | fault;
    return;
  }
  const bool graver = held == 0 || ((fault & grave) != 0 && (held & grave) == 0);
  const bool lighter = (fault & grave) == 0 && (held & grave) != 0;
  if (graver || (!lighter && rank > held >> 3)) args.faulty_bodies[pixel] = 8 * rank + fault;
}

// What a volume holds on a stretch of ray that it wins.
struct StretchSink {
  const Resolved& args;
  i64 pixel;
  float full_length;
  XSIM_METHOD void give(i32 material, float share) const {
    args.lengths[material * args.image_pixels + pixel] += share * full_length;
  }
};

// A ray of the image, and the stretch of it between two depths.
struct RayStretch {
  i64 pixel;
  i32 column, row;
  float full_length, from, to;
};

// Gives a stretch of ray to the body that wins there; returns its rank.
XSIM_FN i32 give_length(const Resolved& args, const Active& a, const RayStretch& ray) {
  const i64 pixel = ray.pixel;
  const float length = (ray.to - ray.from) * ray.full_length;
  i32 winner = -1;
  for (i32 k = 0; k < a.count; ++k) {
    winner = larger(winner, a.ranks[k]);
    if (length > FAULT_LENGTH_MM && a.windings[k] < 0.0f) note_fault(args, pixel, FAULT_FLIPPED, a.ranks[k]);
    if (length > FAULT_LENGTH_MM && a.windings[k] > 1.0f) note_fault(args, pixel, FAULT_NESTED, a.ranks[k]);
  }
  const i32 material = winner >= 0 ? args.materials[winner] : 0;
  if (material < 0) {
    const Volume& volume = args.volumes[-1 - material];
    const double f0 = volume.reference_fraction + (double)ray.from, f1 = volume.reference_fraction + (double)ray.to;
    walk_volume(volume, ray.column, ray.row, f0, f1, StretchSink{args, pixel, ray.full_length});
  } else if (winner >= 0) {
    args.lengths[material * args.image_pixels + pixel] += length;
  }
  return winner;
}

// Work item: a pixel of the block.
XSIM_KERNEL(resolve_overlaps, ResolveArgs) {
  const i64 start = args.starts[item], pixel = args.first_pixel + item;
  const i32 n = (i32)(args.starts[item + 1] - start);
  if (n == 0) return;
  float* depths = args.depths + start;
  i32* codes = args.codes + start;
  sort_crossings(depths, codes, n);
  const i32 column = (i32)(pixel % args.columns), row = (i32)(pixel / args.columns);
  const float full_length = norm(direction(args.resolved.view, (float)column, (float)row));
  Active active = {depths, codes, 0};
  i32 highest = -1;
  float previous = 0.0f;
  for (i32 k = 0; k < n; ++k) {
    const float depth = depths[k];  // read before the slot is reused
    const i32 code = codes[k];
    if (active.count > 0 && depth > previous)
      highest = larger(highest, give_length(args.resolved, active, {pixel, column, row, full_length, previous, depth}));
    previous = depth;
    cross_surface(active, code >> 1, (code & 1) ? 1.0f : -1.0f);
  }
  for (i32 k = 0; k < active.count; ++k) note_fault(args.resolved, pixel, FAULT_OPEN, active.ranks[k]);
  args.resolved.highest[pixel] = larger(args.resolved.highest[pixel], (u16)(highest + 1));
}
