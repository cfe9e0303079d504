// It ends the watcher instead.
// expect: nothing
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
      stray::select(stray::on_send(events, 0), stray::on_recv(done));
    }
    events.close();
  }
  bool is_closed() { return stray::select(stray::on_recv(done), stray::on_default()) == 0; }
  void close() {
    if (!is_closed()) done.close();
  }
  void remove() {
    std::unique_lock lock(mu);
    while (exists) cv.wait(lock);
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
    if (chosen == 1) file_watcher->close();
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
  gate.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
