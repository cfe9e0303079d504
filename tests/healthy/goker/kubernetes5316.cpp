// An answer has a place to go to, although nobody is left to listen.
// expect: nothing
#include <functional>
#include <string>

#include "report.hpp"

void finish_request(std::chrono::microseconds timeout, const std::function<std::string()>& fn) {
  auto ok = stray::make_chan<bool>(1);
  auto error = stray::make_chan<std::string>(1);
  stray::go([ok, error, fn] {
    if (std::string why = fn(); !why.empty()) {
      error.send(why);
    } else {
      ok.send(true);
    }
  });
  stray::select(stray::on_recv(ok), stray::on_recv(error), stray::on_recv(stray::after(timeout)));
}

void start() {
  stray::testing::fake_clock clock;
  auto gate = stray::make_chan<void>();
  stray::go(finish_request, std::chrono::microseconds(1), [gate = stray::recv_chan<void>(gate)] {
    gate.recv();
    return "Error";
  });
  stray::testing::until_parked(2);
  clock.advance(std::chrono::microseconds(1));
  while (stray::num_goroutine() > 2) stray::yield();  // the request has gone
  gate.close();
  while (stray::num_goroutine() > 1) stray::yield();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
