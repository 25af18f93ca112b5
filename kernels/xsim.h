// Everything, in one translation unit: for the host compiler through host.cpp, for NVRTC as one string.
#pragma once
#include "electrons.h"
#include "probe.h"
#include "projection.h"
#include "scintillator.h"
#include "sensor.h"
#include "voxels.h"
