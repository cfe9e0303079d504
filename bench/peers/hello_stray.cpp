// Twins, of which the comparison measures how long they compile and how large they are: ten tasks send to one.
#include <stray/stray.hpp>

int main() {
  auto results = stray::make_chan<int>();
  for (int i = 0; i < 10; i++) stray::go([results, i] { results.send(i); });
  int sum = 0;
  for (int i = 0; i < 10; i++) sum += *results.recv();
  return sum == 45 ? 0 : 1;
}
