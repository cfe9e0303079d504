// The handle in the page is used.
// expect: nothing
#include <memory>
#include <new>
#include <sys/mman.h>

#include "report.hpp"

stray::chan<int>* listen(void* page) {
  auto ch = stray::make_chan<int>();
  stray::go([ch] { ch.recv(); });
  auto* handle = ::new (page) stray::chan<int>(ch);
  mprotect(page, 4096, PROT_READ);
  return handle;
}

int main() {
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 1;
  stray::chan<int>* handle = listen(page);
  stray::testing::until_parked(1);
  report::expect_silent("the page holds a handle");
  handle->send(1);
  report::until_finished();
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
  std::destroy_at(handle);
  munmap(page, 4096);
  return report::print();
}
