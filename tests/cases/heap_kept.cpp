// Each of two leaked goroutines keeps blocks of its own; both keep a third one, which is nobody's alone, and main still has a fourth.
// expect: 2 wait_with [chan receive] proven @receive
#include <memory>
#include <vector>

#include "report.hpp"

using block = std::shared_ptr<std::vector<char>>;
block make(std::size_t bytes) { return std::make_shared<std::vector<char>>(bytes); }

[[gnu::noinline]] void wait_with(const stray::chan<int>& ch, const std::vector<block>& blocks) {
  ch.recv();  // here: receive
  if (blocks.empty()) std::abort();
}

block of_main = make(40'000);

[[gnu::noinline]] void start() {
  block of_both = make(400'000);
  for (int i = 0; i < 2; i++) {
    stray::go([of_both] {
      std::vector<block> mine{of_both, of_main};
      for (int k = 0; k < 40; k++) mine.push_back(make(102'336));  // pages, when each is mapped
      wait_with(stray::make_chan<int>(), mine);
    });
  }
}

int main() {
  start();
  stray::testing::until_parked(2);
  stray::leak::report r = stray::leak::find();
  report::print(r);
  if (r.groups().size() != 1) return 1;
  const stray::leak::group& g = r.groups()[0];
  // At least: stale words somewhere may hide some blocks, most where all threads share one arena (6 of 80).
  bool as_expected = g.heap_bytes >= 7'000'000 && g.heap_bytes < 8'225'000 && g.bytes > g.heap_bytes && g.victims == 0;
  if (!as_expected) std::cout << g.heap_bytes << " bytes of heap memory, " << g.bytes << " bytes\n";
  return as_expected ? 0 : 1;
}
