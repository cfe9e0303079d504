#include "leak/goroutines/in_system_call.h"

#include <sys/syscall.h>

#include "base/format.h"
#include "leak/goroutines/stacks.h"
#include "profile/unwind.h"
#include "runtime/scheduler.h"
#include "runtime/stack.h"
#include "trace/task_list.h"

namespace stray::leak {

namespace {

struct named_call {
  int number;
  const char* name;
};
// Those that may sleep.
constexpr named_call names[] = {
    {SYS_read, "read"},
    {SYS_write, "write"},
    {SYS_open, "open"},
    {SYS_close, "close"},
    {SYS_poll, "poll"},
    {SYS_ioctl, "ioctl"},
    {SYS_pread64, "pread64"},
    {SYS_pwrite64, "pwrite64"},
    {SYS_readv, "readv"},
    {SYS_writev, "writev"},
    {SYS_select, "select"},
    {SYS_msync, "msync"},
    {SYS_pause, "pause"},
    {SYS_nanosleep, "nanosleep"},
    {SYS_sendfile, "sendfile"},
    {SYS_connect, "connect"},
    {SYS_accept, "accept"},
    {SYS_sendto, "sendto"},
    {SYS_recvfrom, "recvfrom"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_vfork, "vfork"},
    {SYS_wait4, "wait4"},
    {SYS_semop, "semop"},
    {SYS_msgsnd, "msgsnd"},
    {SYS_msgrcv, "msgrcv"},
    {SYS_fcntl, "fcntl"},
    {SYS_flock, "flock"},
    {SYS_fsync, "fsync"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait"},
    {SYS_rt_sigsuspend, "rt_sigsuspend"},
    {SYS_futex, "futex"},
    {SYS_io_getevents, "io_getevents"},
    {SYS_semtimedop, "semtimedop"},
    {SYS_clock_nanosleep, "clock_nanosleep"},
    {SYS_epoll_wait, "epoll_wait"},
    {SYS_mq_timedsend, "mq_timedsend"},
    {SYS_mq_timedreceive, "mq_timedreceive"},
    {SYS_waitid, "waitid"},
    {SYS_openat, "openat"},
    {SYS_pselect6, "pselect6"},
    {SYS_ppoll, "ppoll"},
    {SYS_splice, "splice"},
    {SYS_epoll_pwait, "epoll_pwait"},
    {SYS_fallocate, "fallocate"},
    {SYS_accept4, "accept4"},
    {SYS_preadv, "preadv"},
    {SYS_pwritev, "pwritev"},
    {SYS_recvmmsg, "recvmmsg"},
    {SYS_syncfs, "syncfs"},
    {SYS_sendmmsg, "sendmmsg"},
    {SYS_getrandom, "getrandom"},
    {SYS_copy_file_range, "copy_file_range"},
    {SYS_preadv2, "preadv2"},
    {SYS_pwritev2, "pwritev2"},
    {SYS_io_uring_enter, "io_uring_enter"},
    {SYS_epoll_pwait2, "epoll_pwait2"},
    {SYS_futex_waitv, "futex_waitv"},
};

}  // namespace

std::string in_system_call::state() const {
  for (const named_call& c : names) {
    if (c.number == number) return base::format("syscall {}, thread {}", c.name, tid);
  }
  return base::format("syscall {}, thread {}", number, tid);
}

system_calls goroutines_in_system_calls() {
  system_calls out;
  const runtime::scheduler& s = runtime::sched();
  const int made = s.made.load();
  for (int i = 0; i < made; i++) {
    const runtime::worker& w = s.workers[i];
    const int tid = w.tid.load();
    trace::task_sleep now;
    if (tid == 0 || w.asleep.load() || !trace::look_at_sleep(tid, now) || now.call < 0) continue;
    base::range stack;
    const runtime::task* t = runtime::stack_owner(now.sp, &stack);
    if (t == nullptr) continue;  // in the scheduler, or on a stack of its own making
    in_system_call call{now.call, tid, t->wait(t->word.load()), {}};
    std::uintptr_t pcs[usual_depth];
    const std::size_t n = profile::unwind_asleep(now.pc, now.sp, {now.sp, stack.hi}, pcs, usual_depth);
    if (!trace::slept_on(tid, now)) continue;
    call.pcs.assign(pcs, pcs + n);
    out.emplace(t, std::move(call));
  }
  return out;
}

}  // namespace stray::leak
