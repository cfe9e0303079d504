// A request waits for its function's answer, and goes when it takes too long. The function answers later, and nobody is left to listen.
// expect: 1 finish_request::lambda [chan send] proven @error
// go: required
// cause: nobody alive can receive
#include <functional>
#include <string>

#include "report.hpp"

void finish_request(std::chrono::microseconds timeout, const std::function<std::string()>& fn) {
  auto ok = stray::make_chan<bool>();
  auto error = stray::make_chan<std::string>();
  stray::go([ok, error, fn] {
    if (std::string why = fn(); !why.empty()) {
      error.send(why);  // here: error
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
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
