#include "lives.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <memory_resource>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "fiber.hpp"
#include "places.hpp"

namespace truth {

scene the_scene;

namespace {

constexpr int most_planted = 20'000;
std::atomic<std::uint64_t> planted[most_planted];
std::atomic<int> planted_used{0};

const char* text_of(state s) {
  constexpr const char* names[] = {"not born", "waiting", "dropped", "woken", "ended"};
  return names[static_cast<int>(s)];
}

// The newest: the kernel uses TIDs again.
life* life_of(std::uint64_t id) {
  for (int i = lives_used.load() - 1; i >= 0; i--) {
    if (lives[i].ids[0] == id || lives[i].ids[1] == id) return &lives[i];
  }
  return nullptr;
}
bool is_planted(std::uint64_t id) {
  for (int i = planted_used.load() - 1; i >= 0; i--) {
    if (planted[i] == id) return true;
  }
  return false;
}

// --- where an object lies ---
template <void (*Free)(object*)>
object* settle(void* at) {
  auto* o = new (at) object;
  o->release = [](object* dead) {
    dead->~object();
    Free(dead);
  };
  return o;
}
constexpr std::size_t page = 4096, pool_room = 8, large = 300'000;
void free_block(object* o) { std::free(o); }
void free_pooled(object* o) { std::free(o - 3); }
void free_large(object* o) { std::free(reinterpret_cast<char*>(o) - 3 * page); }
void free_page(object* o) { munmap(o, page); }
std::pmr::synchronized_pool_resource& resource() {
  static std::pmr::synchronized_pool_resource r;
  return r;
}
void free_pmr(object* o) { resource().deallocate(o, sizeof *o); }
void* map(int flags) { return mmap(nullptr, page, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0); }

object* make_object(const std::string& at) {
  if (at == "pool") return settle<free_pooled>(static_cast<object*>(std::calloc(pool_room, sizeof(object))) + 3);
  if (at == "pmr") return settle<free_pmr>(resource().allocate(sizeof(object)));
  if (at == "mmap") return settle<free_page>(map(MAP_PRIVATE));
  if (at == "large") return settle<free_large>(static_cast<char*>(std::malloc(large)) + 3 * page);
  if (at == "shm" || at == "shm.out") return settle<free_page>(map(MAP_SHARED));
  return settle<free_block>(std::malloc(sizeof(object)));
}

// --- who waits ---
// What a program may keep of a channel that it has dropped: no handle, so it counts for nothing (COUNT).
void* volatile stale_words[64];

template <class F>
void launch(const std::string& where, F f) {
  if (where == "thread") {
    // Its control block leads to its closure for as long as it lives: nothing is left in there.
    std::thread([p = std::make_unique<F>(std::move(f))]() mutable {
      F here = std::move(*p);
      p.reset();
      scrub();
      here();
    }).detach();
  } else if (where == "big") {
    stray::go({.stack_size = 256 << 10}, std::move(f));
  } else if (where == "fiber.malloc") {
    stray::go([f = std::move(f)]() mutable { on_fiber(memory::heap, false, f); });
  } else if (where == "fiber.mmap") {
    stray::go([f = std::move(f)]() mutable { on_fiber(memory::mapping, false, f); });
  } else {
    stray::go(std::move(f));
  }
}

void send_to(object* p) {
  stray::chan<int> ch = p->ch;  // p goes with the waiter
  ch.send(1);
}

// In the waiter's frame.
[[gnu::noinline]] void wait_own_chan(int n, std::atomic<void*>& cell) {
  alive me(n, 0);
  object o;
  o.life = n;
  o.ch = stray::make_chan<int>();
  o.wake = send_to;
  o.drop = [](object*) {};
  cell = &o;
  o.ch.recv();
}
[[gnu::noinline]] void wait_own_sem(int n, std::atomic<void*>& cell) {
  alive me(n, 0);
  object o;
  o.life = n;
  o.wake = [](object* p) { return p->sem.release(); };
  o.drop = [](object*) {};
  cell = &o;
  o.sem.acquire();
}
[[gnu::noinline]] void wait_own_wg(int n, std::atomic<void*>& cell) {
  alive me(n, 0);
  object o;
  o.life = n;
  o.wg.add(1);
  o.wake = [](object* p) { return p->wg.done(); };
  o.drop = [](object*) {};
  cell = &o;
  o.wg.wait();
}

// The waiter refers to it, and frees it once woken.
[[gnu::noinline]] void wait_ref_sem(int n, object* o) {
  alive me(n, 0);
  o->sem.acquire();
  o->release(o);
}
[[gnu::noinline]] void wait_ref_chan(int n, object* o) {
  alive me(n, 0);
  o->ch.recv();
  o->release(o);
}

// The waker frees it, and wakes with what was in it.
template <class T>
T out_of(T& member, object* o) {
  T t = std::move(member);
  o->release(o);
  return t;
}
void wake_by_chan(object* o) {
  bool close = o->life % 2 == 0;
  stray::chan<int> ch = out_of(o->ch, o);
  if (close) {
    ch.close();
  } else {
    ch.send(1);
  }
}
void let_go(object* o) { o->release(o); }

void begin_held(const item& i, int n, std::atomic<void*>& cell) {
  object* o = make_object(i.at);
  o->life = n;
  if (i.kind == "ref.sem") {
    o->wake = [](object* p) { return p->sem.release(); };
    o->drop = [](object*) {};
    launch(i.where, [n, o] { wait_ref_sem(n, o); });
    cell = o;
    return;
  }
  o->ch = stray::make_chan<int>();
  o->wake = wake_by_chan;
  o->drop = let_go;
  stale_words[n % 64] = o->ch.core();
  stray::recv_chan<int> rx = o->ch;
  if (i.kind == "ref.chan") {
    o->wake = send_to;
    o->drop = [](object*) {};
    launch(i.where, [n, o] { wait_ref_chan(n, o); });
  } else if (i.kind == "recv") {
    launch(i.where, [n, rx] {
      alive me(n, 0);
      rx.recv();
    });
  } else if (i.kind == "send") {
    o->wake = [](object* p) { out_of(p->ch, p).recv(); };
    launch(i.where, [n, tx = stray::send_chan<int>(o->ch)] {
      alive me(n, 0);
      tx.send(1);
    });
  } else if (i.kind == "select") {
    launch(i.where, [n, rx, nobody = stray::recv_chan<int>(stray::make_chan<int>())] {
      alive me(n, 0);
      stray::select(stray::on_recv(nobody), stray::on_recv(rx));
    });
  } else if (i.kind == "ctx") {
    auto made = stray::with_cancel(stray::background());
    o->cancel = std::move(made.cancel);
    o->wake = [](object* p) { out_of(p->cancel, p)(); };
    launch(i.where, [n, ctx = std::move(made.ctx)] {
      alive me(n, 0);
      ctx.done().recv();
    });
  } else if (i.kind == "mutex") {
    launch(i.where, [n, rx, where = i.where] {
      alive me(n, 0);
      auto m = std::make_shared<stray::mutex>();
      std::lock_guard hold(*m);
      launch(where, [n, m] {
        alive waiter(n, 1);
        std::lock_guard wait(*m);
      });
      rx.recv();
    });
  } else if (i.kind == "rw") {
    launch(i.where, [n, rx, where = i.where] {
      alive me(n, 0);
      auto m = std::make_shared<stray::shared_mutex>();
      std::shared_lock hold(*m);
      launch(where, [n, m] {
        alive waiter(n, 1);
        std::lock_guard wait(*m);
      });
      rx.recv();
    });
  } else if (i.kind == "chain") {
    launch(i.where, [n, rx, where = i.where] {
      alive me(n, 0);
      auto next = stray::make_chan<int>();
      launch(where, [n, rx_of_next = stray::recv_chan<int>(next)] {
        alive waiter(n, 1);
        rx_of_next.recv();
      });
      rx.recv();
      next.send(1);
    });
  } else {
    fail("scene", "no kind of waiter: " + i.kind);
  }
  cell = o;
}

struct link {
  std::uint32_t what = object::is_link;
  void* next;
};
#pragma pack(push, 1)
struct packed_link {
  std::uint32_t what = object::is_packed;
  unsigned char op = 1;
  void* next;
};
#pragma pack(pop)

std::uint32_t what_is(void* p) { return *static_cast<std::uint32_t*>(p); }
void* next_of(void* p) {
  return what_is(p) == object::is_link ? static_cast<link*>(p)->next : static_cast<packed_link*>(p)->next;
}

}  // namespace

int new_life(int item_number) {
  int n = lives_used.load();
  do {
    if (n == most_lives) return -1;
  } while (!lives_used.compare_exchange_weak(n, n + 1));
  lives[n].item = item_number;
  lives[n].ordinal = n;
  const item& i = the_scene.items[static_cast<std::size_t>(item_number)];
  lives[n].members = i.kind == "mutex" || i.kind == "rw" || i.kind == "chain" ? 2 : 1;
  bool root =
      i.at == "pmr" || i.at == "mmap" || i.at.starts_with("shm");  // the object's memory stays reachable, whatever is dropped
  lives[n].plain = !i.where.starts_with("fiber") && !(root && leads_to_block(i.kind));
  lives[n].strict = lives[n].plain && !leads_to_block(i.kind);
  return n;
}

alive::alive(int life_number, int which) : life_(lives[life_number]), enter_exceptions_(std::uncaught_exceptions()) {
  std::uint64_t id = stray::goroutine_id();
  life_.ids[which] = id != 0 ? id : static_cast<std::uint64_t>(syscall(SYS_gettid)) | thread_bit;
  life_.running++;
}
alive::~alive() {
  bool unwinding = std::uncaught_exceptions() > enter_exceptions_;
  if (unwinding && life_.now != state::dropped) fail("a living one was reclaimed", describe(life_));
  life_.running--;
}

void write_planted() {
  int n = planted_used.fetch_add(1);
  if (n < most_planted) planted[n] = stray::goroutine_id();
}

object* object_of(void* top) {
  while (what_is(top) != object::is_object) top = next_of(top);
  return static_cast<object*>(top);
}
void* with_links(void* p, const item& i) {
  for (unsigned n = 0; n < i.links; n++) p = i.packed ? static_cast<void*>(new packed_link{.next = p}) : new link{.next = p};
  return p;
}
void mask_handle(object* o, const item& i) {
  if (i.at != "masked") return;
  auto* words = reinterpret_cast<volatile std::uint64_t*>(&o->ch);
  for (std::size_t n = 0; n < sizeof o->ch / sizeof *words; n++) words[n] = words[n] ^ 0x5a5a'5a5a'5a5a'5a5a;
}
object* without_links(void* p) {
  while (what_is(p) != object::is_object) {
    void* next = next_of(p);
    if (what_is(p) == object::is_link) {
      delete static_cast<link*>(p);
    } else {
      delete static_cast<packed_link*>(p);
    }
    p = next;
  }
  return static_cast<object*>(p);
}

[[gnu::noinline]] void begin_life(const item& i, int n, std::atomic<void*>& cell) {
  lives[n].now = state::waiting;
  if (i.kind == "own.chan") {
    launch(i.where, [n, &cell] { wait_own_chan(n, cell); });
  } else if (i.kind == "own.sem") {
    launch(i.where, [n, &cell] { wait_own_sem(n, cell); });
  } else if (i.kind == "own.wg") {
    launch(i.where, [n, &cell] { wait_own_wg(n, cell); });
  } else {
    begin_held(i, n, cell);
    if (i.at != "shm.out") return;
    while (lives[n].running == 0) stray::yield();
    stray::sleep_for(std::chrono::milliseconds(1));  // it waits by now
    madvise(cell.load(), page, MADV_DONTNEED);       // of shared memory that loses no byte
  }
}

std::string describe(const life& l) {
  auto name = [](std::uint64_t id) {
    return ((id & thread_bit) != 0 ? "thread " : "goroutine ") + std::to_string(id & ~thread_bit);
  };
  const item& i = the_scene.items[static_cast<std::size_t>(l.item)];
  std::string text = "life " + std::to_string(l.ordinal) + " of item " + std::to_string(l.item) + " (" + i.kind + " in " +
                     i.where + ", object at " + i.at + "), " + name(l.ids[0]);
  if (l.ids[1] != 0) text += " and " + name(l.ids[1]);
  return text + ", which is " + text_of(l.now) + ", its pointer last in " + l.place.load() + ", before in " +
         l.place_before.load();
}

void fail(const std::string& kind, const std::string& text) {
  static std::atomic<bool> once{false};
  if (once.exchange(true)) {
    for (;;) usleep(1'000'000);
  }
  std::printf("FAIL %s\nduring %s: %s\n", kind.c_str(), moment.load(), text.c_str());
  std::fflush(stdout);
  _exit(3);
}

void check(const stray::leak::report& r, const char* who) {
  count.detections++;
  if (!r.complete()) {
    count.incomplete++;
    for (const std::string& n : r.notes()) {
      if (n.find("ended early") == std::string::npos) continue;
      count.died++;
      if (std::getenv("TRUTH_LET_DIE") == nullptr) fail("a detection died", n + " (asked by " + who + ")");
    }
  }
  for (const stray::leak::group& g : r.groups()) {
    if (g.tier < stray::leak::tier::cycle) continue;
    for (const stray::leak::goroutine& one : g.goroutines) {
      life* l = life_of(id_of(one));
      if (l == nullptr && is_planted(id_of(one))) continue;
      if (l != nullptr && l->now == state::dropped) continue;
      std::string text = std::string("asked by ") + who + ": " + std::to_string(g.count) + " x " + g.wait_reason + ", " +
                         to_string(g.tier) + ", " + g.cause + "\n  " +
                         (l != nullptr ? describe(*l) : "one of the fuzzer's own, " + std::to_string(one.id));
      for (const stray::leak::frame& f : g.stack) text += "\n    " + f.function;
      fail("a living one was reported", text);
    }
  }
}

void check_why(const std::string& answer, int n) {
  if (answer.find(" is leaked (proven)") == std::string::npos && answer.find(" is leaked (cycle)") == std::string::npos) return;
  if (lives[n].now == state::dropped) return;
  fail("why says that a living one is leaked", answer + "\n  " + describe(lives[n]));
}

}  // namespace truth
