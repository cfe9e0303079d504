// A sandbox for the programs of this folder, and the way out where this machine does not allow one.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>
#include <vector>

[[noreturn]] inline void skip(const std::string& why) {
  std::cout << "skipped: " << why << " (" << std::error_code(errno, std::generic_category()).message() << ")" << std::endl;
  std::_Exit(77);
}

// For all threads from now on: these system calls answer with an error.
inline void refuse(const std::vector<unsigned>& numbers, unsigned error) {
  std::vector<sock_filter> code = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (unsigned number : numbers) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  sock_fprog program = {static_cast<unsigned short>(code.size()), code.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
    skip("seccomp is not allowed here");
  }
}
