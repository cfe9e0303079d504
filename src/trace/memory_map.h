// The process' mappings, read from /proc/self/maps, and which of their pages hold data.
//
// 1. `all` is sorted by address and without overlap; names are not kept, only what kind of mapping and of file it is.
// 2. Pure: raw system calls and bump memory. Runs in the snapshot (the child's own maps), and in the parent while threads are stopped.
// 3. page_scan never answers "empty" for a page that could hold data: without PAGEMAP_SCAN it reads pagemap, without that every page of
//    a mapping counts as data.
// Rejected: probing pages blindly (167-362 ms on sparse tables, and it materialises them); mincore (swapped pages look empty).
#pragma once

#include <cstddef>
#include <cstdint>

#include "trace/bump.h"
#include "trace/image_types.h"

namespace stray::trace {

struct mapping {
  enum kind_type : std::uint8_t { plain, heap, stack, special };
  enum backing_type : std::uint8_t {
    named,    // a file that has a name, or nothing
    deleted,  // a file that has none any more
    memory,   // no disk behind it: memfd, anonymous shared memory, System V
    aio,      // the ring of a Linux AIO context
    uring,    // rings of an io_uring
  };
  std::uintptr_t lo, hi;
  bool readable, writable, executable;
  bool shared;
  bool file;  // backed by a file (private: only written pages are anonymous)
  kind_type
      kind;  // heap: [heap]; stack: [stack]; special: vdso, vvar, vsyscall: never touched (of the vdso only frames.cpp reads tables)
  backing_type backing;
  std::uint64_t inode, offset;
};

class memory_map {
 public:
  // False when the file cannot be opened, cannot be read to its end, or is malformed.
  bool read(bump& memory, const char* file = "/proc/thread-self/maps") noexcept;  // another file: for tests only
  slice<mapping> all() const noexcept { return {items_.begin(), items_.size()}; }
  const mapping* find(std::uintptr_t address) const noexcept;   // the mapping that holds it, or nullptr
  const mapping* after(std::uintptr_t address) const noexcept;  // the first mapping with hi > address, or nullptr
  bool readable(std::uintptr_t at, std::size_t bytes) const noexcept;

 private:
  void parse(bump& memory, const char* line) noexcept;
  list<mapping> items_;
  bool malformed_ = false;
};

class page_scan {
 public:
  enum class means : std::uint8_t { pagemap_scan, pagemap, none };
  void open() noexcept;
  void close() noexcept;
  means how() const noexcept { return how_; }
  const char* why_none() const noexcept;  // with means::none
  // Next run of pages with data in [from, hi): present or swapped, and not the shared zero page; with `anonymous_only` no page of a
  // file. False at the end. `from` moves behind the run. Asking for an earlier or another stretch in between is allowed.
  bool next(std::uintptr_t& from, std::uintptr_t hi, bool anonymous_only, range& run) noexcept;
  // f(range) for each run in r, cut to it.
  template <class F>
  void each_run(range r, F f) noexcept {
    std::uintptr_t from = r.lo;
    for (range run; next(from, r.hi, false, run);) f(range{run.lo > r.lo ? run.lo : r.lo, run.hi < r.hi ? run.hi : r.hi});
  }

 private:
  struct region {
    std::uint64_t start, end, categories;
  };
  bool fill(std::uintptr_t from, std::uintptr_t hi, bool anonymous_only) noexcept;
  bool fill_pagemap(std::uintptr_t from, std::uintptr_t hi, bool anonymous_only) noexcept;
  bool is_guard(std::uintptr_t page) noexcept;
  int fd_ = -1, mem_fd_ = -1;
  means how_ = means::none;
  region found_[256];
  std::size_t count_ = 0, at_ = 0;
  std::uintptr_t asked_from_ = 0, walked_to_ = 0, asked_hi_ = 0, returned_to_ = 0;
  bool asked_anonymous_ = false;
};

}  // namespace stray::trace
