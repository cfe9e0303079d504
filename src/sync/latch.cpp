#include <stray/latch.hpp>

#include "sync/countdown.h"

namespace stray {

void latch::count_down(std::ptrdiff_t n) { arrive(n); }

bool latch::arrive(std::ptrdiff_t n) {
  if (n < 0) throw panic("sync: Latch counted down by a negative number");
  sync::countdown::outcome o = sync::countdown::add(word_, -n);
  if (o == sync::countdown::outcome::negative) throw panic("sync: negative Latch counter");
  return o == sync::countdown::outcome::reached_zero;
}

void latch::wait_blocking() const { sync::countdown::wait(word_, runtime::wait_reason::latch_wait); }

}  // namespace stray
