// start() held the server in many words of its frame, and is gone. What main calls next gets the same room, and so does the result of
// find(), which has no value yet while the detector reads it: neither must keep the server alive.
// expect: 1 Server::serve [chan receive] proven @receive
#include <cstdint>
#include <memory>
#include <new>

#include "report.hpp"

struct Server {
  stray::chan<int> requests = stray::make_chan<int>();

  void serve() {
    requests.recv();  // here: receive
  }
};

alignas(stray::leak::report) std::uintptr_t result[sizeof(stray::leak::report) / sizeof(std::uintptr_t)];

[[gnu::noinline]] void start() {
  auto server = std::make_shared<Server>();
  std::uintptr_t words[256];
  for (std::uintptr_t& word : words) word = reinterpret_cast<std::uintptr_t>(server.get());
  for (std::uintptr_t& word : result) word = words[0];
  asm volatile("" : : "r"(words) : "memory");
  stray::go([server] { server->serve(); });
  stray::testing::until_parked(1);
}

int main() {
  start();
  auto* found = new (static_cast<void*>(result)) stray::leak::report(stray::leak::find());
  int failed = report::print(*found);
  found->~report();
  return failed;
}
