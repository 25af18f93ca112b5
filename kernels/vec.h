// Three-vectors. Lengths in mm unless a name says otherwise.
#pragma once
#include "platform.h"

template <class T> struct Vec3 { T x, y, z; };
typedef Vec3<double> Vec3d;
typedef Vec3<float> Vec3f;

template <class T> XSIM_FN Vec3<T> operator+(Vec3<T> a, Vec3<T> b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
template <class T> XSIM_FN Vec3<T> operator-(Vec3<T> a, Vec3<T> b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
template <class T> XSIM_FN Vec3<T> operator*(T s, Vec3<T> a) { return {s * a.x, s * a.y, s * a.z}; }
template <class T> XSIM_FN T dot(Vec3<T> a, Vec3<T> b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
template <class T> XSIM_FN Vec3<T> cross(Vec3<T> a, Vec3<T> b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
XSIM_FN Vec3f narrow(Vec3d a) { return {(float)a.x, (float)a.y, (float)a.z}; }
template <class T> XSIM_FN T norm(Vec3<T> a) { return square_root(dot(a, a)); }

// Rays of an image: that of pixel (column i, row j) starts at source + i * source_column + j * source_row and goes to
// the pixel's centre along origin + i * column + j * row. `fraction` along it is 0 at the start, 1 on the detector.
// A flat panel has one start; a parallel beam has one direction; along a line scan the start moves from row to row.
template <class T> struct Directions {
  Vec3<T> origin, column, row;  // mm
};
template <class T> struct Rays {
  Vec3<T> source, source_column, source_row;  // mm
  Directions<T> way;
};
template <class T> XSIM_FN Vec3<T> direction(const Directions<T>& way, T i, T j) {
  return way.origin + i * way.column + j * way.row;
}
template <class T> XSIM_FN Vec3<T> start(const Rays<T>& rays, T i, T j) {
  return rays.source + i * rays.source_column + j * rays.source_row;
}
template <class T> XSIM_FN bool is_still(const Rays<T>& rays) {
  const Vec3<T> a = rays.source_column, b = rays.source_row;
  return a.x == T(0) && a.y == T(0) && a.z == T(0) && b.x == T(0) && b.y == T(0) && b.z == T(0);
}
