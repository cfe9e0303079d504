// A worker that has handled a request and waits for the next one keeps nothing of it: not in registers that its frames save, and not in the gaps of
// the library's frames. What the compiler does with the worker's own frame is its own: so with g++, optimized, and without a sanitizer.
#include <memory>
#include <string>
#include <vector>

#include "scene.hpp"

namespace {

using namespace ablation;

struct request {
  int id = 1;
  stray::chan<int> answer = stray::make_chan<int>();
};
using shared_request = std::shared_ptr<request>;

[[gnu::noinline]] void log(const std::string&) { asm volatile(""); }
[[gnu::noinline]] int price(const shared_request& r) {
  log("price " + std::to_string(r->id));
  return r->id * 3;
}
// It does not answer.
[[gnu::noinline]] void handle(shared_request r) {
  std::vector<shared_request> batch{r};
  int sum = 0;
  for (const shared_request& x : batch) sum += price(x);
  if (sum < 0) r->answer.send(sum);
}

using jobs = stray::chan<shared_request>;
void by_range_for(const jobs& in, const stray::chan<void>&) {
  for (shared_request& r : in) handle(r);
}
void by_recv(const jobs& in, const stray::chan<void>&) {
  while (auto r = in.recv()) handle(std::move(*r));
}
void by_select(const jobs& in, const stray::chan<void>& end) {
  for (bool more = true; more;) {
    stray::select(stray::on_recv(in, [&](std::optional<shared_request> r) { r ? handle(*r) : void(more = false); }),
                  stray::on_recv(end));
  }
}

struct worker {
  const char* name;
  void (*run)(const jobs&, const stray::chan<void>&);
};
void PrintTo(const worker& w, std::ostream* out) { *out << w.name; }
class stale_frames : public ::testing::TestWithParam<worker> {};

TEST_P(stale_frames, of_a_worker_that_waits_for_more) {
#if !defined(__OPTIMIZE__) || defined(__clang__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the compiler keeps copies of its own in the worker's frame";
#else
  jobs in = stray::make_chan<shared_request>(8);
  auto end = stray::make_chan<void>();
  stray::go([in, end, run = GetParam().run] { run(in, end); });
  stray::go([in] {
    auto r = std::make_shared<request>();
    in.send(r);
    r->answer.recv();
  });
  stray::testing::until_parked(2);
  const stray::leak::report r = stray::leak::find();
  EXPECT_EQ(r.total(), 1U) << r;
  EXPECT_TRUE(r.complete());
  in.close();
#endif
}
INSTANTIATE_TEST_SUITE_P(all, stale_frames,
                         ::testing::Values(worker{"range_for", by_range_for}, worker{"recv", by_recv},
                                           worker{"select", by_select}),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
