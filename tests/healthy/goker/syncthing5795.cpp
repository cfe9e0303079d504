// The model lets another goroutine close the connection.
// expect: nothing
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
      dispatcher_loop_stopped.recv();
    });
  }
};

void syncthing5795() {
  auto c = std::make_shared<RawConnection>();
  c->receiver.cc_fn = [c = c.get()] { stray::go([c = c->shared_from_this()] { c->close(); }); };
  c->start();
  c->inbox.send({});
  c->dispatcher_loop_stopped.recv();
}

void start() { stray::go(syncthing5795); }

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
