#include "leak/reclaim/dry_run.h"

#include <cstring>
#include <optional>
#include <unwind.h>
#include <vector>

#include "leak/goroutines/stacks.h"
#include "leak/reclaim/terminates.h"
#include "profile/cfi.h"
#include "runtime/context.h"
#include "runtime/divert.h"

extern "C" {
_Unwind_Reason_Code __gxx_personality_v0(int, _Unwind_Action, _Unwind_Exception_Class, _Unwind_Exception*, _Unwind_Context*);
[[gnu::weak]] _Unwind_Reason_Code __gcc_personality_v0(int, _Unwind_Action, _Unwind_Exception_Class, _Unwind_Exception*,
                                                       _Unwind_Context*);
}

namespace stray::leak {

namespace {

constexpr std::size_t most_frames = 16384;
constexpr const char* incomplete = "its frames cannot be followed to its entry";

enum class personality : std::uint8_t { none, cxx, c, unknown };
personality personality_at(std::uintptr_t pc) {
  std::optional<profile::cfi::rule> rule = profile::cfi::find_rule(pc - 1);
  if (!rule) return personality::unknown;
  if (rule->personality == 0) return personality::none;
  if (rule->personality == reinterpret_cast<std::uintptr_t>(&__gxx_personality_v0)) return personality::cxx;
  if (&__gcc_personality_v0 != nullptr && rule->personality == reinterpret_cast<std::uintptr_t>(&__gcc_personality_v0))
    return personality::c;
  return personality::unknown;
}

// The unwinder's walk over the frames that our reader has seen.
struct walk {
  const std::vector<std::uintptr_t>& pcs;
  const std::vector<personality>& kinds;
  terminate_calls& ends;
  std::size_t next = 0;  // the frame that comes next
  way_out result;
};

bool goes_on(_Unwind_Action actions, _Unwind_Context* context) {
  _Unwind_Exception probe{};
  std::memcpy(&probe.exception_class, "STRAYRCL", sizeof probe.exception_class);
  return __gxx_personality_v0(1, actions, probe.exception_class, &probe, context) == _URC_CONTINUE_UNWIND;
}

_Unwind_Reason_Code step(_Unwind_Context* context, void* arg) {
  auto& w = *static_cast<walk*>(arg);
  auto pc = static_cast<std::uintptr_t>(_Unwind_GetIP(context));
  if (w.next == 0 && pc != w.pcs[0]) return _URC_NO_REASON;  // still our own frames
  if (pc != w.pcs[w.next]) {
    w.result = {0, incomplete, w.pcs[w.next]};
    return _URC_NORMAL_STOP;
  }
  if (w.next == w.kinds.size()) {  // the entry: it is not unwound
    w.result = {pc, nullptr, 0};
    return _URC_NORMAL_STOP;
  }
  if (w.kinds[w.next] == personality::cxx) {
    bool free = goes_on(_UA_SEARCH_PHASE, context);
#if defined(__GLIBCXX__)  // it also knows abi::__forced_unwind, which may be caught
    free = free && goes_on(static_cast<_Unwind_Action>(_UA_SEARCH_PHASE | _UA_FORCE_UNWIND), context);
#endif
    if (!free || w.ends.in_function_of(pc)) {
      w.result = {0,
                  free ? "a noexcept function, or another one that calls std::terminate, is in the way"
                       : "a noexcept function, a handler or a destructor is in the way",
                  pc};
      return _URC_NORMAL_STOP;
    }
  }
  w.next++;
  return _URC_NO_REASON;
}

[[gnu::noinline]] void unwinder_walk(void* arg) {
  _Unwind_Backtrace(step, arg);
  asm volatile("");  // a frame of its own
}

}  // namespace

way_out dry_run(const runtime::task& t, terminate_calls& ends) {
  std::vector<std::uintptr_t> pcs = read_stack(t, most_frames);
  auto entry = reinterpret_cast<std::uintptr_t>(&runtime::goroutine_entry);
  auto entry_end = reinterpret_cast<std::uintptr_t>(&runtime::stray_entry_end);
  if (pcs.size() < 2 || pcs.back() < entry || pcs.back() >= entry_end) return {0, incomplete, pcs.empty() ? 0 : pcs.back()};
  pcs.pop_back();
  std::vector<personality> kinds;
  for (std::size_t i = 0; i + 1 < pcs.size(); i++) {
    kinds.push_back(personality_at(pcs[i]));
    if (kinds.back() == personality::unknown) return {0, "an unknown personality routine", pcs[i]};
  }
  walk w{pcs, kinds, ends, 0, {0, incomplete, 0}};
  runtime::call_above(t, unwinder_walk, &w);
  return w.result;
}

}  // namespace stray::leak
