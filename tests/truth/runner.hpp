// Runs scenes, each in a process of its own, and makes failing ones smaller.
#pragma once

#include <string>

#include "scene.hpp"

namespace truth {

struct result {
  std::string
      failure;  // empty: none; else its kind, which shrinking keeps: "a living one was reported", "signal 11", "hang", ...
  std::string output;  // what the process said
  double seconds = 0;
};

result run(const scene& s);
// The first failure of `tries` runs, or the last run. kind: only such a failure; empty: any.
result run_often(const scene& s, unsigned tries, const std::string& kind);
// Drops what the failure does not need; as long as `seconds` allow.
scene shrink(const scene& s, const std::string& kind, double seconds);

double now_seconds();

}  // namespace truth
