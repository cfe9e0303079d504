// stop() is called.
// expect: nothing
#include "report.hpp"

class worker {
 public:
  void start() {
    stray::go([jobs = jobs_, done = done_] {
      bool stopped = false;
      while (!stopped) {
        stray::select(stray::on_recv(jobs), stray::on_recv(done, [&] { stopped = true; }));
      }
    });
  }
  void stop() { done_.close(); }
  void add(int job) { jobs_.send(job); }

 private:
  stray::chan<int> jobs_ = stray::make_chan<int>();
  stray::chan<void> done_ = stray::make_chan<void>();
};

void use_a_worker() {
  worker w;
  w.start();
  w.add(1);
  w.stop();
}

int main() {
  use_a_worker();
  report::until_finished();
  return report::print();
}
