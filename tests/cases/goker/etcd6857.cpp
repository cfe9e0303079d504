// A node was stopped, its loop has ended. Who asks for its status then sends a question that nobody takes.
// expect: 1 Node::status [chan send] proven @question
// go: allowed
#include <memory>

#include "report.hpp"

struct Status {};

struct Node {
  stray::chan<stray::chan<Status>> questions = stray::make_chan<stray::chan<Status>>();
  stray::chan<void> stop = stray::make_chan<void>(), done = stray::make_chan<void>();

  void status() {
    auto answer = stray::make_chan<Status>();
    questions.send(answer);  // here: question
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
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
