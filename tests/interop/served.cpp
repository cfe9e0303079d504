// Leaks beside a server of ours: what it recycles of the program's memory must hide none. Prints how many of the 64 are proven, without a
// server, with one, after requests, and after it has stopped.
#include <iostream>
#include <optional>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

constexpr std::size_t leaks = 64;

struct peer {
  stray::chan<int> ch = stray::make_chan<int>();
  char more[40] = {};
};

// Blocks of many sizes hold the peers' addresses and are freed: whoever allocates next finds the words.
[[gnu::noinline]] void leave_words(const std::vector<peer*>& peers) {
  for (std::size_t words : {2, 3, 5, 8, 13, 21, 31, 64, 100, 200, 512}) {
    std::vector<peer**> blocks;
    for (int i = 0; i < 20; i++) {
      auto** block = new peer*[words];
      for (std::size_t k = 0; k < words; k++) block[k] = peers[(i + k) % leaks];
      blocks.push_back(block);
    }
    for (peer** b : blocks) delete[] b;
  }
}

[[gnu::noinline]] void start() {
  std::vector<peer*> peers;
  for (std::size_t i = 0; i < leaks; i++) peers.push_back(new peer);
  for (peer* p : peers) {
    stray::go([p] {
      p->ch.recv();
      delete p;
    });
  }
  stray::testing::until_parked(leaks);
  leave_words(peers);
}

void say(const char* when) {
  auto found = stray::leak::find();
  std::cout << when << ' ' << found.total() << ' ' << found.complete() << std::endl;
}

}  // namespace

int main(int argc, char**) {
  start();
  std::optional<stray::pprof::server> server;
  if (argc > 1) say("without");
  server = stray::pprof::serve("127.0.0.1:0");
  say("with");
  std::cout << "port " << server->port() << std::endl;
  std::string line;
  std::getline(std::cin, line);
  say("asked");
  server.reset();
  say("stopped");
}
