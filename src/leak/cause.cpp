#include "leak/cause.h"

#include <algorithm>
#include <sys/uio.h>
#include <unistd.h>

#include "profile/symbolize.h"
#include "runtime/stack.h"
#include "runtime/task.h"
#include "sync/barrier_word.h"

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

// Does it run in a goroutine that some wait_group's `go` has started?
bool is_counted(const finding& f) {
  constexpr std::size_t at_root = 4;
  for (std::size_t i = f.pcs.size() - std::min(f.pcs.size(), at_root); i < f.pcs.size(); i++) {
    for (const profile::source_line& l : profile::symbolize(f.pcs[i] - 1)) {
      std::string_view name = l.function;
      if (constexpr std::string_view runs = "stray::detail::run_small<"; name.starts_with(runs))
        name.remove_prefix(runs.size());
      if (name.starts_with("stray::wait_group::counted<")) return true;
    }
  }
  return false;
}

// Does waits_for name no more than the first that could wake it?
bool is_one_of_several(const finding& f) {
  runtime::live_rule rule = runtime::rule_of(f.waits);
  bool lock = rule == runtime::live_rule::owner || rule == runtime::live_rule::readers;
  return !lock && f.owner_count > 1;
}

}  // namespace

std::string doubt_text(const finding& f) {
  switch (f.reason) {
    case grounds::ambiguous_word:
    case grounds::orphan:
    case grounds::unaligned:
    case grounds::left_frames:
    case grounds::saved_context:
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
    case grounds::ambiguous_word:
      return "ambiguous word";
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
    case grounds::saved_context:
      return "saved context";
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
  if (f.main) by_task_.push_back(&*f.main);
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
  std::string text = (found->thread ? "thread " : "goroutine ") + std::to_string(found->id);
  for (const profile::label& l : found->labels) {
    if (l.key == "name") text += " (" + l.value + ")";
  }
  return text;
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

// Of several that could wake it.
std::string causes::helpers(const finding& f) const {
  std::string text;
  const bool more = f.owner_count > f.owner_ids.size();
  const char* both = f.waits == runtime::wait_reason::wait_group_wait ? " and " : " or ";  // all of them have to be done
  for (std::size_t i = 0; i < f.owner_ids.size(); i++) {
    const bool last = i != 0 && i + 1 == f.owner_ids.size() && !more;
    const std::string where = blocked(f.owner_ids[i]);
    const bool same = i + 1 < f.owner_ids.size() && blocked(f.owner_ids[i + 1]) == where;  // said once, at the end
    text += (last ? both : i == 0 ? "" : ", ") + name(f.owner_ids[i]) + (same ? "" : where);
  }
  return (f.waits == runtime::wait_reason::wait_group_wait ? "" : "any of ") + text +
         (more ? both + std::string("others") : "");
}

// Do all chains from those that could wake it end there, and none of them begin?
bool causes::have_one_root(const finding& f) const {
  for (std::uint64_t id : f.owner_ids) {
    const finding* helper = find(id);
    if (helper == nullptr || helper->root != f.root) return false;
  }
  return f.owner_count == f.owner_ids.size();
}

std::string causes::primitive(const finding& f) const {
  if (f.made_at != 0) {
    constexpr std::size_t most = 4;
    std::vector<std::string> places = {place({f.made_at})};
    std::size_t more = 0;
    for (std::uintptr_t made_at : f.made_at_too) {
      std::string at = place({made_at});
      if (std::find(places.begin(), places.end(), at) != places.end()) continue;
      if (places.size() == most) {
        more++;
      } else {
        places.push_back(std::move(at));
      }
    }
    std::string text;
    for (std::size_t i = 0; i < places.size(); i++) {
      const bool last = i + 1 == places.size() && more == 0;
      text += (i == 0 ? "" : last ? " and " : ", ") + places[i];
    }
    if (more != 0) text += " and " + std::to_string(more) + " more";
    if (text.empty()) return {};
    return (f.made_at_too.empty() ? " (channel made at " : " (channels made at ") + text + ")";
  }
  return f.masked_primitive == 0 ? std::string() : " (" + place_of_memory(~f.masked_primitive) + ")";
}

// Whoever could change it is leaked, so it is still what it was. Read through the kernel: its memory may be gone.
std::string causes::counter(const finding& f) const {
  std::uint64_t word = 0;
  iovec to{&word, sizeof word}, from{reinterpret_cast<void*>(~f.masked_primitive), sizeof word};
  if (f.masked_primitive == 0 || process_vm_readv(getpid(), &to, 1, &from, 1, 0) != sizeof word) return {};
  const std::uint64_t high = word >> 32;
  switch (f.waits) {
    case runtime::wait_reason::wait_group_wait:
      return "; its counter is " + std::to_string(high) +
             (f.waits_for == 0 && is_counted(f) ? ", and it may be counted there itself: it was started by a wait_group's go"
                                                : "");
    case runtime::wait_reason::latch_wait:
      return "; its counter is " + std::to_string(high);
    case runtime::wait_reason::semaphore_acquire:
      return "; " + (high == 0 ? "no permit is" : std::to_string(high) + (high == 1 ? " permit is" : " permits are")) + " left";
    case runtime::wait_reason::barrier_wait:
      return "; " + std::to_string(sync::barrier_word::pending(word)) + " of " +
             std::to_string(sync::barrier_word::expected(word)) + " have not arrived";
    default:
      return {};
  }
}

std::string causes::ring(const finding& f) const {
  constexpr int most = 16;
  std::string text;
  const finding* at = &f;
  for (int n = 0; n < most; n++) {
    text += name(at->wait.task) + blocked(at->wait.task) + (is_one_of_several(*at) ? " -> (one of several) " : " -> ");
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
      if (f.waits == runtime::wait_reason::chan_send) return "nobody alive can receive" + primitive(f);
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
    case grounds::ambiguous_word:
    case grounds::orphan:
    case grounds::unaligned:
    case grounds::left_frames:
    case grounds::saved_context:
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
    case grounds::filling:
      return "not leaked as far as can be seen, but they become more and do not wake: " + f.place + primitive(f);
    case grounds::not_stopped:
      return "would be proven, but a thread could not be stopped or memory could not be read (see the notes)";
  }
  return {};
}

std::string causes::of(const finding& f) const {
  std::string text = why_text(f) + counter(f);
  if (is_one_of_several(f)) {
    text += "; it waits for " + helpers(f) + ", leaked too";
    if (f.ring) {
      text += "; they wait for each other: " + ring(f);
    } else if (f.root != 0 && have_one_root(f)) {
      text += "; the root leak is " + name(f.root) + blocked(f.root);
    }
  } else if (f.ring && f.waits_for != 0) {
    text += "; they wait for each other: " + ring(f);
  } else if (f.waits_for != 0) {
    bool named = f.reason == grounds::owner_leaked && f.owner_count == 1;
    bool main = f.waits_for == all_.main_task_id;
    text += "; " + (named ? name(f.waits_for) + " is blocked"
                          : "it waits for " + name(f.waits_for) + (main ? ", blocked for ever" : ", leaked"));
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
