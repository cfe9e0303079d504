// Goroutines whose code is the same, instruction for instruction: each is named with its own line.
// expect: 1 double_all::lambda [chan send] proven @double
// expect: 1 double_again::lambda [chan send] proven @again
// expect: 1 add_up::lambda [chan receive] proven @add
// expect: 1 sum_up::lambda [chan receive] proven @sum
// expect: 1 first_of::lambda [select] proven @first
// expect: 1 either_of::lambda [select] proven @either
#include <optional>

#include "report.hpp"

void double_all(stray::recv_chan<int> in) {
  auto out = stray::make_chan<int>();
  stray::go([in, out] {
    while (std::optional<int> v = in.recv()) {
      out.send(2 * *v);  // here: double
    }
  });
}
void double_again(stray::recv_chan<int> in) {
  auto out = stray::make_chan<int>();
  stray::go([in, out] {
    while (std::optional<int> v = in.recv()) {
      out.send(2 * *v);  // here: again
    }
  });
}

void add_up(stray::chan<int> in, int* to) {
  stray::go([in = stray::recv_chan<int>(in), to] {
    for (int v : in) *to += v;  // here: add
    in.recv();
  });
}
void sum_up(stray::chan<int> in, int* to) {
  stray::go([in = stray::recv_chan<int>(in), to] {
    for (int v : in) *to += v;  // here: sum
    in.recv();
  });
}

void first_of(int* to) {
  auto a = stray::make_chan<int>(), b = stray::make_chan<int>();
  stray::go([a, b, to] {
    *to += static_cast<int>(stray::select(stray::on_recv(a), stray::on_recv(b)));  // here: first
    *to += static_cast<int>(stray::select(stray::on_recv(b), stray::on_recv(a)));
  });
}
void either_of(int* to) {
  auto a = stray::make_chan<int>(), b = stray::make_chan<int>();
  stray::go([a, b, to] {
    *to += static_cast<int>(stray::select(stray::on_recv(a), stray::on_recv(b)));  // here: either
    *to += static_cast<int>(stray::select(stray::on_recv(b), stray::on_recv(a)));
  });
}

int main() {
  int sum = 0;
  auto numbers = stray::make_chan<int>(2);
  numbers.send(1);
  numbers.send(2);
  double_all(numbers);
  double_again(numbers);
  add_up(stray::make_chan<int>(), &sum);
  sum_up(stray::make_chan<int>(), &sum);
  first_of(&sum);
  either_of(&sum);
  stray::testing::until_parked(6);
  return report::print();
}
