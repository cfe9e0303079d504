// The version of the library, for the preprocessor. The only place where it is written: CMake and the tool read it here.
#pragma once

#define STRAY_VERSION_MAJOR 0
#define STRAY_VERSION_MINOR 1
#define STRAY_VERSION_PATCH 0

#define STRAY_VERSION_TEXT_OF(number) #number
#define STRAY_VERSION_JOIN(major, minor, patch) \
  STRAY_VERSION_TEXT_OF(major) "." STRAY_VERSION_TEXT_OF(minor) "." STRAY_VERSION_TEXT_OF(patch)

// "0.1.0": made of the three numbers, so it never disagrees with them.
#define STRAY_VERSION STRAY_VERSION_JOIN(STRAY_VERSION_MAJOR, STRAY_VERSION_MINOR, STRAY_VERSION_PATCH)
