// The one stretch of addresses that the library reserves: its records ("hidden memory") and the goroutines' stacks.
//
// 1. Everything of ours lies in one reservation, so that the tracer asks one range question: "is this word one of ours?"
// 2. Hidden memory never holds a byte of a user's object (docs/design/soundness.md, NO USER BYTE HIDDEN); it is skipped by the tracer.
// 3. Reserved pages are PROT_NONE and cost nothing; a slab makes its next pages usable in steps, and never gives addresses back.
// 4. A slab's items have stable addresses and indices; slot 0 is never handed out.
// Rejected: one mapping a slab (several range tests a scanned word); malloc (blocks of ours would become graph nodes).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/arch.h"
#include "base/spin_lock.h"

namespace stray::base {

struct range {
  std::uintptr_t lo = 0, hi = 0;
  bool holds(std::uintptr_t a) const noexcept { return a - lo < hi - lo; }
  std::size_t size() const noexcept { return hi - lo; }
};

// The whole reservation; empty before the first use. Fatal with a hint when nothing can be reserved (ulimit -v).
range reservation() noexcept;
// The variable that holds its bounds: the address behind the last may be somebody's block.
range reservation_record() noexcept;
// Takes `bytes` (page multiple) of untouched addresses out of the reservation; fatal when exhausted.
range carve(std::size_t bytes) noexcept;
// Makes [at, at + bytes) readable and writable; false when the kernel refuses.
bool commit(std::uintptr_t at, std::size_t bytes) noexcept;
// Share of the full-size reservation that was granted, as a shift: 0 full, 2 a quarter, ... Slabs shrink by it.
unsigned reservation_shrink() noexcept;

void free_address_space_lock() noexcept;  // in the child of a fork

// Fixed-size records with a free list. Memory is zero when first handed out. alloc and release may be called by any thread.
template <class T>
class slab {
 public:
  constexpr explicit slab(std::size_t capacity) noexcept : capacity_(capacity) {}

  // nullptr when the slab is full or the kernel gives no more memory.
  T* alloc() noexcept {
    lock_.lock();
    T* item = free_;
    if (item != nullptr) {
      free_ = *reinterpret_cast<T**>(item);
      *reinterpret_cast<T**>(item) = nullptr;
    } else {
      item = grow();
    }
    lock_.unlock();
    return item;
  }
  // The first word of a released item is the free list's link; the rest keeps its bytes.
  void release(T* item) noexcept {
    lock_.lock();
    *reinterpret_cast<T**>(item) = free_;
    free_ = item;
    lock_.unlock();
  }

  void free_in_child() noexcept { lock_.free_in_child(); }  // of a fork; at most one item is lost

  // Snapshot-safe views: items [1, used()) have been handed out at least once.
  range where() const noexcept { return where_; }
  std::size_t used() const noexcept { return used_.load(std::memory_order_acquire); }  // order: pairs with grow's release
  T* at(std::size_t index) const noexcept { return reinterpret_cast<T*>(where_.lo) + index; }
  std::size_t index(const void* item) const noexcept {
    return (reinterpret_cast<std::uintptr_t>(item) - where_.lo) / sizeof(T);
  }

 private:
  T* grow() noexcept {
    std::size_t n = used_.load(std::memory_order_relaxed);  // order: written under lock_ only
    if (n == 0) {
      std::size_t bytes = (capacity_ >> reservation_shrink()) * sizeof(T);
      where_ = carve(page_up(bytes));
      n = 1;
    }
    if ((n + 1) * sizeof(T) > where_.size()) return nullptr;
    std::uintptr_t end = where_.lo + (n + 1) * sizeof(T);
    if (end > committed_) {
      if (committed_ == 0) committed_ = where_.lo;
      std::size_t step = std::size_t{256} << 10;
      while (committed_ + step < end) step *= 2;
      if (committed_ + step > where_.hi) step = where_.hi - committed_;
      if (!commit(committed_, step)) return nullptr;
      committed_ += step;
    }
    used_.store(n + 1, std::memory_order_release);  // order: pairs with used's acquire
    return at(n);
  }

  const std::size_t capacity_;
  spin_lock lock_;
  T* free_ = nullptr;
  range where_{};
  std::uintptr_t committed_ = 0;
  std::atomic<std::size_t> used_{0};
};

}  // namespace stray::base
