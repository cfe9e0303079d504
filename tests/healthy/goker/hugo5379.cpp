// A page without content, which the shortcodes get, has no words to count.
// expect: nothing
#include <memory>
#include <mutex>

#include "report.hpp"

struct Page : std::enable_shared_from_this<Page> {
  stray::once content_init, plain_init;
  stray::mutex content_init_mu;
  stray::recv_chan<void> gate;

  void word_count() {
    init_content();
    gate.recv();
    init_plain();
  }
  void init_plain() {
    plain_init.call([this] { std::lock_guard lock(content_init_mu); });
  }
  void init_content() {
    content_init.call([this] {
      auto [ctx, cancel] = stray::with_timeout(stray::background(), std::chrono::milliseconds(1));
      auto rendered = stray::make_chan<void>(1);
      stray::go([self = shared_from_this(), rendered] {
        std::lock_guard lock(self->content_init_mu);
        self->prepare_for_render();
        rendered.send();
      });
      stray::select(stray::on_recv(ctx.done()), stray::on_recv(rendered));
    });
  }
  void prepare_for_render() {}
};

struct Site {
  std::shared_ptr<Page> page;

  void render_pages() {
    stray::wait_group workers;
    for (int i = 0; i < 2; i++) {
      workers.go([p = page] { p->word_count(); });
    }
    workers.wait();
  }
};

void start() {
  stray::testing::fake_clock clock;
  auto gate = stray::make_chan<void>();
  auto page = std::make_shared<Page>();
  page->gate = gate;
  stray::go([page] { Site{page}.render_pages(); });
  stray::testing::until_parked(3);
  gate.close();
  while (stray::num_goroutine() > 1) stray::yield();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
