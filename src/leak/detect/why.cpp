// leak::why: the path that the snapshot's child found, in words.
//
// 1. Who runs, or waits for what always ends, is answered without a snapshot.
// 2. A detection of its own, not shared: only it keeps the table of first words.
// 3. The goroutine may be woken meanwhile: then that is the answer.
#include <algorithm>
#include <fstream>

#include "base/format.h"
#include "base/printable.h"
#include "leak/classify/path.h"
#include "leak/detect/detector.h"
#include "leak/detect/why.h"
#include "leak/model/findings.h"
#include "leak/model/task_source.h"
#include "leak/report/cause.h"
#include "profile/symbolize.h"

namespace stray::leak {

namespace {

struct found_task {
  const task_source* source = nullptr;  // null: there is none
  task_state state;
};
found_task task_of(std::uint64_t id) {
  for (const task_source* source : sources()) {
    if (std::optional<task_state> now = source->state_of(id)) return {source, *now};
  }
  return {};
}

std::string thread_name(std::uint64_t tid) {
  if (tid == 0) return "a thread";
  std::ifstream comm("/proc/self/task/" + std::to_string(tid) + "/comm");
  std::string name;
  std::getline(comm, name);
  return "thread " + std::to_string(tid) + (name.empty() ? "" : " (" + name + ")");
}

// Its innermost line of user code, while it is blocked.
std::string function_of(const found_task& t, std::uint64_t id) {
  if (t.source == nullptr) return {};
  for (const profile::shown_line& l : profile::shown_lines(t.source->frames_of(id))) {
    if (l.line->function.starts_with("std::")) continue;
    return l.line->function + (l.line->file.empty() ? "" : " at " + l.line->file + ":" + std::to_string(l.line->line));
  }
  return {};
}

std::string name_and_function(std::uint64_t id) {
  const found_task t = task_of(id);
  const std::string name =
      t.state.thread ? thread_name(static_cast<std::uint64_t>(t.state.tid)) : "goroutine " + std::to_string(id);
  const std::string at = function_of(t, id);
  return name + (at.empty() ? "" : " (" + at + ")");
}

std::string symbol_or_hex(std::uint64_t address) {
  std::string name = profile::data_symbol(address);
  if (name.empty()) name = profile::module_offset(address);
  return name.empty() ? base::hex(address) : name;
}

std::string made_where(std::uint64_t core) {
  std::uintptr_t made_at = 0;
  for (const task_source* source : sources())
    made_at = std::max(made_at, source->core_made_at(static_cast<std::uint32_t>(core)));
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
    const std::string at = function_of(task_of(id), id);
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
  const found_task t = task_of(id);
  if (t.source == nullptr || t.state.thread) return "there is no " + name + ": it has ended, or never was\n";
  switch (t.state.what) {
    case task_state::running:
      return name + " is running\n";
    case task_state::about_to_run:
      return name + " is about to run\n";
    case task_state::waits_for_what_ends:
      return name + " waits for what ends by itself [" + std::string(t.state.waits) + "]\n";
    case task_state::blocked:
      break;
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
