// The collector takes all results before it returns.
// expect: nothing
#include <memory>

#include "report.hpp"

struct outcome {
  int value;
  bool failed;
};

[[gnu::noinline]] int sum_of_all(const stray::recv_chan<outcome>& results) {
  int sum = 0;
  bool failed = false;
  for (outcome o : results) {
    failed = failed || o.failed;
    sum += o.value;
  }
  return failed ? -1 : sum;
}

[[gnu::noinline]] int collect(int n) {
  auto results = stray::make_chan<outcome>();
  auto workers = std::make_shared<stray::wait_group>();
  for (int i = 0; i < n; i++) {
    workers->go([results, i, workers] { results.send({i, true}); });
  }
  stray::go([results, workers] {
    workers->wait();
    results.close();
  });
  return sum_of_all(results);
}

// The same with a handle for the closer that can only send.
[[gnu::noinline]] int collect_one() {
  auto results = stray::make_chan<outcome>();
  auto workers = std::make_shared<stray::wait_group>();
  workers->go([results, workers] {
    results.send({1, true});
    results.send({2, true});
  });
  stray::go([results = stray::send_chan<outcome>(results), workers] {
    workers->wait();
    results.close();
  });
  return sum_of_all(results);
}

int main() {
  int failed = collect(4) + collect_one();
  report::until_finished();
  return failed == -2 ? report::print() : 1;
}
