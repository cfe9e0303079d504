#include <stray/wait_group.hpp>

#include <stray/panic.hpp>
#include "sync/countdown.h"

namespace stray {

void wait_group::add(std::int64_t n) {
  switch (sync::countdown::add(word_, n)) {
    case sync::countdown::outcome::done:
    case sync::countdown::outcome::reached_zero:
      return;
    case sync::countdown::outcome::negative:
      throw panic("sync: negative WaitGroup counter");
    case sync::countdown::outcome::overflow:
      throw panic("sync: WaitGroup counter overflow");
  }
}

void wait_group::wait_blocking() { sync::countdown::wait(word_, runtime::wait_reason::wait_group_wait); }

}  // namespace stray
