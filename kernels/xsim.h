// Everything, in one translation unit: for the host compiler through host.cpp, for NVRTC as one string.
#pragma once
#include "attenuation.h"
#include "crossing.h"
#include "overlap.h"
#include "probe.h"
#include "scintillator.h"
#include "sensor.h"
