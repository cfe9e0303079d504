#include "leak/classify/classify.h"

#include <new>

#include "leak/classify/cycles.h"
#include "leak/classify/left_frames.h"
#include "leak/classify/liveness.h"
#include "leak/classify/verdict_writer.h"
#include "leak/model/proof_list.h"
#include "trace/doubts.h"
#include "trace/fault_guard.h"
#include "trace/image.h"

namespace stray::leak {

using trace::marker;
using trace::origin;
using trace::root;

// One classification, in the child's memory. prepare, then run; the marker's callbacks reach alive() in between.
class classification {
 public:
  classification(const classify_input& in, trace::image& image) noexcept
      : in_(in), image_(image), alive_(graph_, *in.memory, in.path), writer_(graph_, *in.log) {}

  // false: out of memory.
  bool prepare() noexcept;
  void run() noexcept;
  liveness& alive() noexcept { return alive_; }

 private:
  // Candidates that become live during it are likely, for this reason.
  struct stage {
    classification* run;
    grounds reason;
    std::size_t seen;  // of alive_.order()
  };
  stage begin(grounds reason) noexcept { return {this, reason, alive_.order().size()}; }
  static void after(void* a_stage, std::uintptr_t at) noexcept;
  static void after_word(void* a_stage, const trace::word& w) noexcept { after(a_stage, w.at); }
  static void after_block(void* a_stage, trace::range block) noexcept { after(a_stage, block.lo); }

  bool is_left_over(const node& n) const noexcept { return n.what == node::candidate && !n.live; }

  bool fill() noexcept;
  void assign_role(const trace::stopped_thread& t, trace::thread_role& role) noexcept;

  bool locate(marker& m) noexcept;
  void seed(marker& m) noexcept;
  void mark_ambiguous(marker& m) noexcept;
  void mark_orphans(marker& m) noexcept;
  bool search_everywhere(marker& m, left_frames& left) noexcept;
  bool explain(marker& m) noexcept;
  void suspect_what_is_out_of_sight(marker& m, left_frames& left) noexcept;
  void write(bool unsafe) noexcept;

  void locate_tasks(marker& m) noexcept;
  bool list_given() noexcept;
  bool any_new() const noexcept;
  bool search_unaligned(marker& m, const trace::list<base::range>& left) noexcept;
  bool is_unsafe() const noexcept;

