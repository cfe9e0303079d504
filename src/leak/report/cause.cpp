#include "leak/report/cause.h"

#include <algorithm>

#include "leak/model/task_source.h"
#include "profile/symbolize.h"

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
  for (const task_source* source : sources()) {
    if (std::uint64_t owner = source->owner_of_stack(address)) return "on the stack of goroutine " + std::to_string(owner);
  }
  std::string symbol = profile::data_symbol(address);
  return symbol.empty() ? "in heap memory" : symbol;
}

// Does waits_for name no more than the first that could wake it?
bool is_one_of_several(const finding& f) {
  const bool lock = f.kind == wait_kind::lock || f.kind == wait_kind::shared_lock || f.kind == wait_kind::once;
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
  return (at.empty() ? std::string() : " at " + at) + " [" + std::string(found->waits) + "]";
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
  const char* both = f.kind == wait_kind::all_of_them ? " and " : " or ";  // all of them have to be done
  for (std::size_t i = 0; i < f.owner_ids.size(); i++) {
    const bool last = i != 0 && i + 1 == f.owner_ids.size() && !more;
    const std::string where = blocked(f.owner_ids[i]);
    const bool same = i + 1 < f.owner_ids.size() && blocked(f.owner_ids[i + 1]) == where;  // said once, at the end
    text += (last ? both : i == 0 ? "" : ", ") + name(f.owner_ids[i]) + (same ? "" : where);
  }
  return (f.kind == wait_kind::all_of_them ? "" : "any of ") + text + (more ? both + std::string("others") : "");
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
  bool shared = f.kind == wait_kind::shared_lock;
  std::string held = f.for_reading ? "held for reading by " : shared ? "held, or asked for before, by " : "held by ";
  bool once = f.kind == wait_kind::once;
  std::string lock = once ? "the function of the once" + primitive(f) + " is being run by " + owners(f)
                          : "the lock" + primitive(f) + " is " + held + owners(f);
  bool many = f.owner_count > 1;
  switch (f.reason) {
    case grounds::no_holder:
      if (f.kind == wait_kind::send) return "nobody alive can receive" + primitive(f);
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
  std::string text = why_text(f) + sources()[f.source].state_of_primitive(f);
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
