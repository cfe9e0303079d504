// The result has a place to go to, although nobody is left to take it.
// expect: nothing
#include "report.hpp"

void request(const stray::recv_chan<void>& out_of_time, const stray::recv_chan<void>& gate) {
  auto result = stray::make_chan<int>(1);
  stray::go([result, gate] {
    gate.recv();
    result.send(1);
  });
  stray::select(stray::on_recv(result), stray::on_recv(out_of_time));
}

int main() {
  auto out_of_time = stray::make_chan<void>(), gate = stray::make_chan<void>();
  out_of_time.close();
  for (int i = 0; i < 100; i++) request(out_of_time, gate);
  gate.close();
  report::until_finished();
  return report::print();
}
