// The host library: the kernels as plain C functions, and the sizes of the records that cross the border.
#include "xsim.h"

XSIM_EXPORT u64 solid_size() { return sizeof(Solid); }
XSIM_EXPORT u64 surface_size() { return sizeof(Surface); }
XSIM_EXPORT u64 volume_size() { return sizeof(Volume); }
