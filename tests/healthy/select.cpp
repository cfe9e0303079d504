// One of the cases is served.
// expect: nothing
#include "report.hpp"

void wait_for_either() {
  auto in = stray::make_chan<int>(), out = stray::make_chan<int>();
  stray::go([in, out] { stray::select(stray::on_recv(in), stray::on_send(out, 1)); });
  out.recv();
}

int main() {
  wait_for_either();
  report::until_finished();
  return report::print();
}
