// A page renders its content in a goroutine that keeps the content locked. Rendering asks for the page's word count, and that locks the
// content once more, inside of `plain_init`; so the two renderers stay before `plain_init`, and the site waits for them.
// expect: 1 Page::init_plain::lambda [sync.Mutex.Lock] cycle @content
// expect: 2 Page::init_plain [sync.Once.Do] proven @plain
// expect: 1 Site::render_pages [sync.WaitGroup.Wait] proven @wait
// go: allowed
// cause: it holds the lock (in heap memory) itself: locked twice; a root leak:
// cause: is being run by goroutine N, which is itself leaked; goroutine N is blocked at @content [sync.Mutex.Lock]
// cause: it waits for goroutine N and goroutine N at @plain [sync.Once.Do], leaked too; the root leak is goroutine N at @content [sync.Mutex.Lock]
#include <memory>
#include <mutex>

#include "report.hpp"

struct Page : std::enable_shared_from_this<Page> {
  stray::once content_init, plain_init;
  stray::mutex content_init_mu;
  stray::recv_chan<void> gate;  // holds up the renderers, not the goroutine that they start

  void word_count(bool renderer) {
    init_content();
    if (renderer) gate.recv();
    init_plain();
  }
  void init_plain() {
    plain_init.call([this] {                  // here: plain
      std::lock_guard lock(content_init_mu);  // here: content
    });
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
  void prepare_for_render() { word_count(false); }
};

struct Site {
  std::shared_ptr<Page> page;

  void render_pages() {
    stray::wait_group workers;
    for (int i = 0; i < 2; i++) {
      workers.go([p = page] { p->word_count(true); });
    }
    workers.wait();  // here: wait
  }
};

void start() {
  stray::testing::fake_clock clock;
  auto gate = stray::make_chan<void>();
  auto page = std::make_shared<Page>();
  page->gate = gate;
  stray::go([page] { Site{page}.render_pages(); });
  stray::testing::until_parked(4);  // the site, a renderer and its goroutine, the other renderer
  clock.advance(std::chrono::milliseconds(1));
  stray::testing::until_parked(4);
  gate.close();
  stray::testing::until_parked(4);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
