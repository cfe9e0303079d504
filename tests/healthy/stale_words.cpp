// The frame of find()'s caller holds the server for good: it is not cleared.
// expect: nothing
#include <memory>

#include "report.hpp"

struct Server {
  stray::chan<int> requests = stray::make_chan<int>();

  void serve() { requests.recv(); }
};

[[gnu::noinline]] int report_with(const std::shared_ptr<Server>& server) {
  stray::go([server] { server->serve(); });
  stray::testing::until_parked(1);
  int failed = report::print();
  server->requests.send(1);
  report::until_finished();
  return failed;
}

int main() { return report_with(std::make_shared<Server>()); }
