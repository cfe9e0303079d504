// A hundred times the parent waits for a result or for the end of its patience, which has come already. The gate makes every goroutine
// send after its parent has gone.
// expect: 100 request::lambda [chan send] proven @send
#include "report.hpp"

void request(const stray::recv_chan<void>& out_of_time, const stray::recv_chan<void>& gate) {
  auto result = stray::make_chan<int>();
  stray::go([result, gate] {
    gate.recv();
    result.send(1);  // here: send
  });
  stray::select(stray::on_recv(result), stray::on_recv(out_of_time));
}

int main() {
  auto out_of_time = stray::make_chan<void>(), gate = stray::make_chan<void>();
  out_of_time.close();
  for (int i = 0; i < 100; i++) request(out_of_time, gate);
  gate.close();
  stray::testing::until_parked(100);
  return report::print();
}