  const classify_input& in_;
  trace::image& image_;
  wait_graph graph_;
  trace::list<base::range> given_;  // live from the beginning, besides roots
  liveness alive_;
  verdict_writer writer_;
};

bool classification::prepare() noexcept {
  if (!fill() || in_.memory->exhausted()) return false;
  for (std::size_t i = 0; i < image_.threads.size; i++) {
    if (image_.threads[i].stands_somewhere()) assign_role(image_.threads[i], image_.roles[i]);
  }
  return true;
}

// Each source its part of the nodes.
bool classification::fill() noexcept {
  std::size_t records[most_sources], all = 0;
  for (unsigned s = 0; s < in_.source_count; s++) all += records[s] = in_.sources[s].records(in_.sources[s].self);
  graph_.nodes = {in_.memory->array<node>(all), all};
  if (graph_.nodes.data == nullptr) return all == 0;
  std::uint32_t first = 0;
  for (unsigned s = 0; s < in_.source_count; s++) {
    const auto count = static_cast<std::uint32_t>(records[s]);
    const source_part part{{&graph_.nodes[first], count}, first, static_cast<std::uint8_t>(s), in_.without};
    if (!in_.sources[s].fill(in_.sources[s].self, part, *in_.memory, graph_)) return false;
    first += count;
  }
  return true;
}

void classification::assign_role(const trace::stopped_thread& t, trace::thread_role& role) noexcept {
  for (unsigned s = 0; s < in_.source_count; s++) {
    const frozen_source& from = in_.sources[s];
    if (from.role_of != nullptr && from.role_of(from.self, graph_, t, role)) return;
  }
}

// --- locate -------------------------------------------------------------------------------------------------------------------------

void classification::locate_tasks(marker& m) noexcept {
  trace::slice<node>& nodes = graph_.nodes;
  for (std::size_t i = 0; i < nodes.size; i++) {
    prefetch_stack_ahead(nodes, i, nodes.size);
    const node& n = nodes[i];
    if (n.what == node::none) continue;
    if (n.closure.size() != 0) m.locate_span(n.closure, origin::memory);
    if (!n.is_thread && n.stack.size() != 0 && !n.on_cpu) m.locate_span(n.stack, origin::memory);
  }
}

// Roots of the program's own, and the pages of stacks that a fork has left.
bool classification::list_given() noexcept {
  bool room = true;
  for (unsigned i = 0; i < in_.extra_count; i++) room = given_.push(*in_.memory, in_.extra_roots[i]) && room;
  if (image_.is_off(root::inherited) || graph_.inherited.size() == 0) return room;
  image_.pages.open();
  for (const inherited_stack& s : graph_.inherited) {
    const int tid = s.tid == inherited_stack::main_thread ? image_.parent_pid : s.tid;
    bool stood_on = false;
    if (tid != 0) {
      for (const trace::stopped_thread& t : image_.threads) stood_on = stood_on || (t.tid == tid && s.where.holds(t.sp - 1));
    }
    if (!stood_on) image_.pages.each_run(s.where, [&](base::range run) { room = given_.push(*in_.memory, run) && room; });
  }
  image_.pages.close();
  return room;
}

bool classification::locate(marker& m) noexcept {
  m.locate();
  locate_tasks(m);
  if (!list_given()) return false;
  for (const base::range& s : given_) m.locate_span(s, origin::memory);
  alive_.finalize_counts(in_.without.count_rule, image_.looked != 0);
  return alive_.index_embedded();
}

// --- marking ------------------------------------------------------------------------------------------------------------------------

void classification::seed(marker& m) noexcept {
  for (std::uint32_t i = 0; i < graph_.nodes.size; i++) {
    if (graph_.nodes[i].what == node::root) alive_.make_live(m, i, {arrival::root});
  }
  for (const base::range& s : given_) m.push(s, origin::memory);
  m.set_step(trace::trail_mark::by_client);
  for (std::uintptr_t at : graph_.armed) {
    if (in_.without.timer_roots) m.mark_block(at);
  }
  m.mark_roots();
}

void classification::after(void* a_stage, std::uintptr_t at) noexcept {
  auto& s = *static_cast<stage*>(a_stage);
  const trace::list<std::uint32_t>& order = s.run->alive_.order();
  for (; s.seen < order.size(); s.seen++) {
    std::uint32_t number = order[s.seen];
    if (s.run->graph_.nodes[number].what == node::candidate) s.run->writer_.write(number, verdict_tier::likely, s.reason, at);
  }
}

void classification::mark_ambiguous(marker& m) noexcept {
  stage words = begin(grounds::ambiguous_word);
  m.mark_ambiguous(after_word, &words);
}

void classification::mark_orphans(marker& m) noexcept {
  if (image_.is_off(root::orphans)) return;
  std::size_t pushed = 0;
  for (const node& n : graph_.nodes) {
    if (!is_left_over(n)) continue;
    if (n.is_thread) {
      m.reach_thread(n.tid);
    } else if (n.stack.size() != 0) {
      m.reach_push(n.stack);
      if (n.elsewhere != 0) m.reach_block(n.elsewhere);
    }
    if (++pushed % 1024 == 0) m.drain();  // the list of spans stays in the caches
  }
  m.drain();
  stage orphans = begin(grounds::orphan);
  m.mark_orphans(after_block, &orphans);
}

// --- everywhere ---------------------------------------------------------------------------------------------------------------------

// Only for a candidate that is left over and not known to have leaked is it worth to search for more.
bool classification::any_new() const noexcept {
  for (const node& n : graph_.nodes) {
    if (is_left_over(n) && (in_.known == nullptr || !in_.known->holds(wait_id(n.id, n.seq)))) return true;
  }
  return false;
}

// Pointers at any offset. Of blocks the marker knows which are live; of stacks and closures the graph does.
bool classification::search_unaligned(marker& m, const trace::list<base::range>& left) noexcept {
  trace::list<base::range> live;
  bool room = true;
  for (const node& n : graph_.nodes) {
    if (n.what == node::none || !n.entered) continue;
    if (n.closure.size() != 0) room = live.push(*in_.memory, n.closure) && room;
    if (!n.is_thread && n.stack.size() != 0 && !n.on_cpu) room = live.push(*in_.memory, n.stack) && room;
  }
  for (const base::range& s : given_) room = live.push(*in_.memory, s) && room;
  for (const base::range& below : left) room = live.push(*in_.memory, below) && room;
  stage unaligned = begin(grounds::unaligned);
  m.mark_unaligned({live.begin(), live.size()}, after, &unaligned);
  return room;
}

bool classification::search_everywhere(marker& m, left_frames& left) noexcept {
  if (!any_new()) return true;
  stage frames = begin(grounds::left_frames), contexts = begin(grounds::saved_context);
  left.begin();
  do {
    frames.seen = alive_.order().size();
    left.search(after, &frames);
    if (!search_unaligned(m, left.found())) return false;
    contexts.seen = alive_.order().size();
  } while (left.follow_contexts(after, &contexts) || left.search(after, &frames));  // of what the last search has made live
  return true;
}

// --- the end ------------------------------------------------------------------------------------------------------------------------

bool classification::explain(marker& m) noexcept {
  if (!find_cycles(graph_, *in_.memory)) return false;
  if (in_.without.blame) {
    trace::slice<blame> blames;
    find_blame(graph_, m, alive_.embedded(), blames);
    writer_.explain_by(blames);
  }
  if (in_.path != nullptr) find_path(*in_.path, graph_, image_, *in_.memory);
  return true;
}

// Which of those that are left would wake if all that is not live were?
void classification::suspect_what_is_out_of_sight(marker& m, left_frames& left) noexcept {
  const trace::doubt_log* doubts = image_.doubts;
  if (doubts == nullptr || doubts->used == 0 || image_.is_off(root::out_of_sight)) return;
  stage hidden = begin(grounds::out_of_sight);
  for (std::uint32_t i = 0; i < doubts->used; i++) {
    const trace::doubt& d = doubts->list[i];
    if (d.lo != d.hi) alive_.covered(m, {d.lo, d.hi});
    after(&hidden, i);
  }
  for (std::uint32_t i = 0; i < graph_.nodes.size; i++) {
    if (is_left_over(graph_.nodes[i])) alive_.enter(m, i, {});
  }
  m.drain();
  after(&hidden, 0);
  left.search(after, &hidden);
}

bool classification::is_unsafe() const noexcept {
  const bool too_many = image_.doubts != nullptr && image_.doubts->full;
  return (too_many || image_.unstopped != 0 || image_.blind + trace::faults_met() != 0) && image_.looked == 0;
}

void classification::write(bool unsafe) noexcept {
  verdict_log& log = *in_.log;
  for (std::uint32_t i = 0; i < graph_.nodes.size; i++) {
    const node& n = graph_.nodes[i];
    if (!is_left_over(n)) continue;
    if (unsafe) {
      writer_.write(i, verdict_tier::likely, grounds::not_stopped, 0);
      log.undecided++;
    } else if (n.uncounted) {
      writer_.write(i, verdict_tier::likely, grounds::uncounted, 0);
    } else {
      writer_.write_leak(i);
    }
  }
  if (image_.heap_known) return;
  for (const node& n : graph_.nodes) log.undecided += n.what == node::candidate && n.live ? 1 : 0;
}

void classification::run() noexcept {
  verdict_log& log = *in_.log;
  log.candidates = graph_.candidates;
  log.blind = !image_.heap_known;
  if (graph_.candidates == 0) {
    log.finished = true;
    return;
  }
  if (in_.path != nullptr && !begin_path(*in_.path, graph_, image_, *in_.memory)) return;
  marker m(image_, in_.path != nullptr ? &in_.path->trail : nullptr);
  if (!locate(m)) return;
  seed(m);
  mark_ambiguous(m);
  mark_orphans(m);
  left_frames left(graph_, {in_.sources, in_.source_count}, image_, m);
  if (!search_everywhere(m, left)) return;
  const bool unsafe = is_unsafe();
  if (!explain(m)) return;
  suspect_what_is_out_of_sight(m, left);
  write(unsafe);
  log.finished = !in_.memory->exhausted();
}

// --- the tracer's calls -------------------------------------------------------------------------------------------------------------

namespace {

classify_input& input_of(void* self) noexcept { return *static_cast<classify_input*>(self); }
liveness& alive_of(void* self) noexcept { return input_of(self).run->alive(); }

void prepare(void* self, trace::image& image) noexcept {
  classify_input& in = input_of(self);
  void* at = in.memory->take(sizeof(classification), alignof(classification));
  if (at == nullptr) return;
  auto* run = ::new (at) classification(in, image);
  if (run->prepare()) in.run = run;
}

void locate(void* self, const trace::word& w) noexcept { alive_of(self).locate(w); }
void hit(void* self, marker& m, const trace::word& w) noexcept { alive_of(self).hit(m, w); }
void reached(void* self, marker& m, const trace::word& w) noexcept { alive_of(self).reached(m, w); }
void covered(void* self, marker& m, trace::range live) noexcept { alive_of(self).covered(m, live); }

}  // namespace

trace::client client_of(classify_input& input) noexcept {
  base::range outermost;
  for (const frozen_source& from : input.sources) {
    if (outermost.size() == 0) outermost = from.outermost;
  }
  return {&input, input.reservation, prepare, locate, hit, reached, covered, outermost};
}

void classify(void* input, trace::image&) noexcept {
  if (classification* run = input_of(input).run) run->run();
}

}  // namespace stray::leak
