// Works when a line comes on stdin, prints `did N`, and is idle otherwise: parked goroutines, one that sleeps, a pending timer. Ends with stdin.
#include <chrono>
#include <iostream>
#include <string>

#include <stray/stray.hpp>

int main() {
  stray::maxprocs(4);
  auto never = stray::make_chan<int>();
  for (int i = 0; i < 100; i++) stray::go([never] { never.recv(); });
  stray::go([] { stray::sleep_for(std::chrono::hours(1)); });
  stray::timer pending(std::chrono::hours(1));
  std::cout << "ready" << std::endl;
  int round = 0;
  for (std::string line; std::getline(std::cin, line);) {
    auto numbers = stray::make_chan<int>();
    for (int g = 0; g < 4; g++) {
      stray::go([numbers] {
        for (int i = 0; i < 1000; i++) numbers.send(1);
      });
    }
    int sum = 0;
    for (int i = 0; i < 4000; i++) sum += *numbers.recv();
    std::cout << "did " << ++round * 10'000 + sum << std::endl;
  }
  return 0;
}
