// Places: where the only pointer to something may lie.
//
// 1. put: afterwards the pointer lies in the place and nowhere else but in dead registers and dead frames of the caller, who clears them
//    (scrub). take gives it back, and nothing stays behind. In between it is never hidden: at every instant it lies in plain sight.
// 2. A place finds the pointer again only where it put it. No copy is kept, plain or masked.
// 3. One user at a time: a goroutine or an OS thread, not always the same.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <stray/stray.hpp>

namespace truth {

class place {
 public:
  virtual ~place() = default;
  virtual void put(void* p) = 0;
  virtual void* take() = 0;
};

struct place_kind {
  std::string name;
  bool open;  // docs/guarantees.md says that it is not seen
  std::function<std::unique_ptr<place>()> make;
  bool (*here)() = nullptr;  // false: this machine has none; nullptr: it has
};
const std::vector<place_kind>& all_places();

// By file.
void add_memory_places(std::vector<place_kind>& to);
void add_thread_places(std::vector<place_kind>& to);
void add_signal_places(std::vector<place_kind>& to);
void add_stray_places(std::vector<place_kind>& to);
void add_fiber_places(std::vector<place_kind>& to);
void add_kernel_places(std::vector<place_kind>& to);
void add_open_places(std::vector<place_kind>& to);

template <class P>
place_kind kind_of(std::string name, bool open = false) {
  return {std::move(name), open, [] { return std::make_unique<P>(); }, nullptr};
}

// Clears what earlier calls left below the caller's frame.
[[gnu::noinline]] void scrub();

// How somebody else is given a pointer, holds it for a while and gives it back.
struct agent {
  std::atomic<void*> cell{nullptr};
  std::atomic<int> phase{0};  // 0: in the cell, 1: held, 2: wanted back, 3: in the cell again

  void give(void* p) {
    cell = p;
    phase = 0;
  }
  void until(int n) {
    while (phase.load() != n) stray::yield();
  }
  void* taken_back() {
    until(3);
    return cell.exchange(nullptr);
  }
};

// An OS thread as agent: hold(a) takes the pointer out of a.cell, sets phase 1, keeps it until phase 2, and puts it back.
template <void (*Hold)(agent&)>
class in_thread : public place {
 public:
  void put(void* p) override {
    agent_.give(p);
    thread_ = std::thread([this] {
      Hold(agent_);
      scrub();
      agent_.phase = 3;
    });
    agent_.until(1);
  }
  void* take() override {
    agent_.phase = 2;
    void* p = agent_.taken_back();
    thread_.join();
    return p;
  }

 private:
  agent agent_;
  std::thread thread_;
};

}  // namespace truth
