// A worker's own queue of runnable tasks: a bounded ring; the owner pushes at the tail and pops at the head, thieves take from the head.
//
// 1. tail_ is written by the owner only; head_ moves by CAS, by the owner and by thieves.
// 2. A thief copies first and then moves head_: if its CAS fails, what it copied is forgotten.
// Source of the algorithm: the bounded per-processor queue of Go's scheduler.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/sync_shim.h"

namespace stray::runtime {

struct task;

class run_queue {
 public:
  static constexpr std::uint32_t capacity = base::capacity(256);

  // Owner. false: full.
  bool push(task* t) noexcept {
    std::uint32_t tail = tail_.load(std::memory_order_relaxed);                  // order: own word
    if (tail - head_.load(std::memory_order_acquire) == capacity) return false;  // order: pairs with the CASes below
    ring_[tail % capacity].store(t, std::memory_order_relaxed);                  // order: published by tail_
    tail_.store(tail + 1, std::memory_order_release);                            // order: pairs with steal's acquire
    return true;
  }
  // Owner. nullptr: empty.
  task* pop() noexcept {
    for (;;) {
      std::uint32_t head = head_.load(std::memory_order_acquire);                            // order: pairs with thieves' CAS
      if (head == tail_.load(std::memory_order_relaxed)) return nullptr;                     // order: own word
      task* t = ring_[head % capacity].load(std::memory_order_relaxed);                      // order: own writes
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel)) return t;  // order: pairs with thieves
    }
  }
  // Owner. Takes half of the queue into out[capacity / 2]; returns how many.
  std::uint32_t pop_half(task** out) noexcept { return take(out, tail_.load(std::memory_order_relaxed)); }  // order: own word
  // Any worker. Takes half of the victim's tasks, but none that came behind `end`, into out[capacity / 2]; returns how many.
  std::uint32_t steal(task** out, std::uint32_t end) noexcept { return take(out, end); }
  // Where it ends now.
  std::uint32_t end() const noexcept { return tail_.load(std::memory_order_acquire); }  // order: pairs with push's release

  std::uint32_t size() const noexcept {
    std::uint32_t head = head_.load(std::memory_order_acquire);  // order: a hint
    return tail_.load(std::memory_order_acquire) - head;         // order: a hint
  }

 private:
  std::uint32_t take(task** out, std::uint32_t end) noexcept {
    for (;;) {
      std::uint32_t head = head_.load(std::memory_order_acquire);  // order: pairs with the owner's and other thieves' CAS
      std::uint32_t tail = tail_.load(std::memory_order_acquire);  // order: pairs with push's release
      std::uint32_t n = tail - head;
      n -= n / 2;
      if (n == 0 || static_cast<std::int32_t>(end - head) <= 0) return 0;
      if (n > capacity / 2) continue;  // head and tail were read apart
      if (n > end - head) n = end - head;
      for (std::uint32_t i = 0; i < n; i++) {
        out[i] = ring_[(head + i) % capacity].load(std::memory_order_relaxed);  // order: covered by tail_'s acquire
      }
      if (head_.compare_exchange_weak(head, head + n, std::memory_order_acq_rel)) return n;  // order: pairs with pop
    }
  }

  alignas(64) std::atomic<std::uint32_t> head_{0};
  alignas(64) std::atomic<std::uint32_t> tail_{0};
  std::atomic<task*> ring_[capacity] = {};
};

}  // namespace stray::runtime
