// A connection's dispatcher is told by the model to close the connection, and closing waits until the dispatcher has stopped. The test
// waits for the same.
// expect: 1 RawConnection::close::lambda [chan receive] proven @close
// expect: 1 syncthing5795 [chan receive] proven @test
// go: required
#include <functional>
#include <memory>

#include "report.hpp"

struct ClusterConfig {};

struct TestModel {
  std::function<void()> cc_fn;
  void cluster_config(ClusterConfig) const { cc_fn(); }
};

struct RawConnection : std::enable_shared_from_this<RawConnection> {
  TestModel receiver;
  stray::chan<ClusterConfig> inbox = stray::make_chan<ClusterConfig>();
  stray::chan<void> dispatcher_loop_stopped = stray::make_chan<void>(), closed = stray::make_chan<void>();
  stray::once close_once;

  void start() {
    stray::go([self = shared_from_this()] { self->dispatcher_loop(); });
  }
  void dispatcher_loop() {
    auto dispatch = [this](std::optional<ClusterConfig> message) { receiver.cluster_config(*message); };
    while (stray::select(stray::on_recv(inbox, dispatch), stray::on_recv(closed)) == 0) {
    }
    dispatcher_loop_stopped.close();
  }
  void close() {
    close_once.call([this] {
      closed.close();
      dispatcher_loop_stopped.recv();  // here: close
    });
  }
};

void syncthing5795() {
  auto c = std::make_shared<RawConnection>();
  c->receiver.cc_fn = [c = c.get()] { c->close(); };
  c->start();
  c->inbox.send({});
  c->dispatcher_loop_stopped.recv();  // here: test
}

void start() {
  stray::go(syncthing5795);
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
