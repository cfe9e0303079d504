// main still holds the channel.
// expect: nothing
#include <array>
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

std::array<stray::shared_mutex, 100> all;

stray::chan<int> read_all() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    for (auto& m : all) m.lock_shared();
    ch.recv();
    for (auto& m : all) m.unlock_shared();
  });
  return ch;
}

int main() {
  auto tell = read_all();
  stray::testing::until_parked(1);
  for (auto& m : all) {
    stray::go([&m] { std::lock_guard lock(m); });
  }
  stray::testing::until_parked(101);
  for (unsigned i = 0; i < 1000; i++) {
    stray::go([&m = all[i % 100]] { std::shared_lock lock(m); });
  }
  stray::testing::until_parked(1101);
  int status = report::print();
  tell.close();
  report::until_finished();
  return status;
}
