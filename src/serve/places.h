// A few places for what holds a thread or the detector for long; who finds none is sent away. In the child of a fork the parent's holders do not
// count: they are not there.
#pragma once

#include <atomic>
#include <cstdint>
#include <unistd.h>

namespace stray::serve {

using places = std::atomic<std::uint64_t>;  // the process, and how many of its are taken

class place {
 public:
  place(places& taken, std::uint64_t most) noexcept : taken_(taken) {
    const std::uint64_t process = static_cast<std::uint64_t>(getpid()) << 8;
    std::uint64_t now = taken.load(), next;
    do {
      next = (now & ~count_mask) == process ? now + 1 : process + 1;
      if ((next & count_mask) > most) return;
    } while (!taken.compare_exchange_weak(now, next));
    got_ = true;
  }
  ~place() {
    if (got_) taken_.fetch_sub(1);
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;

  explicit operator bool() const noexcept { return got_; }

 private:
  static constexpr std::uint64_t count_mask = 0xff;

  places& taken_;
  bool got_ = false;
};

}  // namespace stray::serve
