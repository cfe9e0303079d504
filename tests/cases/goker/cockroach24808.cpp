// A compactor's channel has room for one wish, which is in it already. Start sends another before anybody is there who takes it.
// expect: 1 Compactor::run [chan send] proven @wish
// go: required
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
    ch.send();  // here: wish
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
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
