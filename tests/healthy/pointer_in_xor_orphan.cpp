// The pointer is found again and used.
// expect: nothing
#include <cstdint>

#include "report.hpp"

struct message {
  stray::chan<int> reply;
};
std::uintptr_t hidden = 0;
constexpr std::uintptr_t mask = 0xffff'0000'ffff'0000;

void hide() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] { ch.recv(); });
  hidden = reinterpret_cast<std::uintptr_t>(new message{ch}) ^ mask;
}

int main() {
  stray::wait_group hiding;
  hiding.go(hide);
  hiding.wait();
  stray::testing::until_parked(1);
  report::expect_silent("a hidden pointer leads to a handle");
  auto* found = reinterpret_cast<message*>(hidden ^ mask);
  found->reply.close();
  delete found;
  report::until_finished();
  return report::print({.min_tier = stray::leak::tier::likely});
}
