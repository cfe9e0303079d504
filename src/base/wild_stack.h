// For tests: a stack of words that lead somewhere, that is into itself, into code, or nowhere, between two pages that cannot be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <sys/mman.h>
#include <utility>
#include <vector>

namespace stray::base {

class wild_stack {
 public:
  static constexpr std::size_t size = 8192;

  wild_stack(std::uint64_t seed, std::vector<std::uintptr_t> code) : random_(seed), code_(std::move(code)) {
    page_ = static_cast<char*>(mmap(nullptr, size * 3, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (page_ == MAP_FAILED || mprotect(page_ + size, size, PROT_READ | PROT_WRITE) != 0) std::abort();
    lo = reinterpret_cast<std::uintptr_t>(page_) + size;
    hi = lo + size;
  }
  ~wild_stack() { munmap(page_, size * 3); }
  wild_stack(const wild_stack&) = delete;
  wild_stack& operator=(const wild_stack&) = delete;

  std::uintptr_t slot() { return lo + (random_() % size & ~7ULL); }  // the address of one of its words
  std::uintptr_t word() {
    switch (random_() % 6) {
      case 0:
        return lo + random_() % size;
      case 1:
        return slot();
      case 2:
        return random_();
      case 3:
        return random_() % 3;
      default:
        return code_[random_() % code_.size()] + random_() % 100000 - 50000;
    }
  }
  void fill() {
    for (std::uintptr_t at = lo; at < hi; at += 8) *reinterpret_cast<std::uintptr_t*>(at) = word();
  }

  std::uintptr_t lo, hi;

 private:
  std::mt19937_64 random_;
  std::vector<std::uintptr_t> code_;
  char* page_;
};

}  // namespace stray::base
