// For the tracer's unit tests: a client that knows nothing, and memory shared with the snapshot's child.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <new>
#include <string>
#include <sys/mman.h>

#include "trace/mark.h"
#include "trace/snapshot.h"

namespace stray::trace::test {

inline client blank_client() noexcept {
  client c{};
  c.locate = [](void*, const word&) {};
  c.hit = [](void*, marker&, const word&) {};
  return c;
}

// For client.prepare: role(tid, sp) of each thread that has one.
template <class F>
void give_roles(image& in, F role) noexcept {
  for (std::size_t i = 0; i < in.threads.size; i++) {
    if (in.threads[i].stands_somewhere()) in.roles[i] = role(in.threads[i].tid, in.threads[i].sp);
  }
}

// A T in MAP_SHARED memory, with what it takes to keep it out of the roots.
template <class T>
class shared_with_child {
 public:
  shared_with_child() {
    void* at = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    value_ = new (at) T{};
    where_ = {reinterpret_cast<std::uintptr_t>(at), reinterpret_cast<std::uintptr_t>(at) + bytes()};
  }
  ~shared_with_child() { munmap(value_, bytes()); }
  shared_with_child(const shared_with_child&) = delete;
  shared_with_child& operator=(const shared_with_child&) = delete;
  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }
  slice<const range> hidden() const { return {&where_, 1}; }

 private:
  static constexpr std::size_t bytes() { return (sizeof(T) + 4095) & ~std::size_t{4095}; }
  T* value_;
  range where_;
};

inline std::string notes_of(const note_log& log) {
  std::string all;
  for (std::uint32_t i = 0; i < log.used; i++) all += std::string(log.notes[i].line) + "\n";
  return all;
}

inline void print_notes(const snapshot_outcome& out) {
  if (!out.ok) std::printf("  not ok: %s\n", out.why);
  for (std::uint32_t i = 0; out.notes != nullptr && i < out.notes->used; i++)
    std::printf("  note: %s\n", out.notes->notes[i].line);
}

}  // namespace stray::trace::test
