// A proof is for ever: who was proven leaked stays reported in the same wait, whatever word a later snapshot finds, and whether it decides or not.
//
// The stale word is the address of the leaked one's own closure object: it leads into its stack, where the handle lies.
#include "leak/detect/detector.h"
#include "leak/reclaim/reclaim_case.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/syscalls.h"
#include "trace/task_list.h"

namespace {

using namespace stray::leak::test;
using stray::leak::findings;
using stray::leak::tier;

std::atomic<std::uintptr_t> masked{0};  // no plain address of it lies anywhere

// A goroutine that waits on a channel whose only handle lies in its frame, at ~masked.
[[gnu::noinline]] std::uint64_t leak_one() {
  return start([] {
    stray::chan<int> own = stray::make_chan<int>();
    masked = ~reinterpret_cast<std::uintptr_t>(&own);
    own.recv();
  });
}

class thread_with_a_stale_word {
 public:
  enum place { vector_register, general_register, frame_of_a_sleeper };
  explicit thread_with_a_stale_word(place where) : thread_([this, where] { hold(where); }) {
    while (!holds_) std::this_thread::yield();
    if (where != frame_of_a_sleeper) return;
    for (stray::trace::task_sleep now; !stray::trace::look_at_sleep(tid_, now) || !now.asleep;) std::this_thread::yield();
  }
  ~thread_with_a_stale_word() {
    {
      std::lock_guard held(lock_);
      over_ = 1;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  [[gnu::noinline]] void hold(place where) {
    tid_ = stray::base::sys::gettid();
    if (where == frame_of_a_sleeper) {
      std::uintptr_t word = ~masked.load();
      asm volatile("" : : "r"(&word) : "memory");  // it stays in the frame
      std::unique_lock held(lock_);
      holds_ = true;
      changed_.wait(held, [&] { return over_.load() != 0; });
      word = 0;
      asm volatile("" : : "r"(&word) : "memory");
      return;
    }
    holds_ = true;
    std::uintptr_t word = masked.load();
    if (where == vector_register) {
      asm volatile(
          "notq %0\n\tmovq %0, %%xmm9\n\txorl %k0, %k0\n"
          "1:\tpause\n\tcmpl $0, %1\n\tje 1b\n\tpxor %%xmm9, %%xmm9"
          : "+r"(word)
          : "m"(over_)
          : "xmm9", "memory", "cc");
    } else {
      asm volatile("notq %0\n1:\tpause\n\tcmpl $0, %1\n\tje 1b\n\txorl %k0, %k0" : "+r"(word) : "m"(over_) : "memory", "cc");
    }
  }
  std::mutex lock_;
  std::condition_variable changed_;
  std::atomic<int> over_{0}, tid_{0};
  std::atomic<bool> holds_{false};
  std::thread thread_;
};

const stray::leak::group* group_with(const report& r, std::uint64_t id) {
  for (const stray::leak::group& g : r.groups()) {
    for (const stray::leak::goroutine& one : g.goroutines) {
      if (one.id == id) return &g;
    }
  }
  return nullptr;
}

void end(const report& r, std::uint64_t id) {
  reclaim_report gone = stray::leak::reclaim(r.only([&](const auto&, const stray::leak::goroutine& g) { return g.id == id; }));
  EXPECT_EQ(of(gone, id).outcome, reclaim_outcome::reclaimed) << gone;
  until_gone(id);
}

void stays_proven(thread_with_a_stale_word::place where) {
  std::uint64_t id = leak_one();
  report first = until_found({id});
  std::string cause = group_with(first, id)->cause;
  {
    thread_with_a_stale_word stale(where);
    for (int i = 0; i < 10; i++) {
      report r = stray::leak::find({.min_tier = tier::likely});
      EXPECT_TRUE(r.complete());
      const stray::leak::group* g = group_with(r, id);
      ASSERT_NE(g, nullptr) << r;
      EXPECT_EQ(g->tier, tier::proven);
      EXPECT_EQ(g->cause, cause);
      EXPECT_EQ(g->goroutines.size(), 1u) << "once, not also as likely";
    }
    std::uint64_t another = leak_one();  // a new one: everybody is stopped
    report both = until_found({another});
    EXPECT_NE(group_with(both, id), nullptr) << both;
    std::string why = stray::leak::why(id);
    EXPECT_TRUE(why.starts_with("goroutine " + std::to_string(id) + " is leaked (proven): " + cause)) << why;
    end(both, another);
  }
  end(until_found({id}), id);
}

TEST(proof, stays_with_a_stale_word_in_a_vector_register) { stays_proven(thread_with_a_stale_word::vector_register); }
TEST(proof, stays_with_a_stale_word_in_a_general_register) { stays_proven(thread_with_a_stale_word::general_register); }
TEST(proof, stays_with_a_stale_word_in_the_frame_of_a_sleeper) { stays_proven(thread_with_a_stale_word::frame_of_a_sleeper); }

// The scenes above prove something only if the word hides who was not proven before.
TEST(proof, is_needed_before_the_word_is_there) {
  std::uint64_t id = leak_one();
  while (masked == 0) stray::yield();
  {
    thread_with_a_stale_word stale(thread_with_a_stale_word::vector_register);
    for (int i = 0; i < 5; i++) EXPECT_FALSE(is_found(id));
    EXPECT_NE(stray::leak::why(id).find("is alive"), std::string::npos);
  }
  end(until_found({id}), id);
}

// What is switched off for an ablation run counts as seen by it alone.
TEST(proof, is_not_asked_for_by_an_ablation_run) {
  std::uint64_t id = leak_one();
  report first = until_found({id});
  {
    thread_with_a_stale_word stale(thread_with_a_stale_word::vector_register);
    auto found = stray::leak::detect({.blame = false});
    for (const stray::leak::finding& f : found->list) EXPECT_NE(f.id, id);
    EXPECT_TRUE(is_found(id)) << "and that changes nothing for others";
  }
  end(first, id);
}

TEST(proof, stays_when_a_detection_decides_nothing) {
  std::uint64_t id = leak_one();
  report first = until_found({id});
  report refused = stray::leak::find({.pause_budget = 1ns});
  EXPECT_FALSE(refused.complete());
  const stray::leak::group* g = group_with(refused, id);
  ASSERT_NE(g, nullptr) << refused;
  EXPECT_EQ(g->cause, group_with(first, id)->cause);
  end(first, id);
  EXPECT_EQ(group_with(stray::leak::find({.pause_budget = 1ns}), id), nullptr);
}

// Of two detections each must see it for itself before anything is unwound.
TEST(proof, of_an_earlier_detection_is_not_enough_for_reclaim) {
  std::uint64_t id = leak_one();
  report first = until_found({id});
  {
    thread_with_a_stale_word stale(thread_with_a_stale_word::frame_of_a_sleeper);
    reclaim_report r = stray::leak::reclaim(first);
    EXPECT_EQ(of(r, id).outcome, reclaim_outcome::refused);
    EXPECT_NE(of(r, id).reason.find("an earlier detection has proven it"), std::string::npos) << of(r, id).reason;
  }
  EXPECT_TRUE(exists(id));
  end(first, id);
}

// A destructor hands out the handle that the victim waits for: it is leaked no more, in the same wait.
TEST(proof, is_void_after_a_reclaim) {
  static stray::chan<int> handed;
  struct hands_out {
    stray::chan<int> ch = stray::make_chan<int>();
    ~hands_out() { handed = std::move(ch); }
  };
  std::atomic<std::uint64_t> victim{0};
  std::atomic<bool> woken{false};
  std::uint64_t culprit = start([&] {
    hands_out mine;
    victim = start([&, rx = stray::recv_chan<int>(mine.ch)] {
      rx.recv();
      woken = true;
    });
    block();
  });
  while (victim == 0) stray::yield();
  report first = until_found({culprit, victim});
  reclaim_report r = stray::leak::reclaim(first);
  EXPECT_EQ(of(r, culprit).outcome, reclaim_outcome::reclaimed) << r;
  EXPECT_EQ(of(r, victim).outcome, reclaim_outcome::deferred) << r;
  std::atomic<bool> has{false}, over{false};
  std::thread computes([&] {
    stray::chan<int> here = std::move(handed);
    has = true;
    while (!over) asm volatile("" : : "r"(&here) : "memory");
    EXPECT_TRUE(here.try_send(1));
  });
  while (!has) std::this_thread::yield();
  for (int i = 0; i < 5; i++) EXPECT_FALSE(is_found(victim));
  over = true;
  computes.join();
  while (!woken) stray::yield();
  until_gone(victim);
}

}  // namespace
