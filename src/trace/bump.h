// Memory for code that may not call malloc: one reservation, handed out upwards, never given back piece by piece.
//
// 1. Fresh memory is zero. Pages cost nothing until touched.
// 2. A refused request answers nullptr and sets `exhausted`; whoever reads results made with this memory must ask it first, because a
//    list may then be short (snapshot.cpp throws the whole answer away).
// 3. Its address range is known, so that the tracer can skip it.
// Rejected: MAP_NORESERVE read-write (counts in full under overcommit_memory=2); PROT_NONE plus steps does not.
// Runs anywhere, one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/mman.h>

#include "base/address_space.h"
#include "base/arch.h"
#include "base/syscalls.h"

namespace stray::trace {

class bump {
 public:
  // Reserves up to `bytes` of addresses; settles for less, down to 16 MiB.
  bool reserve(std::size_t bytes) noexcept {
    for (; bytes >= std::size_t{16} << 20; bytes /= 4) {
      long at = base::sys::mmap(0, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
      if (at < 0 && at > -4096) continue;
      lo_ = usable_ = next_ = static_cast<std::uintptr_t>(at);
      hi_ = lo_ + bytes;
      return true;
    }
    exhausted_ = true;
    return false;
  }
  void* take(std::size_t bytes, std::size_t align = 16) noexcept {
    std::uintptr_t at = (next_ + align - 1) & ~(align - 1);
    if (at + bytes < at || at + bytes > hi_ || !make_usable(at + bytes)) {
      exhausted_ = true;
      return nullptr;
    }
    next_ = at + bytes;
    return reinterpret_cast<void*>(at);
  }
  template <class T>
  T* array(std::size_t n) noexcept {
    return static_cast<T*>(take(n * sizeof(T), alignof(T) < 16 ? 16 : alignof(T)));
  }
  // Makes memory readable and writable ahead of time (before threads are stopped).
  bool commit(std::size_t bytes) noexcept { return make_usable(lo_ + bytes); }
  // Forgets everything and gives the pages back; fresh memory is zero again.
  void reset() noexcept {
    if (next_ > lo_) {
      base::sys::call(SYS_madvise, static_cast<long>(lo_), static_cast<long>(((next_ - lo_) + 4095) & ~std::uintptr_t{4095}),
                      MADV_DONTNEED);
    }
    next_ = lo_;
    exhausted_ = lo_ == 0;
  }
  bool exhausted() const noexcept { return exhausted_; }
  base::range where() const noexcept { return {lo_, hi_}; }
  std::size_t used() const noexcept { return next_ - lo_; }

 private:
  bool make_usable(std::uintptr_t end) noexcept {
    if (end <= usable_) return true;
    std::size_t step = std::size_t{1} << 20;
    while (usable_ + step < end) step *= 2;
    if (usable_ + step > hi_) step = hi_ - usable_;
    if (usable_ + step < end) return false;
    if (base::sys::call(SYS_mprotect, static_cast<long>(usable_), static_cast<long>(step), PROT_READ | PROT_WRITE) != 0)
      return false;
    usable_ += step;
    return true;
  }
  std::uintptr_t lo_ = 0, hi_ = 0, usable_ = 0, next_ = 0;
  bool exhausted_ = false;
};

// A growing array over a bump; the old copy is left behind when it grows.
template <class T>
class list {
 public:
  bool push(bump& memory, const T& item) noexcept {
    if (size_ == room_) {
      std::size_t room = room_ == 0 ? 64 : room_ * 2;
      T* data = memory.array<T>(room);
      if (data == nullptr) return false;
      for (std::size_t i = 0; i < size_; i++) data[i] = data_[i];
      data_ = data;
      room_ = room;
    }
    data_[size_++] = item;
    return true;
  }
  bool pop(T& item) noexcept {
    if (size_ == 0) return false;
    item = data_[--size_];
    return true;
  }
  T* begin() const noexcept { return data_; }
  T* end() const noexcept { return data_ + size_; }
  T& operator[](std::size_t i) const noexcept { return data_[i]; }
  std::size_t size() const noexcept { return size_; }
  void clear() noexcept {
    size_ = room_ = 0;
    data_ = nullptr;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0, room_ = 0;
};

// Heap sort: in place, no recursion, no libc.
template <class T, class Less>
void sort(T* a, std::size_t n, Less less) noexcept {
  auto sift = [&](std::size_t i, std::size_t end) {
    for (;;) {
      std::size_t kid = 2 * i + 1;
      if (kid >= end) return;
      if (kid + 1 < end && less(a[kid], a[kid + 1])) kid++;
      if (!less(a[i], a[kid])) return;
      T t = a[i];
      a[i] = a[kid];
      a[kid] = t;
      i = kid;
    }
  };
  for (std::size_t i = n / 2; i-- > 0;) sift(i, n);
  for (std::size_t end = n; end-- > 1;) {
    T t = a[0];
    a[0] = a[end];
    a[end] = t;
    sift(0, end);
  }
}

}  // namespace stray::trace
