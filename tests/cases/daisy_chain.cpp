// A chain of goroutines, each waiting for its right neighbour; main holds the right end. All of them live. An argument sets the length.
// expect: nothing
#include "report.hpp"

int main(int argc, char** argv) {
  std::size_t n = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000;
  auto leftmost = stray::make_chan<int>();
  auto left = leftmost;
  for (std::size_t i = 0; i < n; i++) {
    auto right = stray::make_chan<int>();
    stray::go([left, right] { left.send(1 + *right.recv()); });
    left = right;
  }
  stray::testing::until_parked(n);
  int status = report::print();
  left.send(0);
  return leftmost.recv() == static_cast<int>(n) ? status : 1;
}
