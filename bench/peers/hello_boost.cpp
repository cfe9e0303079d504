// Twins, of which the comparison measures how long they compile and how large they are: ten tasks send to one.
#include <boost/fiber/all.hpp>

int main() {
  boost::fibers::unbuffered_channel<int> results;
  for (int i = 0; i < 10; i++) boost::fibers::fiber([&results, i] { results.push(i); }).detach();
  int sum = 0;
  for (int i = 0; i < 10; i++) sum += results.value_pop();
  return sum == 45 ? 0 : 1;
}
