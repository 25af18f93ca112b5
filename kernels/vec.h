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
template <class T> XSIM_FN T norm(Vec3<T> a) { return square_root(dot(a, a)); }

// A pinhole view: pixel (column i, row j) sees along origin + i * column + j * row, from the source to the
// centre of that pixel. `fraction` along it is 0 at the source and 1 on the detector.
template <class T> struct Pinhole {
  Vec3<T> origin, column, row;  // mm
};
template <class T> XSIM_FN Vec3<T> direction(const Pinhole<T>& view, T i, T j) {
  return view.origin + i * view.column + j * view.row;
}
