// Places on fibers of the program's own: suspended ones, and such that an OS thread or a goroutine is on.
#include <memory>
#include <sys/mman.h>
#include <ucontext.h>

#include "fiber.hpp"
#include "lives.hpp"
#include "places.hpp"

namespace truth {

namespace {

// A suspended fiber with the pointer in its frame; its saved sp is all that leads there.
template <memory M>
struct in_suspended : place {
  struct control {
    void* fiber = nullptr;   // sp
    void* caller = nullptr;  // sp, while the fiber runs
    void* cell = nullptr;
  };
  std::unique_ptr<control> c = std::make_unique<control>();
  void* stack = nullptr;
  static void body(void* arg) {
    auto* c = static_cast<control*>(arg);
    void* volatile mine = std::exchange(c->cell, nullptr);
    stack_switch(&c->fiber, c->caller);
    c->cell = mine;
    mine = nullptr;
    stack_switch(&c->fiber, c->caller);
  }
  void put(void* p) override {
    stack = take_stack(M);
    c->cell = p;
    stack_switch(&c->caller, fiber_begin(stack, body, c.get()));
  }
  void* take() override {
    stack_switch(&c->caller, c->fiber);
    give_stack(M, std::exchange(stack, nullptr));
    return std::exchange(c->cell, nullptr);
  }
};
// The same by swapcontext: the frame's registers lie in the ucontext_t.
struct in_swapped : place {
  struct control {
    ucontext_t fiber, caller;
    void* cell = nullptr;
  };
  std::unique_ptr<control> c = std::make_unique<control>();
  void* stack = nullptr;
  static void body(unsigned lo, unsigned hi) {
    auto* c = reinterpret_cast<control*>(static_cast<std::uintptr_t>(hi) << 32 | lo);
    register void* mine asm("r13") = std::exchange(c->cell, nullptr);
    asm volatile("" : "+r"(mine));
    swapcontext(&c->fiber, &c->caller);
    asm volatile("" : "+r"(mine));
    c->cell = mine;
    swapcontext(&c->fiber, &c->caller);
  }
  void put(void* p) override {
    stack = take_stack(memory::heap);
    c->cell = p;
    getcontext(&c->fiber);
    c->fiber.uc_stack.ss_sp = stack;
    c->fiber.uc_stack.ss_size = fiber_stack_size;
    c->fiber.uc_link = nullptr;
    auto at = reinterpret_cast<std::uintptr_t>(c.get());
    makecontext(&c->fiber, reinterpret_cast<void (*)()>(body), 2, static_cast<unsigned>(at), static_cast<unsigned>(at >> 32));
    swapcontext(&c->caller, &c->fiber);
  }
  void* take() override {
    swapcontext(&c->caller, &c->fiber);
    give_stack(memory::heap, std::exchange(stack, nullptr));
    return std::exchange(c->cell, nullptr);
  }
};
// A fiber that has not begun: makecontext takes ints, so the pointer goes in two halves.
struct in_halves : place {
  struct control {
    ucontext_t fiber, caller;
    void** out = nullptr;
  };
  static inline thread_local control* current;
  std::unique_ptr<control> c = std::make_unique<control>();
  void* stack = nullptr;
  static void body(unsigned lo, unsigned hi) {
    *current->out = reinterpret_cast<void*>(static_cast<std::uintptr_t>(hi) << 32 | lo);
    swapcontext(&current->fiber, &current->caller);
  }
  void put(void* p) override {
    stack = take_stack(memory::mapping);
    getcontext(&c->fiber);
    c->fiber.uc_stack.ss_sp = stack;
    c->fiber.uc_stack.ss_size = fiber_stack_size;
    c->fiber.uc_link = nullptr;
    auto at = reinterpret_cast<std::uintptr_t>(p);
    makecontext(&c->fiber, reinterpret_cast<void (*)()>(body), 2, static_cast<unsigned>(at), static_cast<unsigned>(at >> 32));
  }
  [[gnu::noinline]] void* run() {
    void* p = nullptr;
    c->out = &p;
    current = c.get();
    swapcontext(&c->caller, &c->fiber);
    return p;
  }
  void* take() override {
    void* p = run();
    give_stack(memory::mapping, std::exchange(stack, nullptr));
    return p;
  }
};

// --- somebody is on it ---------------------------------------------------------------------------------------------------------------
enum class does { spin, sleep, park, sleep_for };
template <does What>
void wait(agent& a, stray::recv_chan<int>& rx) {
  if (What == does::park) {
    rx.recv();
    return;
  }
  while (a.phase.load() != 2) {
    if (What == does::spin) __builtin_ia32_pause();
    if (What == does::sleep) {
      timespec some{0, 300'000};
      nanosleep(&some, nullptr);
    }
    if (What == does::sleep_for) stray::sleep_for(std::chrono::microseconds(300));
  }
}
template <bool Goroutine, does What, memory M, bool Swap, bool Below>
struct on_running : place {
  agent at;
  stray::chan<int> gate = stray::make_chan<int>(1);
  std::thread thread;
  std::atomic<void*> frame{nullptr};
  // Below: the pointer is in the frame that the fiber was started from.
  [[gnu::noinline]] void hold() {
    stray::recv_chan<int> rx = gate;
    void* volatile below = Below ? at.cell.exchange(nullptr) : nullptr;
    auto body = [&] {
      void* volatile mine = Below ? nullptr : at.cell.exchange(nullptr);
      scrub();
      void* here = const_cast<void**>(&mine);
      frame = here;
      at.phase = 1;
      wait<What>(at, rx);
      if (!Below) at.cell = mine;
      mine = nullptr;
    };
    on_fiber(M, Swap, body);
    if (Below) at.cell = below;
    below = nullptr;
  }
  void put(void* p) override {
    at.give(p);
    auto run = [this] {
      hold();
      at.phase = 3;
    };
    if (Goroutine) {
      stray::go(run);
    } else {
      thread = std::thread(run);
    }
    at.until(1);
    object_of(p)->back = frame.exchange(nullptr);
  }
  void* take() override {
    if (What == does::park) {
      gate.send(1);
    } else {
      at.phase = 2;
    }
    void* p = at.taken_back();
    object_of(p)->back = nullptr;
    if (!Goroutine) thread.join();
    return p;
  }
};
constexpr bool goroutine = true, thread = false, by_switch = false, by_swapcontext = true, on_it = false, below_it = true;

}  // namespace

void add_fiber_places(std::vector<place_kind>& to) {
  to.push_back(kind_of<in_suspended<memory::heap>>("fiber.suspended.heap"));
  to.push_back(kind_of<in_suspended<memory::mapping>>("fiber.suspended.mapping"));
  to.push_back(kind_of<in_suspended<memory::pool>>("fiber.suspended.pool"));
  to.push_back(kind_of<in_swapped>("fiber.swapcontext"));
  to.push_back(kind_of<in_halves>("fiber.halves"));
  to.push_back(kind_of<on_running<thread, does::spin, memory::heap, by_switch, on_it>>("fiber.thread.spin.heap"));
  to.push_back(kind_of<on_running<thread, does::spin, memory::mapping, by_switch, below_it>>("fiber.thread.spin.below"));
  to.push_back(kind_of<on_running<thread, does::sleep, memory::heap, by_switch, on_it>>("fiber.thread.asleep.heap"));
  to.push_back(kind_of<on_running<thread, does::sleep, memory::pool, by_swapcontext, on_it>>("fiber.thread.asleep.pool"));
  to.push_back(kind_of<on_running<thread, does::park, memory::heap, by_switch, on_it>>("fiber.thread.parked.heap"));
  to.push_back(kind_of<on_running<thread, does::park, memory::mapping, by_switch, below_it>>("fiber.thread.parked.below"));
  to.push_back(kind_of<on_running<goroutine, does::spin, memory::heap, by_switch, on_it>>("fiber.go.spin.heap"));
  to.push_back(kind_of<on_running<goroutine, does::spin, memory::mapping, by_switch, below_it>>("fiber.go.spin.below"));
  to.push_back(kind_of<on_running<goroutine, does::sleep_for, memory::heap, by_switch, on_it>>("fiber.go.asleep.heap"));
  to.push_back(kind_of<on_running<goroutine, does::sleep_for, memory::mapping, by_switch, on_it>>("fiber.go.asleep.mapping"));
  to.push_back(kind_of<on_running<goroutine, does::park, memory::heap, by_switch, on_it>>("fiber.go.parked.heap"));
  to.push_back(kind_of<on_running<goroutine, does::park, memory::pool, by_swapcontext, on_it>>("fiber.go.parked.pool"));
  to.push_back(kind_of<on_running<goroutine, does::park, memory::heap, by_switch, below_it>>("fiber.go.parked.below"));
}

}  // namespace truth
