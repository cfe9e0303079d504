#include "leak/detect/detector.h"
#include "leak/model/ablation.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/sync_shim.h"
#include "leak/classify/path.h"
#include "leak/detect/detection.h"
#include "leak/goroutines/host.h"
#include "profile/symbolize.h"
#include "trace/snapshot.h"

namespace stray::leak {

namespace {

struct request {
  request* next = nullptr;
  asker from;
  ablation without;
  std::int64_t pause_budget_ns = 0;
  std::int64_t sent_ns = asks_now;             // a detection that began later may answer it
  bool only_kept = false;                      // the last one answers it, whenever it began, or none
  std::uint64_t path_to = 0;                   // goroutine
  path_log* path = nullptr;                    // asked for
  const std::function<void()>* job = nullptr;  // instead of a detection
  std::shared_ptr<const findings> answer;
  std::string error;

  bool plain() const noexcept { return job == nullptr && path == nullptr && without.none(); }  // may share a detection
};

struct detector {
  base::spin_lock lock;
  request* waiting = nullptr;
  std::atomic<std::uint32_t> work{0};
  std::atomic<bool> started{false}, asked_to_start{false};
  std::atomic<std::int64_t> keep_until_ns{0};  // the last detection's findings
};
constinit detector the_detector;

// Of those who will share the detection; 0: somebody sets none.
std::int64_t largest_budget(const request* list) noexcept {
  std::int64_t most = 0;
  for (const request* r = list; r != nullptr; r = r->next) {
    if (!r->plain()) continue;
    if (r->pause_budget_ns <= 0) return 0;
    most = std::max(most, r->pause_budget_ns);
  }
  return most;
}

// The last detection, if a request of detect_since or detect_path got it, or somebody wants it kept. Its findings are kept until the next one
// begins, so that they are no root in its snapshot, or until nothing has been asked for 100 ms, and not longer than they are wanted.
struct last_shared {
  std::shared_ptr<const findings> found;
  std::int64_t began_ns = 0;
};

void serve(request* list, last_shared& last) noexcept {
  std::vector<int> askers;  // threads
  std::shared_ptr<const findings> shared;
  for (request* r = list; r != nullptr;) {
    try {
      if (askers.empty()) {
        for (request* a = r; a != nullptr; a = a->next) {
          if (const int tid = a->from.tid(); tid != 0) askers.push_back(tid);
        }
      }
      if (r->job != nullptr) {
        (*r->job)();
      } else if (!r->plain()) {
        last = {nullptr, base::now_ns()};
        r->answer = run_detection({r->without, askers, 0, r->path_to, r->path});
        if (r->without.none()) last.found = r->answer;
      } else if (r->only_kept) {
        r->answer = last.found;
      } else if (shared == nullptr && last.found != nullptr && r->sent_ns < last.began_ns) {
        r->answer = last.found;
      } else {
        if (shared == nullptr) {
          last = {nullptr, base::now_ns()};
          shared = run_detection({{}, askers, largest_budget(r)});
        }
        if (r->sent_ns != asks_now || base::now_ns() < the_detector.keep_until_ns.load()) last.found = shared;
        r->answer = shared;
      }
    } catch (const std::exception& e) {
      r->error = e.what();
    }
    request* next = r->next;
    r->from.answer();  // r lies in its frame: gone once it runs
    r = next;
  }
}

void* detector_body(void*) {
  detector& d = the_detector;
  become_detector_thread();
  trace::init_snapshot();
  last_shared last;
  d.started.store(true);
  for (;;) {
    d.lock.lock();
    request* list = d.waiting;
    d.waiting = nullptr;
    if (list == nullptr) d.work.store(0);
    d.lock.unlock();
    if (list == nullptr) {
      const timespec kept = base::to_timespec(std::max<std::int64_t>(100'000'000, d.keep_until_ns.load() - base::now_ns()));
      base::futex_wait(d.work, 0, last.found != nullptr ? &kept : nullptr);
      if (d.work.load() == 0 && base::now_ns() >= d.keep_until_ns.load()) last.found.reset();
      continue;
    }
    serve(list, last);
  }
  return nullptr;
}

}  // namespace

void forget_detections() {
  ::new (&the_detector) detector;
  forget_detector_thread();
  forget_detections_of_parent();
}

void start_detector() noexcept {
  if (the_detector.asked_to_start.exchange(true)) return;
  try {
    start_service_thread("stray-detect", detector_body);
  } catch (const std::exception& e) {
    base::say("%s", e.what());
    base::fatal("the detector cannot start");
  }
}

namespace {

// Hands r to the detector's thread and blocks until it has been served.
void ask(request& r) {
  detector& d = the_detector;
  r.from.prepare();
  d.lock.lock();
  r.next = d.waiting;
  d.waiting = &r;
  d.work.store(1);
  d.lock.unlock();
  base::futex_wake(d.work, 1);
  r.from.wait();
}

std::shared_ptr<const findings> answer_of(request& r) {
  ask(r);
  if (r.answer == nullptr) {
    auto failed = std::make_shared<findings>();
    failed->complete = false;
    failed->notes.push_back("the detection failed: " + r.error);
    return failed;
  }
  return r.answer;
}

}  // namespace

std::shared_ptr<const findings> detect(const ablation& without, std::int64_t pause_budget_ns) {
  request r;
  r.without = without;
  r.pause_budget_ns = pause_budget_ns;
  return answer_of(r);
}

std::shared_ptr<const findings> detect_since(std::int64_t sent_ns) {
  request r;
  r.sent_ns = sent_ns;
  return answer_of(r);
}

std::shared_ptr<const findings> kept_detection() {
  request r;
  r.only_kept = true;
  ask(r);
  return std::move(r.answer);
}

void keep_detection_until(std::int64_t ns) noexcept { the_detector.keep_until_ns.store(ns); }

std::shared_ptr<const findings> detect_path(std::uint64_t goroutine_id, path_log& out) {
  request r;
  r.path_to = goroutine_id;
  r.path = &out;
  return answer_of(r);
}

void on_detector(const std::function<void()>& job) {
  request r;
  r.job = &job;
  ask(r);
  if (!r.error.empty()) throw std::runtime_error(r.error);
}

}  // namespace stray::leak
