// The chain has run through.
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
  left.send(0);
  bool right_sum = leftmost.recv() == static_cast<int>(n);
  report::until_finished();
  return right_sum ? report::print() : 1;
}
