// The endpoint over N healthy goroutines, until stdin ends: for bench/serve.py.
#include <cstdlib>
#include <iostream>
#include <string>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

int main(int, char** argv) {
  std::size_t n = static_cast<std::size_t>(std::atoll(argv[1]));
  auto held = stray::make_chan<int>();
  for (std::size_t i = 0; i < n; i++) stray::go([held] { held.recv(); });
  stray::testing::until_parked(n);
  auto server = stray::pprof::serve("127.0.0.1:0");
  std::cout << server.port() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
  held.close();
}
