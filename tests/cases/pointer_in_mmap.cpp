// The only other handle lies in an anonymous mapping: silent while it is there, a leak when it is gone.
// expect: 1 listen::lambda [chan receive] proven @receive
#include <memory>
#include <new>
#include <sys/mman.h>

#include "report.hpp"

stray::chan<int>* listen(void* page) {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    ch.recv();  // here: receive
  });
  return ::new (page) stray::chan<int>(ch);
}

int main() {
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 1;
  stray::chan<int>* handle = listen(page);
  stray::testing::until_parked(1);
  report::expect_silent("the mapping holds a handle");
  std::destroy_at(handle);
  munmap(page, 4096);
  return report::print();
}
