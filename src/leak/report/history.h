// What the detections of this process have cost and found: for the index page, the page for eyes and /metrics.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <stray/leak.hpp>
#include "leak/model/verdict.h"

namespace stray::leak {

struct findings;

// Of seconds. counts[i]: how many were at most bounds[i] and above the bound before; the last: above all.
struct histogram {
  static constexpr std::array bounds = {0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0};
  std::array<std::uint64_t, bounds.size() + 1> counts{};
  double sum = 0;

  void add(std::chrono::nanoseconds time) noexcept {
    double seconds = std::chrono::duration<double>(time).count();
    counts[static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), seconds) - bounds.begin())]++;
    sum += seconds;
  }
};

// Leaked goroutines over time, of all detections that decided: when it is full, each second point goes, and then comes each second look.
struct trend {
  struct point {
    std::int64_t taken_s = 0;  // unix
    std::size_t leaked = 0;
  };
  std::array<point, 256> points{};
  std::size_t used = 0, stride = 1, skipped = 0;

  void add(point p) noexcept {
    if (++skipped < stride) {
      last = p;
      return;
    }
    skipped = 0;
    if (used == points.size()) {
      for (std::size_t i = 0; i < used / 2; i++) points[i] = points[2 * i];
      used /= 2;
      stride *= 2;
    }
    points[used++] = last = p;
  }
  point last;  // the newest, which may not be among the points
};

struct history {
  std::uint64_t runs = 0;        // detections that ended; 0: nothing has ever been looked at
  std::uint64_t incomplete = 0;  // of those
  histogram took;
  histogram pauses;  // of those that took a snapshot: the longest of each
  // Goroutines by leak::tier. Leaks do not heal, so a detection that could not decide, and has nothing, leaves the numbers as they were.
  std::array<std::size_t, 4> tiers{};
  std::array<std::size_t, grounds_count> doubts{};  // the likely ones, by what keeps them from being proven
  leak::trend trend;
  std::uint64_t unknown_bytes = 0;  // of the last snapshot: scanned as a root, since nobody knows what it is
  // Of the last detection.
  bool complete = true;
  std::chrono::system_clock::time_point taken;

  // Has any detection decided? Before, 0 leaked says nothing.
  bool decided() const noexcept { return trend.last.taken_s != 0; }
  std::size_t leaked() const noexcept {
    return tiers[static_cast<std::size_t>(tier::cycle)] + tiers[static_cast<std::size_t>(tier::proven)];
  }
  void add(const findings& f) noexcept;
};

// What leak::reclaim has done in this process.
struct reclaim_tally {
  std::uint64_t reclaimed = 0;  // goroutines that were unwound and have ended
  std::uint64_t refused = 0;    // refusals, the same goroutine each time
};
reclaim_tally reclaimed_so_far() noexcept;
void count_reclaimed() noexcept;  // any thread
void count_refused(std::size_t n) noexcept;

// Any thread; a copy.
history so_far() noexcept;
void remember(const findings& f) noexcept;  // the detector's thread only
void forget_history() noexcept;             // in the child of a fork

}  // namespace stray::leak
