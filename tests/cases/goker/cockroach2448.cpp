// The store has an event's callback to run, which hands a function to the raft loop or waits for the stop. The raft loop, meanwhile, has
// the next event to hand to the store, or waits for the stop, which nobody else has.
// expect: 1 MultiRaft::send_event [select] proven @event
// expect: 1 State::handle_write_response::lambda [select] proven @callback
// go: allowed
// cause: they wait for each other: goroutine N at @callback [select] -> goroutine N at @event [select] -> goroutine N
// cause: they wait for each other: goroutine N at @event [select] -> goroutine N at @callback [select] -> goroutine N
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
    stray::select(stray::on_send(events, e), stray::on_recv(done));  // here: event
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
    raft->send_event(std::make_shared<Event>(Event{[raft = raft] {
      stray::select(stray::on_send(raft->callbacks, [] {}), stray::on_recv(raft->done));  // here: callback
    }}));
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
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
