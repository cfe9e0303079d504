// In both units of the plugin: one instantiation each, of which the linker keeps one.
#pragma once

#include <optional>

#include <stray/stray.hpp>

namespace plugin {

inline long sum(long n) {
  auto parts = stray::make_chan<long>(2);
  stray::wait_group all;
  for (long i = 1; i <= n; i++) all.go([parts, i] { parts.send(i); });
  stray::go([&all, parts] {
    all.wait();
    parts.close();
  });
  long total = 0;
  for (bool open = true; open;) {
    stray::select(stray::on_recv(parts, [&](std::optional<long> part) {
      open = part.has_value();
      total += part.value_or(0);
    }));
  }
  return total;
}

}  // namespace plugin
