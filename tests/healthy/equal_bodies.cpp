// The same goroutines, with somebody at the other end.
// expect: nothing
#include <optional>

#include "report.hpp"

stray::recv_chan<int> double_all(stray::recv_chan<int> in) {
  auto out = stray::make_chan<int>();
  stray::go([in, out] {
    while (std::optional<int> v = in.recv()) {
      out.send(2 * *v);
    }
  });
  return out;
}
stray::recv_chan<int> double_again(stray::recv_chan<int> in) {
  auto out = stray::make_chan<int>();
  stray::go([in, out] {
    while (std::optional<int> v = in.recv()) {
      out.send(2 * *v);
    }
  });
  return out;
}

void add_up(stray::chan<int> in, int* to) {
  stray::go([in = stray::recv_chan<int>(in), to] {
    for (int v : in) *to += v;
    in.recv();
  });
}

void first_of(stray::chan<int> a, stray::chan<int> b, int* to) {
  stray::go([a, b, to] {
    *to += static_cast<int>(stray::select(stray::on_recv(a), stray::on_recv(b)));
    *to += static_cast<int>(stray::select(stray::on_recv(b), stray::on_recv(a)));
  });
}

int main() {
  int sum = 0;
  auto numbers = stray::make_chan<int>(2), added = stray::make_chan<int>(), a = stray::make_chan<int>(),
       b = stray::make_chan<int>();
  numbers.send(1);
  numbers.send(2);
  auto once = double_all(numbers), again = double_again(numbers);
  add_up(added, &sum);
  first_of(a, b, &sum);
  stray::testing::until_parked(4);
  int result = report::print();
  once.recv();
  again.recv();
  numbers.close();
  added.close();
  a.send(1);
  b.send(1);
  report::until_finished();
  return result;
}
