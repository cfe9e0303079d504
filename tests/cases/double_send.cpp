// After an error the function sends its answer and goes on to send a second one.
// expect: 1 ask [chan send] proven @second
#include "report.hpp"

void ask(const stray::send_chan<int>& answer, bool failed) {
  if (failed) {
    answer.send(-1);
  }
  answer.send(1);  // here: second
}

int first_answer() {
  auto answer = stray::make_chan<int>();
  stray::go([answer] { ask(answer, true); });
  return *answer.recv();
}

int main() {
  int got = first_answer();
  stray::testing::until_parked(1);
  return got == -1 ? report::print() : 1;
}
