// A status is asked for, or the node has ended.
// expect: nothing
#include <memory>

#include "report.hpp"

struct Status {};

struct Node {
  stray::chan<stray::chan<Status>> questions = stray::make_chan<stray::chan<Status>>();
  stray::chan<void> stop = stray::make_chan<void>(), done = stray::make_chan<void>();

  void status() {
    auto answer = stray::make_chan<Status>();
    if (stray::select(stray::on_send(questions, answer), stray::on_recv(done)) == 1) return;
    answer.recv();
  }
  void run() {
    auto reply = [](const std::optional<stray::chan<Status>>& answer) { answer->send(Status{}); };
    while (stray::select(stray::on_recv(questions, reply), stray::on_recv(stop)) == 0) {
    }
    done.close();
  }
  void stop_all() {
    if (stray::select(stray::on_send(stop), stray::on_recv(done)) == 0) done.recv();
  }
};

void start() {
  auto n = std::make_shared<Node>();
  stray::go([n] { n->run(); });
  n->status();
  n->stop_all();
  stray::go([n] { n->status(); });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
