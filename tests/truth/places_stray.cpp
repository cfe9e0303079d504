// Places of the library's own: channels' buffers, closures, frames of goroutines, timers, contexts, what add_root was given.
#include <array>
#include <exception>
#include <optional>

#include "lives.hpp"
#include "places.hpp"

namespace truth {

namespace {

struct in_buffer : place {
  stray::chan<void*> ch = stray::make_chan<void*>(3);
  void put(void* p) override {
    object_of(p)->back_chan = ch;
    ch.send(p);
  }
  void* take() override {
    void* p = *ch.recv();
    object_of(p)->back_chan = {};
    return p;
  }
};
// Of which only a receiving handle is left.
struct in_received_buffer : place {
  stray::recv_chan<void*> rx;
  void put(void* p) override {
    auto full = stray::make_chan<void*>(2);
    full.send(p);
    rx = full;
  }
  void* take() override {
    void* p = *rx.recv();
    rx = {};
    return p;
  }
};
#pragma pack(push, 1)
struct message {
  unsigned char op;
  void* from;
};
#pragma pack(pop)
struct in_packed_buffer : place {
  stray::chan<message> ch = stray::make_chan<message>(5);
  void put(void* p) override {
    for (int i = 0; i < 3; i++) ch.send(message{0, nullptr});  // another offset each time
    ch.send(message{1, p});
  }
  void* take() override {
    void* p = nullptr;
    while (p == nullptr) p = ch.recv()->from;
    return p;
  }
};
// A goroutine that waits for somebody to receive it.
struct in_sender : place {
  stray::chan<void*> ch = stray::make_chan<void*>();
  agent given;
  void put(void* p) override {
    given.give(p);
    stray::go([this] {
      void* mine = given.cell.exchange(nullptr);
      given.phase = 1;
      ch.send(std::exchange(mine, nullptr));
    });
    given.until(1);
  }
  void* take() override { return *ch.recv(); }
};

// Goroutines that wait at a gate which the caller has.
enum class kept_in { frame, closure, large_closure, exception };
struct carried {
  void* p;
  std::array<char, 200> more{};
};
template <kept_in In>
struct in_goroutine : place {
  agent at;
  stray::chan<int> gate = stray::make_chan<int>(1);
  void give_back(void* p) {
    at.cell = p;
    at.phase = 3;
  }
  void put(void* p) override {
    at.phase = 0;
    stray::recv_chan<int> rx = gate;
    if (In == kept_in::closure) {
      stray::go([this, rx, p]() mutable {
        at.phase = 1;
        rx.recv();
        give_back(p);
      });
    } else if (In == kept_in::large_closure) {
      stray::go([this, rx, c = carried{p}]() mutable {
        at.phase = 1;
        rx.recv();
        give_back(c.p);
      });
    } else {
      at.cell = p;
      stray::go([this, rx] {
        void* volatile mine = at.cell.exchange(nullptr);
        if (In == kept_in::exception) {
          try {
            throw carried{std::exchange(const_cast<void*&>(mine), nullptr)};
          } catch (carried& c) {
            scrub();
            at.phase = 1;
            rx.recv();
            give_back(c.p);
          }
          return;
        }
        scrub();
        at.phase = 1;
        rx.recv();
        give_back(mine);
      });
    }
    at.until(1);
  }
  void* take() override {
    gate.send(1);
    return at.taken_back();
  }
};
// A goroutine that is asleep, and wakes by itself.
struct in_sleeper : place {
  agent at;
  void put(void* p) override {
    at.give(p);
    stray::go([this] {
      void* volatile mine = at.cell.exchange(nullptr);
      scrub();
      at.phase = 1;
      while (at.phase != 2) stray::sleep_for(std::chrono::microseconds(400));
      at.cell = mine;
      at.phase = 3;
    });
    at.until(1);
  }
  void* take() override {
    at.phase = 2;
    return at.taken_back();
  }
};
// Started, and not yet run for a while, where there is one processor.
struct in_unstarted : place {
  agent at;
  [[gnu::noinline]] void start(void* p) {
    stray::go([this, p] {
      at.cell = p;
      at.phase = 3;
    });
  }
  void put(void* p) override {
    at.phase = 0;
    start(p);
    scrub();
    auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(1500);
    while (std::chrono::steady_clock::now() < end) __builtin_ia32_pause();
  }
  void* take() override { return at.taken_back(); }
};

// --- timers and contexts -------------------------------------------------------------------------------------------------------------
// In the function of after_func, pending or stopped; let out by its firing.
template <bool Stopped>
struct in_after_func : place {
  agent at;
  stray::timer pending;
  void put(void* p) override {
    at.phase = 0;
    pending = stray::after_func(std::chrono::hours(1), [this, p] {
      at.cell = p;
      at.phase = 3;
    });
    if (Stopped) pending.stop();
  }
  void* take() override {
    pending.reset(std::chrono::nanoseconds(1));
    void* p = at.taken_back();
    pending = {};
    return p;
  }
};
// Nobody but the waiter has its handle: it fires by itself.
template <int Microseconds>
struct in_firing : place {
  agent at;
  void put(void* p) override {
    at.phase = 0;
    object_of(p)->back_timer = stray::after_func(std::chrono::microseconds(Microseconds), [this, p] {
      at.cell = p;
      at.phase = 3;
    });
  }
  void* take() override {
    void* p = at.taken_back();
    object_of(p)->back_timer = {};
    return p;
  }
};
struct in_context_value : place {
  struct key {
    friend bool operator==(key, key) { return true; }
  };
  stray::context ctx;
  void put(void* p) override { ctx = stray::with_value(stray::with_cancel(stray::background()).ctx, key{}, p); }
  void* take() override {
    void* p = *ctx.value<void*>(key{});
    ctx = {};
    return p;
  }
};
// Called when the context is cancelled.
struct in_stop_callback : place {
  agent at;
  stray::cancel_func cancel;
  struct callback {
    in_stop_callback* self;
    void* p;
    void operator()() {
      self->at.cell = std::exchange(p, nullptr);
      self->at.phase = 3;
    }
  };
  std::optional<std::stop_callback<callback>> registered;
  void put(void* p) override {
    at.phase = 0;
    auto made = stray::with_cancel(stray::background());
    cancel = std::move(made.cancel);
    registered.emplace(made.ctx.stop_token(), callback{this, p});
  }
  void* take() override {
    cancel();
    void* p = at.taken_back();
    registered.reset();
    cancel = {};
    return p;
  }
};

// XORed, and what it points to was given to add_root before.
struct in_root : place {
  std::uintptr_t masked = 0;
  stray::leak::root root;
  static constexpr std::uintptr_t key = 0x5a5a'5a5a'5a5a'5a5a;
  void put(void* p) override {
    constexpr std::size_t a_link = 16;
    root = stray::leak::add_root(p, object_of(p) == p ? sizeof(object) : a_link);
    masked = reinterpret_cast<std::uintptr_t>(p) ^ key;
  }
  void* take() override {
    void* p = reinterpret_cast<void*>(std::exchange(masked, 0) ^ key);
    root = {};
    return p;
  }
};

}  // namespace

void add_stray_places(std::vector<place_kind>& to) {
  to.push_back(kind_of<in_buffer>("chan.buffer"));
  to.push_back(kind_of<in_received_buffer>("chan.received_buffer"));
  to.push_back(kind_of<in_packed_buffer>("packed.chan"));
  to.push_back(kind_of<in_sender>("chan.sender"));
  to.push_back(kind_of<in_goroutine<kept_in::frame>>("go.frame"));
  to.push_back(kind_of<in_goroutine<kept_in::closure>>("go.closure"));
  to.push_back(kind_of<in_goroutine<kept_in::large_closure>>("go.large_closure"));
  to.push_back(kind_of<in_goroutine<kept_in::exception>>("go.exception"));
  to.push_back(kind_of<in_sleeper>("go.asleep"));
  to.push_back(kind_of<in_unstarted>("go.unstarted"));
  to.push_back(kind_of<in_after_func<false>>("timer.pending"));
  to.push_back(kind_of<in_after_func<true>>("timer.stopped"));
  to.push_back(kind_of<in_firing<700>>("timer.firing"));
  to.push_back(kind_of<in_firing<40'000>>("timer.unheld"));
  to.push_back(kind_of<in_context_value>("context.value"));
  to.push_back(kind_of<in_stop_callback>("context.callback"));
  to.push_back(kind_of<in_root>("root.added"));
}

}  // namespace truth
