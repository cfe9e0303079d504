// Preloaded into any program: after a while it looks at the program's heap as a detection would, and prints how much of it nothing is seen to
// refer to (ORPHAN of docs/design/soundness.md): memory that has leaked, or whose only pointer is where the tracer cannot see it.
//
// Prints one line on standard error, and ends the program: NAME,blocks,bytes,orphans,orphan_bytes,heads,like_handles,pause_us,child_us
// heads: orphans that no other orphan leads to. like_handles: words of orphans that point into where channels would lie.
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <unistd.h>

#include "base/address_space.h"
#include "trace/test_support.h"

namespace {

using namespace stray;

struct result {
  std::uint64_t blocks, bytes, orphans, orphan_bytes, heads, like_handles;
  bool counting;
};

void decide(void* arg, trace::image& in) noexcept {
  auto& r = *static_cast<result*>(arg);
  trace::marker m(in);
  m.locate();
  m.mark_roots();
  m.mark_ambiguous([](void*, const trace::word&) {}, nullptr);
  const std::size_t blocks = m.marked_blocks(), bytes = m.marked_bytes();
  r.counting = true;
  m.mark_orphans([](void* to, trace::range) { static_cast<result*>(to)->heads++; }, &r);
  r.blocks = m.marked_blocks();
  r.bytes = m.marked_bytes();
  r.orphans = m.marked_blocks() - blocks;
  r.orphan_bytes = m.marked_bytes() - bytes;
}

void look() {
  trace::test::shared_with_child<result> out;
  trace::snapshot_request request;
  request.who = trace::test::blank_client();
  request.who.self = &*out;
  request.who.interest = base::reservation();
  request.who.hit = [](void* self, trace::marker&, const trace::word&) {
    auto& r = *static_cast<result*>(self);
    r.like_handles += r.counting;
  };
  request.decide = decide;
  request.arg = &*out;
  request.hidden = out.hidden();
  if (!trace::init_snapshot()) std::fprintf(stderr, "orphans: no snapshot can be had\n");
  trace::snapshot_outcome outcome = trace::take_snapshot(request);
  trace::test::print_notes(outcome);
  const result& r = *out;
  if (outcome.ok) {
    std::fprintf(stderr, "orphans,%s,%zu,%zu,%zu,%zu,%zu,%zu,%zu,%zu\n", program_invocation_short_name, std::size_t{r.blocks},
                 std::size_t{r.bytes}, std::size_t{r.orphans}, std::size_t{r.orphan_bytes}, std::size_t{r.heads},
                 std::size_t{r.like_handles}, static_cast<std::size_t>(outcome.pause_ns / 1000),
                 static_cast<std::size_t>(outcome.child_ns / 1000));
  }
  _exit(outcome.ok ? 0 : 1);
}

[[gnu::constructor]] void begin() {
  const char* after = std::getenv("ORPHANS_AFTER_MS");
  if (after == nullptr) return;  // a program that was started by the program
  const int ms = std::atoi(after);
  unsetenv("ORPHANS_AFTER_MS");
  std::thread([ms] {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    look();
  }).detach();
}

}  // namespace
