// What the programs behind docs/porting-from-*.md share: an expectation, and what the detector says of all
// that was left behind.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace porting {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;  // nothing can be proven
#else
inline constexpr bool sanitized = false;
#endif

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::exit(1);
}

// Calls f, which must throw stray::panic with this text.
template <class F>
void expect_panic(F f, const std::string& text) {
  std::string said = "nothing";
  try {
    f();
  } catch (const stray::panic& p) {
    said = p.what();
  }
  expect(said == text, (said + " instead of " + text).c_str());
}

inline void print(const stray::leak::report& r) {
  std::cerr << r;
  for (const stray::leak::doubt& d : r.doubts()) std::cerr << d.count << " likely: " << d.text << "\n";
  for (const std::string& note : r.notes()) std::cerr << "note: " << note << "\n";
}

// How many goroutines are leaked now. Without a verdict (sanitizers, other allocators) the expected number is
// believed.
inline std::size_t leaked(std::size_t expected) {
  stray::testing::until_settled(std::chrono::seconds(10));
  stray::leak::report r = stray::leak::find();
  if (!r.complete()) return expected;
  if (r.total() != expected) print(r);
  return r.total();
}

// What is leaked, by a detection that decides: on a loaded machine one may run out of its time, and says so.
inline stray::leak::report find_decided() {
  for (;;) {
    stray::leak::report r = stray::leak::find();
    if (r.complete()) return r;
  }
}

}  // namespace porting
