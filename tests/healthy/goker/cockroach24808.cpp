// Start leaves it at the one that is there.
// expect: nothing
#include <functional>
#include <memory>

#include "report.hpp"

struct Stopper : std::enable_shared_from_this<Stopper> {
  stray::wait_group stop;
  stray::chan<void> stopper = stray::make_chan<void>();

  void run_worker(std::function<void()> f) {
    stop.add(1);
    stray::go([self = shared_from_this(), f = std::move(f)] {
      f();
      self->stop.done();
    });
  }
};

struct Compactor {
  stray::chan<void> ch = stray::make_chan<void>(1);

  void run(const std::shared_ptr<Stopper>& stopper) {
    ch.try_send();
    stopper->run_worker([ch = ch, stop = stray::recv_chan<void>(stopper->stopper)] {
      while (stray::select(stray::on_recv(stop), stray::on_recv(ch)) == 1) {
      }
    });
  }
};

void start() {
  stray::go([] {
    auto stopper = std::make_shared<Stopper>();
    Compactor compactor;
    compactor.ch.send();
    compactor.run(stopper);
    stopper->stopper.close();
  });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
