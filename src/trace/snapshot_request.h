// What a snapshot is asked for.
#pragma once

#include <cstdint>

#include "base/control_groups.h"
#include "trace/image.h"
#include "trace/stop.h"

namespace stray::trace {

struct snapshot_request {
  // Runs in the child; pure. Results go into MAP_SHARED memory of the caller's own, reachable through arg.
  void (*decide)(void* arg, image& in) noexcept = nullptr;
  void* arg = nullptr;
  client who{};
  slice<const range> hidden;  // more memory never to be scanned: the caller's result pages, reports, buffers
  // Which threads are stopped, and which only looked at; null: all are stopped. Those to be skipped start no threads and hold nothing of
  // the user's (service threads of the library).
  choose_way way = nullptr;
  void* way_arg = nullptr;
  bool only_if_asleep = false;  // no snapshot when a thread that was only looked at has run meanwhile
  unsigned off = 0;             // bits of `root`: for ablation tests only
  std::int64_t time_limit_ns = 60'000'000'000;
  const char* group_list = base::control_group_list;  // elsewhere: for tests only
  const char* group_mount = base::control_group_mount;
};

}  // namespace stray::trace
