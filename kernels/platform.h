// The only file that asks which compiler reads it. Every other header is one text for two machines:
// a C++17 host compiler, and NVRTC for CUDA.
//
// XSIM_KERNEL(name, Args) { ... args, item ... } becomes
//   host:   extern "C" void name(const Args*, i64* next, end, block)     called by every thread: blocks of the work items
//           [*next, end), each to whichever thread is free
//   device: extern "C" __global__ void name(const Args*, begin, end)     a grid-stride loop over the items
// and, on the host, extern "C" u64 name_args_size(), which the loader checks against its own layout.
#pragma once

typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

#define XSIM_FN __device__ __forceinline__
#define XSIM_METHOD __device__ __forceinline__
// A GPU thread owns one pixel; it walks the list of primitives of its tile.
#define XSIM_PIXEL_MAJOR 1
#define XSIM_LANES 1
#define XSIM_SPAN 1
#define XSIM_INDEPENDENT
#define XSIM_LANE_LOOP
XSIM_FN float square_root(float x) { return sqrtf(x); }
XSIM_FN double square_root(double x) { return sqrt(x); }
XSIM_FN u32 bits_of(float x) { return __float_as_uint(x); }
XSIM_FN float float_of(u32 x) { return __uint_as_float(x); }
XSIM_FN void prefetch(const void*) {}
XSIM_FN i32 first_bit(u64 bits) { return bits ? __ffsll((i64)bits) - 1 : 64; }

#define XSIM_KERNEL(name, Args)                                                         \
  XSIM_FN void name##_item(const Args& args, i64 item);                                 \
  extern "C" __global__ void name(const Args* args, i64 begin, i64 end) {               \
    const i64 stride = (i64)gridDim.x * blockDim.x;                                     \
    for (i64 i = begin + (i64)blockIdx.x * blockDim.x + threadIdx.x; i < end; i += stride) \
      name##_item(*args, i);                                                            \
  }                                                                                     \
  XSIM_FN void name##_item(const Args& args, i64 item)

#else

#define XSIM_FN static inline
#define XSIM_METHOD inline
// A CPU thread owns one tile (a band of rows); it draws each of the tile's primitives in turn.
#define XSIM_PIXEL_MAJOR 0
// Pixelwise kernels take this many neighbouring pixels per item, so that the compiler fills vectors.
#define XSIM_LANES 64
// Neighbouring pixels of a row that a triangle is tested against together.
#define XSIM_SPAN 16
// Before a loop whose arrays do not overlap.
#define XSIM_INDEPENDENT _Pragma("GCC ivdep")
// Before a short loop over lanes, which would else be unrolled before it could become vectors.
#define XSIM_LANE_LOOP _Pragma("GCC ivdep") _Pragma("GCC unroll 1")
XSIM_FN float square_root(float x) { return __builtin_sqrtf(x); }
XSIM_FN double square_root(double x) { return __builtin_sqrt(x); }
XSIM_FN u32 bits_of(float x) { u32 b; __builtin_memcpy(&b, &x, sizeof b); return b; }
XSIM_FN void prefetch(const void* address) { __builtin_prefetch(address); }
XSIM_FN i32 first_bit(u64 bits) { return bits ? __builtin_ctzll(bits) : 64; }
XSIM_FN float float_of(u32 b) { float x; __builtin_memcpy(&x, &b, sizeof x); return x; }

#define XSIM_EXPORT extern "C" __attribute__((visibility("default")))
#define XSIM_KERNEL(name, Args)                                                                   \
  XSIM_FN void name##_item(const Args& args, i64 item);                                           \
  XSIM_EXPORT u64 name##_args_size() { return sizeof(Args); }                                     \
  XSIM_EXPORT void name(const Args* args, i64* next, i64 end, i64 block) {                        \
    for (i64 begin; (begin = __atomic_fetch_add(next, block, __ATOMIC_RELAXED)) < end;)           \
      for (i64 i = begin; i < (end - begin < block ? end : begin + block); ++i) name##_item(*args, i); \
  }                                                                                               \
  XSIM_FN void name##_item(const Args& args, i64 item)

#endif

template <class T> XSIM_FN T smaller(T a, T b) { return b < a ? b : a; }
template <class T> XSIM_FN T larger(T a, T b) { return a < b ? b : a; }
template <class T> XSIM_FN T magnitude(T x) { return x < T(0) ? -x : x; }
template <class T> XSIM_FN void exchange(T& a, T& b) { const T t = a; a = b; b = t; }
