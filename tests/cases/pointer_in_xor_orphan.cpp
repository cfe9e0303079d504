// The only pointer to a block with a handle is XORed: nothing is proven, and the block that nobody is seen to refer to makes it likely.
// expect: 1 hide::lambda [chan receive] likely @receive
#include <cstdint>

#include "report.hpp"

struct message {
  stray::chan<int> reply;
};
std::uintptr_t hidden = 0;
constexpr std::uintptr_t mask = 0xffff'0000'ffff'0000;

void hide() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    ch.recv();  // here: receive
  });
  hidden = reinterpret_cast<std::uintptr_t>(new message{ch}) ^ mask;
}

int main() {
  stray::wait_group hiding;
  hiding.go(hide);  // on a stack that ends, so that no copy of the pointer stays
  hiding.wait();
  stray::testing::until_parked(1);
  report::expect_silent("a hidden pointer leads to a handle");
  return report::print({.min_tier = stray::leak::tier::likely});
}
