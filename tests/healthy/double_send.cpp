// It returns after the error.
// expect: nothing
#include "report.hpp"

void ask(const stray::send_chan<int>& answer, bool failed) {
  if (failed) {
    answer.send(-1);
    return;
  }
  answer.send(1);
}

int first_answer() {
  auto answer = stray::make_chan<int>();
  stray::go([answer] { ask(answer, true); });
  return *answer.recv();
}

int main() {
  int got = first_answer();
  report::until_finished();
  return got == -1 ? report::print() : 1;
}
