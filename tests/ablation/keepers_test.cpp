// Who else may keep the only way to a channel: a closure that has not started, an exception that is being handled, a stop_source, and
// what the program has declared. Each beside the same scene without it, which is reported.
#include <optional>
#include <stop_token>
#include <thread>

#include "scene.hpp"

namespace {

using namespace ablation;

// --- a closure that has not started ---------------------------------------------------------------------------------------------------

// One permit, and a goroutine that spins on it. The watcher gives it away after some 20 ms: then the closure has started, and the answer says
// nothing; the scene is set again.
template <class F>
std::optional<tier> verdict_before_start(F closure_of) {
  int before = stray::maxprocs(1);
  std::optional<tier> answer;
  for (bool valid = false; !valid;) {
    std::atomic<bool> spins{false}, stop{false}, started{false};
    set_scene(hand);
    stray::testing::until_parked(1);
    stray::go([&] {
      spins = true;
      while (!stop.load()) __builtin_ia32_pause();
    });
    while (!spins.load()) std::this_thread::yield();
    stray::go(closure_of(&started));
    clear_dead_stack();
    answer = verdict();
    valid = !started.load();
    stop = true;
    while (!started.load()) std::this_thread::yield();
    unmask()->ch.close();
    delete unmask();
    until_all_ended();
  }
  stray::maxprocs(before);
  return answer;
}
TEST(ablation_keepers, closure_not_started) {
  auto with = [](std::atomic<bool>* started) { return [started, ch = unmask()->ch] { *started = true; }; };
  auto without = [](std::atomic<bool>* started) { return [started] { *started = true; }; };
  EXPECT_EQ(verdict_before_start(with), std::nullopt);
  EXPECT_EQ(verdict_before_start(without), tier::likely);
}

// --- an exception that is being handled -----------------------------------------------------------------------------------------------

struct carrier {
  stray::chan<int> ch;
};
[[gnu::noinline]] void throw_away(stray::chan<int>& ch) { throw carrier{std::move(ch)}; }

// One goroutine waits on a channel; the other has thrown the sending handle and waits at the gate, in the handler or behind it.
void expect_with_exception(bool inside, std::optional<tier> seen, std::optional<tier> without_orphans) {
  int before = stray::maxprocs(1);
  auto gate = stray::make_chan<void>();
  set_scene([&](holder* h) {
    hand(h);
    stray::go([ch = h->ch, gate, inside]() mutable {
      try {
        try {
          throw_away(ch);
        } catch (...) {
          if (inside) {
            gate.recv();
            throw;
          }
        }
        gate.recv();
      } catch (carrier& c) {
        c.ch.send(1);
      }
    });
  });
  stray::testing::until_parked(2);
  stray::wait_group another;  // takes the worker's own exception state
  another.go([] {});
  another.wait();
  clear_dead_stack();
  EXPECT_EQ(verdict(), seen);
  EXPECT_EQ(verdict(bit(root::orphans)), without_orphans);
  gate.close();
  if (!inside) unmask()->ch.close();  // else the exception goes on, and the waiter gets its value
  until_all_ended();
  delete unmask();
  stray::maxprocs(before);
}
TEST(ablation_keepers, exception_while_it_is_handled) { expect_with_exception(true, std::nullopt, std::nullopt); }
TEST(ablation_keepers, exception_that_has_been_handled) { expect_with_exception(false, tier::likely, tier::proven); }

// The thread on which a goroutine has parked in a catch block keeps nothing of the exception: it leads to that goroutine's stack.
TEST(ablation_keepers, exception_that_a_leaked_goroutine_handles) {
  stray::go([] {
    try {
      throw 1;
    } catch (int) {
      auto own = stray::make_chan<int>();
      handed = reinterpret_cast<std::uintptr_t>(&own) ^ mask;
      own.recv();
    }
  });
  stray::testing::until_parked(1);
  clear_dead_stack();
  EXPECT_EQ(verdict(), tier::proven);
  reinterpret_cast<stray::chan<int>*>(handed.load() ^ mask)->close();
  until_all_ended();
}

// --- a stop_source --------------------------------------------------------------------------------------------------------------------

std::stop_source early_source;  // its block follows the fresh ones: no stale word leads to it
[[gnu::section(".data")]] std::stop_source a_source{std::nostopstate};
[[gnu::noinline]] void start_until_stopped() {
  a_source = std::move(early_source);
  stray::context ctx = stray::with_stop_token(stray::background(), a_source.get_token()).ctx;
  stray::go([ctx] { ctx.done().recv(); });
}
TEST(ablation_keepers, stop_source_whose_token_was_given) {
  start_until_stopped();
  stray::testing::until_parked(1);
  clear_dead_stack();
  EXPECT_EQ(verdict(), std::nullopt);
  EXPECT_EQ(verdict(bit(root::data)), tier::likely);
  EXPECT_EQ(verdict(bit(root::data) | bit(root::orphans)), tier::proven);
  a_source.request_stop();
  until_all_ended();
}

// --- a value in a buffer --------------------------------------------------------------------------------------------------------------

[[gnu::section(".data")]] stray::recv_chan<stray::chan<int>> a_receiver;
TEST(ablation_keepers, value_in_a_buffer_that_only_a_receiver_reaches) {
  set_scene([](holder* h) {
    hand(h);
    auto outer = stray::make_chan<stray::chan<int>>(1);
    outer.send(h->ch);
    a_receiver = outer;
  });
  stray::testing::until_parked(1);
  clear_dead_stack();
  EXPECT_EQ(verdict(bit(root::orphans)), std::nullopt);
  EXPECT_EQ(verdict(bit(root::data)), tier::likely);
  a_receiver = {};
  EXPECT_EQ(verdict(bit(root::orphans)), tier::proven);
  unmask()->ch.close();
  until_all_ended();
  delete unmask();
}

// --- what the program has declared ----------------------------------------------------------------------------------------------------

// The only pointer lies in a block whose own address nobody recognises: an orphan.
TEST(ablation_keepers, add_root) {
  std::uintptr_t hidden = 0;
  set_scene([&](holder* h) {
    hand(h);
    hidden = reinterpret_cast<std::uintptr_t>(new holder*(h)) ^ mask;
  });
  std::optional<stray::leak::root> declared;
  declared.emplace(stray::leak::add_root(reinterpret_cast<void*>(hidden ^ mask), sizeof(holder*)));
  stray::testing::until_parked(1);
  clear_dead_stack();
  EXPECT_EQ(verdict(), std::nullopt);
  EXPECT_EQ(verdict(bit(root::orphans)), std::nullopt);
  declared.reset();
  clear_dead_stack();
  EXPECT_EQ(verdict(), tier::likely);
  EXPECT_EQ(verdict(bit(root::orphans)), tier::proven);
  unmask()->ch.close();
  until_all_ended();
  delete unmask();
  delete reinterpret_cast<holder**>(hidden ^ mask);
}

// Also for a block that the waiter itself owns, which is no orphan.
TEST(ablation_keepers, add_root_of_own_block) {
  std::uintptr_t hidden = 0;
  stray::go([&hidden] {
    auto own = std::make_unique<holder>(holder{stray::make_chan<int>()});
    hand(own.get());
    hidden = reinterpret_cast<std::uintptr_t>(new holder*(own.get())) ^ mask;
    own->ch.recv();
  });
  stray::testing::until_parked(1);
  std::optional<stray::leak::root> declared;
  declared.emplace(stray::leak::add_root(reinterpret_cast<void*>(hidden ^ mask), sizeof(holder*)));
  clear_dead_stack();
  EXPECT_EQ(verdict(), std::nullopt);
  declared.reset();
  EXPECT_EQ(verdict(bit(root::orphans)), tier::proven);
  unmask()->ch.close();
  until_all_ended();
  delete reinterpret_cast<holder**>(hidden ^ mask);
}

[[gnu::section(".data")]] stray::leak::pin a_pin;
TEST(ablation_keepers, keep_alive) {
  set_scene([](holder* h) {
    hand(h);
    a_pin = stray::leak::keep_alive(h->ch);
  });
  stray::testing::until_parked(1);
  clear_dead_stack();
  EXPECT_EQ(verdict(), std::nullopt);
  EXPECT_EQ(verdict(bit(root::orphans)), std::nullopt);
  EXPECT_EQ(verdict(bit(root::data)), tier::likely);
  a_pin = {};
  EXPECT_EQ(verdict(), tier::likely);
  EXPECT_EQ(verdict(bit(root::orphans)), tier::proven);
  a_pin = stray::leak::keep_alive(unmask()->ch);
  a_pin.detach();
  clear_dead_stack();
  EXPECT_EQ(verdict(bit(root::orphans)), std::nullopt) << "detached: for as long as the process lives";
  unmask()->ch.close();
  until_all_ended();
  delete unmask();
}

}  // namespace
