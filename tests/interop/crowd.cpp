// As many parked goroutines as would use up vm.max_map_count if each had a guard by mprotect, on a kernel without MADV_GUARD_INSTALL (before
// Linux 6.13; seccomp makes it look so). Then all of them end. Prints how many mappings there were, and what else could still be mapped.
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <iostream>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

constexpr unsigned guard_install = 102;

bool hide_guard_install() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, guard_install, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {sizeof code / sizeof *code, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

long mappings() {
  std::ifstream maps("/proc/self/maps");
  long n = 0;
  for (std::string line; std::getline(maps, line);) n++;
  return n;
}

// Every other page, so that each is a mapping of its own.
bool maps_more(std::size_t n) {
  constexpr std::size_t page = 4096;
  auto* at = static_cast<char*>(mmap(nullptr, 2 * n * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (std::size_t i = 0; i < n; i++) {
    if (mprotect(at + 2 * i * page, page, PROT_NONE) != 0) return false;
  }
  munmap(at, 2 * n * page);
  return true;
}

}  // namespace

int main(int, char** argv) {
  if (!hide_guard_install()) {
    std::cout << "skipped: seccomp is not allowed here" << std::endl;
    return 77;
  }
  const std::size_t n = std::stoul(argv[1]);
  auto gate = stray::make_chan<void>();
  stray::wait_group all;
  for (std::size_t i = 0; i < n; i++) all.go([gate] { gate.recv(); });
  stray::testing::until_parked(n);
  std::cout << "mappings " << mappings() << std::endl;
  std::cout << "1000 more " << (maps_more(1000) ? "fit" : "do not fit") << std::endl;
  std::thread([] { std::cout << "a thread runs" << std::endl; }).join();
  gate.close();
  all.wait();
  std::cout << "ended" << std::endl;
}
