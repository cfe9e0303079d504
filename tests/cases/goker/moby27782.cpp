// Who reads the logs is told to stop, removes the file from the watcher, and waits until the watcher has noticed. The watcher has an event
// to deliver first; who reads the logs would take it, or end the watcher.
// expect: 1 Watcher::remove [sync.Cond.Wait] proven @cond
// expect: 1 Watcher::read_events [select] proven @events
// go: allowed
// cause: they wait for each other: goroutine N at @events [select] -> goroutine N at @cond [sync.Cond.Wait] -> goroutine N
#include <memory>
#include <mutex>
#include <set>

#include "report.hpp"

struct Watcher : std::enable_shared_from_this<Watcher> {
  stray::chan<int> events = stray::make_chan<int>();
  stray::chan<void> done = stray::make_chan<void>();
  stray::mutex mu;
  stray::condition_variable cv;
  bool exists = true;

  void read_events(const stray::recv_chan<void>& gate) {
    while (!is_closed()) {
      gate.recv();
      stray::select(stray::on_send(events, 0), stray::on_recv(done));  // here: events
    }
    events.close();
  }
  bool is_closed() { return stray::select(stray::on_recv(done), stray::on_default()) == 0; }
  void close() {
    if (!is_closed()) done.close();
  }
  void remove() {
    std::unique_lock lock(mu);
    while (exists) cv.wait(lock);  // here: cond
  }
};

struct LogWatcher {
  stray::once close_once;
  stray::chan<void> close_notifier = stray::make_chan<void>();
  void close() {
    close_once.call([this] { close_notifier.close(); });
  }
};

struct JSONFileLogger {
  stray::mutex mu;
  std::set<std::shared_ptr<LogWatcher>> readers;

  void read_logs(const std::shared_ptr<LogWatcher>& reader, const stray::recv_chan<void>& gate) {
    {
      std::lock_guard lock(mu);
      readers.insert(reader);
    }
    auto file_watcher = std::make_shared<Watcher>();
    stray::go([file_watcher, gate] { file_watcher->read_events(gate); });
    std::size_t chosen = stray::select(stray::on_recv(file_watcher->events), stray::on_recv(reader->close_notifier));
    if (chosen == 1) file_watcher->remove();
    file_watcher->close();
  }
  void close() {
    std::lock_guard lock(mu);
    for (const auto& reader : readers) reader->close();
  }
};

void start() {
  auto gate = stray::make_chan<void>();
  auto logger = std::make_shared<JSONFileLogger>();
  stray::go([logger, gate = stray::recv_chan<void>(gate)] { logger->read_logs(std::make_shared<LogWatcher>(), gate); });
  stray::testing::until_parked(2);
  logger->close();
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
