// The pool is still there.
// expect: nothing
#include <atomic>

#include "report.hpp"

class pool {
 public:
  pool(int workers, std::atomic<int>& done) {
    for (int w = 0; w < workers; w++) {
      stray::go([jobs = jobs_, &done] {
        for (int job : jobs) done += job;
      });
    }
  }
  void submit(int job) { jobs_.send(job); }
  void close() { jobs_.close(); }

 private:
  stray::chan<int> jobs_ = stray::make_chan<int>();
};

int main() {
  std::atomic<int> done{0};
  pool p(4, done);
  for (int i = 0; i < 20; i++) p.submit(1);
  while (done != 20) stray::yield();
  stray::testing::until_parked(4);
  int status = report::print();
  p.close();
  report::until_finished();
  return status;
}
