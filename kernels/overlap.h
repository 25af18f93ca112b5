// Overlap by priority: along each ray the body of the highest rank owns the length, whatever lies below it.
#pragma once
#include "math.h"
#include "vec.h"

// What can be wrong with a body on a ray.
enum Fault : u8 {
  FAULT_OPEN = 1,    // entered and left unequally often
  FAULT_FLIPPED = 2, // left before it was entered, over more than the fault length
  FAULT_NESTED = 4   // entered twice, over more than that: its shells overlap
};

// What all tiles add to, and what they must know of the bodies.
struct Resolved {
  u8* faults;            // [pixel of the image] OR of Fault
  i32* faulty_bodies;    // [pixel of the image] 8 * rank + faults of one faulty body, 0 where none
  const i32* materials;  // [body rank] -1 - k for the volume k of those that may overlap
  i32* any_fault;        // set to 1 with the first
  i64 image_columns;
  float fault_length_mm; // shorter stretches are what rounding corners to the screen can do to a grazed face
};

// The crossings of one ray: neighbours are `stride` apart.
struct Crossings { float* depths; i32* codes; i64 stride; i32 count; };

// In the order (depth, code). Shell sort in place: equal keys are interchangeable.
XSIM_FN void sort_crossings(const Crossings& c) {
  float* depths = c.depths;
  i32* codes = c.codes;
  const i64 n = c.count * c.stride;
  i64 gap = c.stride;
  while (gap < n / 3) gap = 3 * gap + c.stride;
  for (; gap > 0; gap = gap / c.stride / 3 * c.stride)
    for (i64 i = gap; i < n; i += c.stride) {
      const float depth = depths[i];
      const i32 code = codes[i];
      i64 k = i;
      for (; k >= gap && (depth < depths[k - gap] || (depth == depths[k - gap] && code < codes[k - gap])); k -= gap) {
        depths[k] = depths[k - gap];
        codes[k] = codes[k - gap];
      }
      depths[k] = depth;
      codes[k] = code;
    }
}

// The bodies a ray is inside of, kept in the slots of crossings already passed: there are never more of them.
struct Active { float* windings; i32* ranks; i64 stride; i32 count; };

XSIM_FN void cross_surface(Active& a, i32 rank, float step) {
  i32 k = 0;
  while (k < a.count && a.ranks[k * a.stride] != rank) ++k;
  if (k == a.count) {
    a.ranks[k * a.stride] = rank;
    a.windings[k * a.stride] = step;
    a.count += 1;
    return;
  }
  a.windings[k * a.stride] += step;
  if (a.windings[k * a.stride] != 0.0f) return;
  a.count -= 1;
  a.ranks[k * a.stride] = a.ranks[a.count * a.stride];
  a.windings[k * a.stride] = a.windings[a.count * a.stride];
}

// A pixel names one body and its faults: one that is open or flipped before one that is nested, then the highest.
XSIM_FN void note_fault(const Resolved& args, i64 pixel, u8 fault, i32 rank) {
  const i32 grave = FAULT_OPEN | FAULT_FLIPPED, held = args.faulty_bodies[pixel];
  args.faults[pixel] |= fault;
  *args.any_fault = 1;
  if (held > 0 && held >> 3 == rank) {
    args.faulty_bodies[pixel] = held | fault;
    return;
  }
  const bool graver = held == 0 || ((fault & grave) != 0 && (held & grave) == 0);
  const bool lighter = (fault & grave) == 0 && (held & grave) != 0;
  if (graver || (!lighter && rank > held >> 3)) args.faulty_bodies[pixel] = 8 * rank + fault;
}

// The body that wins a stretch of ray; -1 where there is none.
XSIM_FN i32 winner_of(const Resolved& args, const Active& a, i64 image_pixel, float length) {
  i32 winner = -1;
  for (i32 k = 0; k < a.count; ++k) {
    const i32 rank = a.ranks[k * a.stride];
    const float winding = a.windings[k * a.stride];
    winner = larger(winner, rank);
    if (length > args.fault_length_mm && winding < 0.0f) note_fault(args, image_pixel, FAULT_FLIPPED, rank);
    if (length > args.fault_length_mm && winding > 1.0f) note_fault(args, image_pixel, FAULT_NESTED, rank);
  }
  return winner;
}

// A ray that enters one body and leaves it, nothing else: most rays. False where there is more to it.
template <class Give> XSIM_FN bool resolve_pair(const Crossings& c, float full_length, const Give& give) {
  if (c.count != 2) return false;
  const i32 first = c.codes[0], second = c.codes[c.stride];
  const float one = c.depths[0], other = c.depths[c.stride];
  const float length = ((second & 1) ? one - other : other - one) * full_length;
  if ((first ^ second) != 1 || !(length >= 0.0f)) return false;
  if (length > 0.0f) give(first >> 1, (second & 1) ? other : one, (second & 1) ? one : other);
  return true;
}

const i32 FEW = 8;

// A few crossings side by side, each put where as many come before it: no branch depends on their order.
XSIM_FN void order_few(const Crossings& c, float* depths, i32* codes) {
  for (i32 i = 0; i < c.count; ++i) {
    const float depth = c.depths[i * c.stride];
    const i32 code = c.codes[i * c.stride];
    i32 before = 0;
    for (i32 k = 0; k < c.count; ++k) {
      const float other = c.depths[k * c.stride];
      const i32 its_code = c.codes[k * c.stride];
      const i32 same = (i32)(other == depth);
      const i32 equal = same & (i32)(its_code == code) & (i32)(k < i);
      before += (i32)(other < depth) | (same & (i32)(its_code < code)) | equal;
    }
    depths[before] = depth;
    codes[before] = code;
  }
}

// Shares out the way along one ray, its crossings in order. Calls give(rank, depth, depth) for each stretch; consumes
// the crossings.
template <class Give>
XSIM_FN void share_out(const Resolved& args, const Crossings& c, i64 image_pixel, float full_length, const Give& give) {
  Active active = {c.depths, c.codes, c.stride, 0};
  float previous = 0.0f;
  for (i32 k = 0; k < c.count; ++k) {
    const float depth = c.depths[k * c.stride];  // read before the slot is reused
    const i32 code = c.codes[k * c.stride];
    const float length = (depth - previous) * full_length;
    if (active.count > 0 && length > 0.0f) give(winner_of(args, active, image_pixel, length), previous, depth);
    previous = depth;
    cross_surface(active, code >> 1, (code & 1) ? 1.0f : -1.0f);
  }
  for (i32 k = 0; k < active.count; ++k) note_fault(args, image_pixel, FAULT_OPEN, active.ranks[k * active.stride]);
}

// Shares out the way along one ray.
template <class Give>
XSIM_FN void resolve_ray(const Resolved& args, const Crossings& c, i64 image_pixel, float full_length, const Give& give) {
  if (resolve_pair(c, full_length, give)) return;
  if (c.count <= FEW) {
    float depths[FEW];
    i32 codes[FEW];
    order_few(c, depths, codes);
    share_out(args, {depths, codes, 1, c.count}, image_pixel, full_length, give);
    return;
  }
  sort_crossings(c);
  share_out(args, c, image_pixel, full_length, give);
}
