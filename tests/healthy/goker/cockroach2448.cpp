// While it hands out an event, the raft loop runs callbacks, too; and the test stops both.
// expect: nothing
#include <functional>
#include <memory>

#include "report.hpp"

struct Event {
  std::function<void()> callback;
};

struct MultiRaft {
  stray::chan<void> done = stray::make_chan<void>();
  stray::chan<std::shared_ptr<Event>> events = stray::make_chan<std::shared_ptr<Event>>();
  stray::chan<std::function<void()>> callbacks = stray::make_chan<std::function<void()>>();

  void send_event(const std::shared_ptr<Event>& e) {
    auto run = [](const std::optional<std::function<void()>>& f) { (*f)(); };
    while (stray::select(stray::on_send(events, e), stray::on_recv(done), stray::on_recv(callbacks, run)) == 2) {
    }
  }
};

struct State {
  std::shared_ptr<MultiRaft> raft;

  void run() {
    auto call = [](const std::optional<std::function<void()>>& f) { (*f)(); };
    for (;;) {
      std::size_t chosen =
          stray::select(stray::on_recv(raft->done), stray::on_recv(raft->callbacks, call), stray::on_default());
      if (chosen == 0) return;
      if (chosen == 2) handle_write_response();
    }
  }
  void handle_write_response() {
    raft->send_event(std::make_shared<Event>(
        Event{[raft = raft] { stray::select(stray::on_send(raft->callbacks, [] {}), stray::on_recv(raft->done)); }}));
  }
};

struct Store {
  std::shared_ptr<MultiRaft> raft;

  void process_raft(const stray::recv_chan<void>& gate) {
    std::shared_ptr<Event> event;
    auto take = [&event](const std::optional<std::shared_ptr<Event>>& e) { event = *e; };
    while (stray::select(stray::on_recv(raft->events, take), stray::on_recv(raft->done)) == 0) {
      gate.recv();
      event->callback();
    }
  }
};

void start() {
  auto gate = stray::make_chan<void>();
  auto raft = std::make_shared<MultiRaft>();
  stray::go([store = Store{raft}, gate = stray::recv_chan<void>(gate)]() mutable { store.process_raft(gate); });
  stray::go([state = State{raft}]() mutable { state.run(); });
  stray::testing::until_parked(2);
  gate.close();
  raft->done.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
