// A pool of workers is dropped without a close; each worker holds the channel that it waits for.
// expect: 4 pool::pool::lambda [chan receive] proven @jobs
#include <atomic>

#include "report.hpp"

class pool {
 public:
  pool(int workers, std::atomic<int>& done) {
    for (int w = 0; w < workers; w++) {
      stray::go([jobs = jobs_, &done] {
        for (int job : jobs) done += job;  // here: jobs
      });
    }
  }
  void submit(int job) { jobs_.send(job); }
  void close() { jobs_.close(); }

 private:
  stray::chan<int> jobs_ = stray::make_chan<int>();
};

void work(std::atomic<int>& done) {
  pool p(4, done);
  for (int i = 0; i < 20; i++) p.submit(1);
}

int main() {
  std::atomic<int> done{0};
  work(done);
  while (done != 20) stray::yield();
  stray::testing::until_parked(4);
  return report::print();
}
