// For tests: waits for what the test itself brings about. None gives up: a test has its own time limit.
#pragma once

#include <string>

#include <stray/go.hpp>
#include <stray/panic.hpp>

namespace stray {

template <class Condition>
void until(const Condition& c) {
  while (!c()) yield();
}
inline void all_ended() {
  until([] { return num_goroutine() == 0; });
}
template <class F>
std::string panic_of(const F& f) {
  try {
    f();
  } catch (const panic& p) {
    return p.what();
  }
  return "no panic";
}

}  // namespace stray
