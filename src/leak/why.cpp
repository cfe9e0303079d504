// leak::why: the path that the snapshot's child found, in words.
//
// 1. Who runs, or waits for what always ends, is answered without a snapshot.
// 2. A detection of its own, not shared: only it keeps the table of first words.
// 3. The goroutine may be woken meanwhile: then that is the answer.
#include <fstream>

#include "base/format.h"
#include "base/printable.h"
#include "leak/cause.h"
#include "leak/detector.h"
#include "leak/findings.h"
#include "leak/path.h"
#include "leak/stacks.h"
#include "leak/why.h"
#include "profile/symbolize.h"
#include "runtime/park.h"
#include "runtime/start.h"
#include "runtime/task.h"
#include "sync/chan_core.h"

namespace stray::leak {

namespace {

using runtime::state;
using runtime::task;

task* task_of(std::uint64_t id) noexcept {
  base::slab<task>& all = runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    task* t = all.at(i);
    state now = t->current_state();
    if (t->id == id && now != state::free && now != state::dead && now != state::init) return t;
  }
  return nullptr;
}

std::string thread_name(std::uint64_t tid) {
  if (tid == 0) return "a thread";
  std::ifstream comm("/proc/self/task/" + std::to_string(tid) + "/comm");
  std::string name;
  std::getline(comm, name);
  return "thread " + std::to_string(tid) + (name.empty() ? "" : " (" + name + ")");
}

// Its innermost line of user code, while it is blocked.
std::string function_of(task* t) {
  std::uint64_t word = t->word.load();
  if (runtime::word::state_of(word) != state::waiting || !runtime::begin_inspection(t, t->wait(word))) return {};
  std::vector<std::uintptr_t> pcs = read_stack(*t);
  runtime::end_inspection(t);
  for (const profile::shown_line& l : profile::shown_lines(pcs)) {
    if (l.line->function.starts_with("std::")) continue;
    return l.line->function + (l.line->file.empty() ? "" : " at " + l.line->file + ":" + std::to_string(l.line->line));
  }
  return {};
}

std::string name_of(std::uint64_t id) {
  task* t = task_of(id);
  if (t == nullptr) return "goroutine " + std::to_string(id);
  return t->is_thread ? thread_name(static_cast<std::uint64_t>(t->tid)) : "goroutine " + std::to_string(id);
}
std::string name_and_function(std::uint64_t id) {
  task* t = task_of(id);
  std::string at = t == nullptr ? std::string() : function_of(t);
  return name_of(id) + (at.empty() ? "" : " (" + at + ")");
}

std::string symbol_or_hex(std::uint64_t address) {
  std::string name = profile::data_symbol(address);
  if (name.empty()) name = profile::module_offset(address);
  return name.empty() ? base::hex(address) : name;
}

std::string made_where(std::uint64_t core) {
  std::uintptr_t made_at = sync::cores().at(core)->made_at;
  if (made_at == 0) return {};
  std::vector<profile::shown_line> lines = profile::shown_lines({made_at});
  if (lines.empty() || lines[0].line->file.empty()) return {};
  return " made at " + lines[0].line->file + ":" + std::to_string(lines[0].line->line);
}

std::string text_of(const hop& h) {
  switch (h.what) {
    case hop::block:
      return "block of " + std::to_string(h.size) + " bytes at " + base::hex(h.address);
    case hop::stack:
      return "stack of " + name_and_function(h.id);
    case hop::running:
      return name_and_function(h.id) + ", which runs or will by itself";
    case hop::closure:
      return "closure of goroutine " + std::to_string(h.id) + ", which has not started";
    case hop::thread_stack:
      return "stack of " + thread_name(h.id);
    case hop::thread_storage:
      return "thread-local storage of " + thread_name(h.id);
    case hop::registers:
      return "a register of " + thread_name(h.id);
    case hop::global:
      return "global " + symbol_or_hex(h.address);
    case hop::mapping: {  // .bss is anonymous
      std::string symbol = profile::data_symbol(h.address);
      if (symbol.empty()) symbol = profile::module_offset(h.address);
      return symbol.empty() ? "memory that is no heap, at " + base::hex(h.address) : "global " + symbol;
    }
    case hop::extra:
      return "a range given to add_root, at " + base::hex(h.address);
    case hop::timer:
      return "a pending timer, ticker, after_func or deadline, at " + base::hex(h.address);
    case hop::orphan:
      return "a block that nothing is seen to refer to, at " + base::hex(h.address);
    case hop::channel:
      return (h.id != 0 ? "a handle of the channel" : "a word that may be a handle of the channel") + made_where(h.size);
    case hop::primitive:
      return "the primitive that the next one waits on, " + symbol_or_hex(h.address);
    case hop::lock:
      return name_and_function(h.id) + ", which holds the lock";
    case hop::unknown:
      break;
  }
  return "memory at " + base::hex(h.address);
}

std::string path_text(const path_log& log, std::uint64_t id) {
  std::string text;
  for (std::uint32_t i = log.count; i-- > 0;) {
    text += (text.empty() ? "    " : "    -> ") + base::printable(text_of(log.hops[i])) + "\n";
    if (i == path_log::near && log.total > log.count) text += "    -> ... " + std::to_string(log.total - log.count) + " more\n";
  }
  text += "    -> goroutine " + std::to_string(id) + "\n";
  if (log.unseen > 0) {
    text += "    " + std::to_string(log.unseen) + (log.unseen == 1 ? " handle on this way was" : " handles on this way were") +
            " counted but not found in memory, so every word counts\n";
  }
  return text;
}

std::string answer(std::uint64_t id, const findings& f, const path_log& log) {
  std::string name = "goroutine " + std::to_string(id);
  for (const finding& x : f.list) {
    if (x.wait.task != id) continue;
    std::string text = name + " is leaked (" + to_string(x.tier) + "): " + base::printable(causes(f).of(x)) + "\n";
    if (!log.live) return text;
    if (x.proven_before)
      text += "    proven by an earlier detection, in this same wait; what leads to it now is a stale word:\n";
    return text + path_text(log, id);
  }
  if (log.candidate && log.live && log.complete) {
    task* t = task_of(id);
    std::string at = t == nullptr ? std::string() : function_of(t);
    return name + " is alive" + (at.empty() ? "" : ", blocked in " + base::printable(at)) + ":\n" + path_text(log, id);
  }
  if (!f.complete || log.candidate) {
    std::string text = "no answer for " + name + ": the detection is incomplete\n";
    for (const std::string& note : f.notes) text += "note: " + base::printable(note) + "\n";
    return text;
  }
  return name + " has just been woken\n";
}

}  // namespace

std::string why_now(std::uint64_t id) {
  std::string name = "goroutine " + std::to_string(id);
  task* t = runtime::started() ? task_of(id) : nullptr;
  if (t == nullptr || t->is_thread) return "there is no " + name + ": it has ended, or never was\n";
  std::uint64_t word = t->word.load();
  state now = runtime::word::state_of(word);
  if (now != state::waiting) {
    bool runs = now == state::running || now == state::parking;
    return name + (runs ? " is running\n" : " is about to run\n");
  }
  auto reason = std::atomic_ref(t->reason).load();
  if (!runtime::eligible(reason)) {
    return name + " waits for what ends by itself [" + runtime::text_of(reason) + "]\n";
  }
  path_log log{};
  std::shared_ptr<const findings> f = detect_path(id, log);
  std::string text;
  on_detector([&] {
    text = answer(id, *f, log);
    f.reset();
  });
  return text;
}

}  // namespace stray::leak
