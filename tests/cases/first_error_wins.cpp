// The collector returns at the first error; the workers behind it cannot send, and the closer waits for them. It holds a handle, and it is
// none of those that could help: whoever waits for the senders to be done is there to close, and who can only send cannot receive.
// expect: 3 collect::lambda [chan send] proven @result
// expect: 1 collect::lambda [sync.WaitGroup.Wait] proven @closer
// expect: 1 collect_one::lambda [chan send] proven @one
// expect: 1 collect_one::lambda [sync.WaitGroup.Wait] proven @one_closer
// cause: nobody alive can receive (channel made at @results)
// cause: nobody alive can receive (channel made at @one_result); a root leak: 1 other is leaked because of it
// cause: it waits for goroutine N, goroutine N and goroutine N at @result [chan send], leaked too
// cause: it waits for goroutine N, leaked at @one [chan send]
// no cause: they wait for each other
// no cause: [sync.WaitGroup.Wait]
#include <memory>

#include "report.hpp"

struct outcome {
  int value;
  bool failed;
};

[[gnu::noinline]] int sum_until_error(const stray::recv_chan<outcome>& results) {
  int sum = 0;
  for (outcome o : results) {
    if (o.failed) return -1;
    sum += o.value;
  }
  return sum;
}

[[gnu::noinline]] int collect(int n) {
  auto results = stray::make_chan<outcome>();  // here: results
  auto workers = std::make_shared<stray::wait_group>();
  for (int i = 0; i < n; i++) {
    workers->go([results, i, workers] {
      results.send({i, true});  // here: result
    });
  }
  stray::go([results, workers] {
    workers->wait();  // here: closer
    results.close();
  });
  return sum_until_error(results);
}

// The same with a handle for the closer that can only send.
[[gnu::noinline]] int collect_one() {
  auto results = stray::make_chan<outcome>();  // here: one_result
  auto workers = std::make_shared<stray::wait_group>();
  workers->go([results, workers] {
    results.send({1, true});
    results.send({2, true});  // here: one
  });
  stray::go([results = stray::send_chan<outcome>(results), workers] {
    workers->wait();  // here: one_closer
    results.close();
  });
  return sum_until_error(results);
}

int main() {
  int failed = collect(4) + collect_one();
  stray::testing::until_parked(6);
  return failed == -2 ? report::print() : 1;
}
