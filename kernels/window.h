// Rectangles of pixels, and the tiles of an image.
#pragma once
#include "vec.h"

// Inclusive; empty where column1 < column0 or row1 < row0.
struct Window { i32 column0, row0, column1, row1; };

XSIM_FN Window meet(const Window& a, const Window& b) {
  return {larger(a.column0, b.column0), larger(a.row0, b.row0), smaller(a.column1, b.column1), smaller(a.row1, b.row1)};
}
XSIM_FN bool empty(const Window& w) { return w.column1 < w.column0 || w.row1 < w.row0; }
XSIM_FN Window around(const Window& a, const Window& b) {
  if (empty(a)) return b;
  if (empty(b)) return a;
  return {smaller(a.column0, b.column0), smaller(a.row0, b.row0), larger(a.column1, b.column1), larger(a.row1, b.row1)};
}

// Tiles of an image, numbered row by row.
struct Tiling {
  i32 columns, rows;
  i32 tile_rows, tile_columns, tile_grid_columns;
};

XSIM_FN Window window_of_tile(const Tiling& t, i64 tile) {
  const i32 row0 = (i32)(tile / t.tile_grid_columns) * t.tile_rows;
  const i32 column0 = (i32)(tile % t.tile_grid_columns) * t.tile_columns;
  return {column0, row0, smaller(column0 + t.tile_columns, t.columns) - 1, smaller(row0 + t.tile_rows, t.rows) - 1};
}

// A work item is a tile (XSIM_PIXEL_MAJOR 0) or a pixel of a tile (1), the tiles in order or those of a list. The window
// is empty for a pixel beyond the image.
struct Place { i64 tile; Window window; };

XSIM_FN Place place_of(const Tiling& t, const i32* active, i64 item) {
  const i32 size = XSIM_PIXEL_MAJOR ? t.tile_rows * t.tile_columns : 1;
  const i64 number = active ? active[item / size] : item / size;
  const Window tile = window_of_tile(t, number);
  if (!XSIM_PIXEL_MAJOR) return {number, tile};
  const i32 within = (i32)(item % size);
  const i32 row = tile.row0 + within / t.tile_columns, column = tile.column0 + within % t.tile_columns;
  return {number, meet(tile, {column, row, column, row})};
}
