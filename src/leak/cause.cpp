#include "leak/cause.h"

#include <algorithm>

#include "profile/symbolize.h"
#include "runtime/stack.h"
#include "runtime/task.h"

namespace stray::leak {

namespace {

std::string place_of_line(const profile::source_line& l) {
  return l.file.empty() ? l.function : l.file + ":" + std::to_string(l.line);
}

std::string place(const std::vector<std::uintptr_t>& return_addresses) {
  std::vector<profile::shown_line> lines = profile::shown_lines(return_addresses);
  for (const profile::shown_line& l : lines) {
    if (!l.line->function.starts_with("std::")) return place_of_line(*l.line);
  }
  return lines.empty() ? std::string() : place_of_line(*lines[0].line);
}

// Where an embedded primitive lies.
std::string place_of_memory(std::uintptr_t address) {
  if (runtime::task* t = runtime::stack_owner(address, nullptr)) return "on the stack of goroutine " + std::to_string(t->id);
  std::string symbol = profile::data_symbol(address);
  return symbol.empty() ? "in heap memory" : symbol;
}

}  // namespace

std::string doubt_text(const finding& f) {
  switch (f.reason) {
    case grounds::weak_word:
    case grounds::orphan:
    case grounds::unaligned:
    case grounds::left_frames:
      return f.place.substr(0, f.place.find(", at "));
    case grounds::out_of_sight:
      return "what cannot be read: " + f.place;
    case grounds::uncounted:
      return "a handle that was counted and not found in memory";
    case grounds::not_stopped:
      return "a thread that could not be stopped or memory that could not be read";
    default:
      return "a doubt";
  }
}

const char* doubt_name(grounds reason) noexcept {
  switch (reason) {
    case grounds::weak_word:
      return "weak word";
    case grounds::orphan:
      return "orphan block";
    case grounds::uncounted:
      return "uncounted handle";
    case grounds::not_stopped:
      return "not stopped";
    case grounds::unaligned:
      return "unaligned word";
    case grounds::left_frames:
      return "left frames";
    case grounds::out_of_sight:
      return "out of sight";
    default:
      return nullptr;
  }
}

causes::causes(const findings& f) : all_(f) {
  by_task_.reserve(f.list.size());
  for (const finding& x : f.list) {
    by_task_.push_back(&x);
    if (x.root != 0 && !x.ring) victims_[x.root]++;
  }
  std::sort(by_task_.begin(), by_task_.end(), [](const finding* a, const finding* b) { return a->wait.task < b->wait.task; });
}

const finding* causes::find(std::uint64_t task_id) const {
  auto at = std::lower_bound(by_task_.begin(), by_task_.end(), task_id,
                             [](const finding* a, std::uint64_t id) { return a->wait.task < id; });
  return at != by_task_.end() && (*at)->wait.task == task_id ? *at : nullptr;
}

std::string causes::name(std::uint64_t task_id) const {
  if (task_id == all_.main_task_id && task_id != 0) return "the main thread";
  const finding* found = find(task_id);
  if (found == nullptr) return "goroutine or thread " + std::to_string(task_id);
  return (found->thread ? "thread " : "goroutine ") + std::to_string(found->id);
}

// " at FILE:LINE [reason]", as far as it is known.
std::string causes::blocked(std::uint64_t task_id) const {
  const finding* found = find(task_id);
  if (found == nullptr) return {};
  std::string at = place(found->pcs);
  return (at.empty() ? std::string() : " at " + at) + " [" + runtime::text_of(found->waits) + "]";
}

std::string causes::owners(const finding& f) const {
  std::string text;
  for (std::size_t i = 0; i < f.owner_ids.size(); i++) text += (i != 0 ? ", " : "") + name(f.owner_ids[i]);
  if (f.owner_count > f.owner_ids.size()) text += " and " + std::to_string(f.owner_count - f.owner_ids.size()) + " more";
  return text;
}

std::string causes::primitive(const finding& f) const {
  if (f.made_at != 0) {
    std::string at = place({f.made_at});
    return at.empty() ? std::string() : " (channel made at " + at + ")";
  }
  return f.masked_primitive == 0 ? std::string() : " (" + place_of_memory(~f.masked_primitive) + ")";
}

std::string causes::ring(const finding& f) const {
  constexpr int most = 16;
  std::string text;
  const finding* at = &f;
  for (int n = 0; n < most; n++) {
    text += name(at->wait.task) + blocked(at->wait.task) + " -> ";
    std::uint64_t next = at->waits_for;
    const finding* found = find(next);
    if (next == f.wait.task || found == nullptr) return text + name(next);
    at = found;
  }
  return text + "...";
}

std::string causes::why_text(const finding& f) const {
  bool shared = f.waits == runtime::wait_reason::rwmutex_rlock || f.waits == runtime::wait_reason::rwmutex_lock;
  std::string held = f.for_reading ? "held for reading by " : shared ? "held, or asked for before, by " : "held by ";
  bool once = f.waits == runtime::wait_reason::once_do;
  std::string lock = once ? "the function of the once" + primitive(f) + " is being run by " + owners(f)
                          : "the lock" + primitive(f) + " is " + held + owners(f);
  bool many = f.owner_count > 1;
  switch (f.reason) {
    case grounds::no_holder:
      return "nothing alive holds a handle that could wake it" + primitive(f);
    case grounds::nobody:
      return "nobody can ever wake it";
    case grounds::owner_leaked:
      return lock + (many ? ", which are leaked too" : ", which is itself leaked");
    case grounds::owner_is_self:
      if (once) return "it runs the function of the once" + primitive(f) + " itself: called from within its own call";
      return "it holds the lock" + primitive(f) +
             (f.for_reading ? " itself for reading: a lock cannot be upgraded" : " itself: locked twice");
    case grounds::owner_ended:
      return lock + (many ? ", which have" : ", which has") + " ended without " + (once ? "returning from it" : "unlocking it");
    case grounds::in_cycle:
      return "a cycle of locks: " + lock + (many ? ", which wait" : ", which waits") + " in the same cycle";
    case grounds::no_reference:
      return "nothing alive refers to what it waits on" + primitive(f);
    case grounds::weak_word:
    case grounds::orphan:
    case grounds::unaligned:
    case grounds::left_frames:
      return "would be proven but for " + f.place + primitive(f);
    case grounds::out_of_sight:
      return "would be proven, but a pointer to it may lie where none can be read: " + f.place + primitive(f);
    case grounds::uncounted:
      return "would be proven, but a handle was counted that was not found in memory (copied by memcpy, or in memory the "
             "tracer "
             "cannot see)" +
             primitive(f);
    case grounds::outlier:
      return "not leaked as far as can be seen, but far older than its peers: " + f.place + primitive(f);
    case grounds::not_stopped:
      return "would be proven, but a thread could not be stopped or memory could not be read (see the notes)";
  }
  return {};
}

std::string causes::of(const finding& f) const {
  std::string text = why_text(f);
  if (f.ring && f.waits_for != 0) {
    text += "; they wait for each other: " + ring(f);
  } else if (f.waits_for != 0) {
    bool named = f.reason == grounds::owner_leaked && f.owner_count == 1;
    text += "; " + (named ? name(f.waits_for) + " is blocked" : "it waits for " + name(f.waits_for) + ", leaked");
    text += blocked(f.waits_for);
    if (f.root != 0 && f.root != f.waits_for) text += "; the root leak is " + name(f.root) + blocked(f.root);
  }
  if (std::size_t n = victims(f); n != 0) {
    text += "; a root leak: " + std::to_string(n) + (n == 1 ? " other is" : " others are") + " leaked because of it";
  }
  return text;
}

std::size_t causes::victims(const finding& f) const {
  auto found = victims_.find(f.wait.task);
  return found == victims_.end() ? 0 : found->second;
}

}  // namespace stray::leak
