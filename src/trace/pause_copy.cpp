#include "trace/pause_copy.h"

#include <cerrno>
#include <fcntl.h>

#include "base/arch.h"
#include "base/clock.h"
#include "base/syscalls.h"

namespace stray::trace {

namespace sys = base::sys;

namespace {
constexpr std::int64_t budget_ns = 20'000'000;

const char* name_of(root r) noexcept {
  return r == root::shared ? "shared" : r == root::dontfork ? "MADV_DONTFORK" : "MADV_WIPEONFORK";
}
}  // namespace

bool pause_copy::look(bump& memory, note_log& notes) noexcept {
  flags_.clear();
  saved_.clear();
  blind_ = 0;
  kernel_.look(memory);
  int fd = sys::open("/proc/thread-self/smaps", O_RDONLY | O_CLOEXEC);
  constexpr std::size_t room = 64 << 10;
  char* buffer = fd < 0 ? nullptr : memory.array<char>(room);
  if (buffer == nullptr) {
    if (fd >= 0) sys::close(fd);
    notes.add() << "/proc/self/smaps cannot be read: memory marked MADV_DONTFORK or MADV_WIPEONFORK is not seen";
    blind_++;
    return false;
  }
  char line[256];
  std::size_t length = 0;
  flagged current{};
  bool shared = false;
  auto take_line = [&] {
    const char* p = line;
    bool header = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f');
    if (header) {
      current = {};
      current.lo = take_hex(p);
      if (*p++ != '-') return;
      current.hi = take_hex(p);
      shared = *p == ' ' && p[4] == 's';
    } else if (starts_with(p, "VmFlags:")) {
      bool may_write = false;
      for (p += 8; *p == ' ' && p[1] != 0 && p[2] != 0; p += 3) {
        if (p[1] == 'd' && p[2] == 'c') current.dontfork = true;
        if (p[1] == 'w' && p[2] == 'f') current.wipeonfork = true;
        if ((p[1] == 'i' && p[2] == 'o') || (p[1] == 'p' && p[2] == 'f')) current.device = true;
        if (p[1] == 'm' && p[2] == 'w') may_write = true;
      }
      current.never_written = shared && !may_write;
      if (current.dontfork || current.wipeonfork || current.device || current.never_written) flags_.push(memory, current);
    }
  };
  long n;
  while ((n = sys::read(fd, buffer, room)) > 0 || n == -EINTR) {
    for (long i = 0; i < n; i++) {
      if (buffer[i] == '\n') {
        line[length] = 0;
        take_line();
        length = 0;
      } else if (length + 1 < sizeof line) {
        line[length++] = buffer[i];
      }
    }
  }
  sys::close(fd);
  return true;
}

void pause_copy::copy(bump& memory, range r, root what, time_budget& budget, note_log& notes) noexcept {
  constexpr std::size_t most = std::size_t{1} << 20;
  std::uintptr_t from = r.lo;
  range run;
  auto not_read = [&](const char* why) {
    blind_++;
    text line = notes.add();
    line << name_of(what) << " mapping ";
    line.hex(r.lo) << "-";
    line.hex(r.hi) << " was not read: " << why;
  };
  if (pages_.how() == page_scan::means::none || mem_ < 0) {
    not_read("/proc/self/pagemap or mem is not accessible");
    return;
  }
  while (pages_.next(from, r.hi, false, run)) {
    for (std::uintptr_t at = run.lo; at < run.hi;) {
      if (budget.spent()) {
        not_read("20 ms were spent on such memory");
        return;
      }
      std::size_t want = run.hi - at < most ? run.hi - at : most;
      auto* to = static_cast<char*>(memory.take(want, 64));
      if (to == nullptr) {
        not_read("no memory for the copy");
        return;
      }
      long n = sys::pread(mem_, to, want, at);
      if (n <= 0) {  // beyond the end of its file: nothing is there
        at += base::page_size;
        continue;
      }
      std::size_t got = static_cast<std::size_t>(n) & ~std::size_t{7};
      saved_span* last = saved_.size() == 0 ? nullptr : &saved_[saved_.size() - 1];
      auto copy = reinterpret_cast<std::uintptr_t>(to);
      if (last != nullptr && last->hi == at && last->what == what && last->copy + (last->hi - last->lo) == copy) {
        last->hi += got;
      } else {
        saved_.push(memory, {at, at + got, copy, what});
      }
      at += got == want ? want : (got + base::page_size) & ~(base::page_size - 1);
    }
  }
}

bool pause_copy::take(bump& memory, slice<const range> skip, unsigned off, note_log& notes) noexcept {
  if (!map_.read(memory)) return false;
  time_budget budget(budget_ns);
  pages_.open();
  mem_ = sys::open("/proc/thread-self/mem", O_RDONLY | O_CLOEXEC);
  for (const mapping& m : map_.all()) {
    if (m.kind == mapping::special) continue;
    const flagged* f = flags_of(m.lo);
    root what;
    if (f != nullptr && f->device) {
      continue;  // roots.cpp notes it
    } else if (f != nullptr && f->dontfork) {
      what = root::dontfork;
    } else if (f != nullptr && f->wipeonfork) {
      what = root::wipeonfork;
    } else if (m.shared && !(f != nullptr && f->never_written && !m.writable)) {
      what = root::shared;
    } else {
      continue;
    }
    if ((off & bit(what)) != 0) continue;
    // Ours, cut out.
    std::uintptr_t at = m.lo;
    while (at < m.hi) {
      std::uintptr_t stop = m.hi, resume = m.hi;
      for (const range& r : skip) {
        std::uintptr_t lo = r.lo & ~(base::page_size - 1), hi = base::page_up(r.hi);
        if (hi > at && lo < stop) {
          stop = lo > at ? lo : at;
          resume = hi;
        }
      }
      if (stop > at) copy(memory, {at, stop}, what, budget, notes);
      at = resume > at ? resume : m.hi;
    }
  }
  if (mem_ >= 0) sys::close(mem_);
  pages_.close();
  mem_ = -1;
  kernel_.take(memory, off, saved_, notes);
  return true;
}

}  // namespace stray::trace
