// A field that is written under a lock and may be read without it: the reader learns what it was some time ago.
#pragma once

#include <atomic>

namespace stray::base {

template <class T>
class hint {
 public:
  constexpr hint() noexcept = default;
  constexpr hint(T v) noexcept : value_(v) {}
  hint& operator=(const hint& other) noexcept { return *this = T(other); }
  hint& operator=(T v) noexcept {
    value_.store(v, std::memory_order_relaxed);  // order: the lock's
    return *this;
  }
  operator T() const noexcept { return value_.load(std::memory_order_relaxed); }  // order: the lock's, or none

 private:
  std::atomic<T> value_{};
};

}  // namespace stray::base
