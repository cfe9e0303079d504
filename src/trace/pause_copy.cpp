#include "trace/pause_copy.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/sysinfo.h>

#include "base/arch.h"
#include "base/clock.h"
#include "base/syscalls.h"

namespace stray::trace {

namespace sys = base::sys;

namespace {
constexpr std::int64_t budget_ns = 20'000'000;
constexpr std::size_t most_unwritten = std::size_t{4} << 20;

const char* name_of(root r) noexcept {
  return r == root::shared ? "shared" : r == root::files ? "file" : r == root::dontfork ? "MADV_DONTFORK" : "MADV_WIPEONFORK";
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

// One pass over the mappings, with what it has left to spend.
struct pause_copy::job {
  pause_copy& self;
  bump& memory;
  slice<const range> skip;
  note_log& notes;
  doubt_log& doubts;
  time_budget budget{budget_ns};
  std::size_t unwritten_left = most_unwritten;
  bool swap_used = false;

  // The mapping that is being copied.
  const mapping* of = nullptr;
  root what = root::shared;
  bool private_pages = false;  // are the child's own: left out
  bool failed = false;

  void not_read(range r, const char* why) noexcept {
    failed = true;
    self.blind_++;
    text line = notes.add();
    line << name_of(what) << " mapping ";
    line.hex(r.lo) << "-";
    line.hex(r.hi) << " was not read: " << why;
  }

  void doubt(range r, const char* why) noexcept {
    if (doubts.used != 0 && doubts.list[doubts.used - 1].hi == r.lo) {  // goes on
      doubts.list[doubts.used - 1].hi = r.hi;
      return;
    }
    text line = doubts.add(r.lo, r.hi);
    line << (of->shared ? "a shared mapping at " : "a mapping at ");
    line.hex(r.lo) << why;
  }

  // Reads [r.lo, r.hi) page by page where it must.
  void read(range r) noexcept {
    constexpr std::size_t most = std::size_t{1} << 20;
    for (std::uintptr_t at = r.lo; at < r.hi;) {
      if (budget.spent()) return not_read(r, "20 ms were spent on such memory");
      std::size_t want = r.hi - at < most ? r.hi - at : most;
      auto* to = static_cast<char*>(memory.take(want, 64));
      if (to == nullptr) return not_read(r, "no memory for the copy");
      long n = sys::pread(self.mem_, to, want, at);
      if (n <= 0) {  // beyond the end of its file, or memory that only its own instructions may read (memfd_secret)
        doubt({at, at + base::page_size}, ", which cannot be read");
        at += base::page_size;
        continue;
      }
      std::size_t got = static_cast<std::size_t>(n) & ~std::size_t{7};
      saved_span* last = self.saved_.size() == 0 ? nullptr : &self.saved_[self.saved_.size() - 1];
      auto copy = reinterpret_cast<std::uintptr_t>(to);
      if (last != nullptr && last->hi == at && last->what == what && last->copy + (last->hi - last->lo) == copy) {
        last->hi += got;
      } else {
        self.saved_.push(memory, {at, at + got, copy, what});
      }
      at += got == want ? want : (got + base::page_size) & ~(base::page_size - 1);
    }
  }

  // Pages that our page table does not have.
  void read_cached(range r) noexcept {
    constexpr std::size_t most = 4096;
    unsigned char cached[most];
    range missing{};
    for (std::uintptr_t at = r.lo; at < r.hi && !failed;) {
      if (budget.spent()) return doubt({at, r.hi}, ", too large to look at");
      std::size_t pages = (r.hi - at) / base::page_size < most ? (r.hi - at) / base::page_size : most;
      if (sys::call(SYS_mincore, static_cast<long>(at), static_cast<long>(pages * base::page_size), sys::arg(cached)) != 0)
        return doubt({at, r.hi}, ", which cannot be looked at");
      for (std::size_t i = 0; i < pages && !failed;) {
        const bool is_in = (cached[i] & 1) != 0;
        std::size_t end = i + 1;
        while (end < pages && ((cached[end] & 1) != 0) == is_in) end++;
        const range run{at + i * base::page_size, at + end * base::page_size};
        if (is_in) {
          read(run);
        } else {
          if (missing.lo == 0) missing.lo = run.lo;
          missing.hi = run.hi;
        }
        i = end;
      }
      at += pages * base::page_size;
    }
    // Of memory without swap a page that is nowhere was never written.
    if (missing.lo != 0 && (of->backing != mapping::memory || swap_used)) doubt(missing, ", which is not in memory as a whole");
  }

  void copy(range r, bool cached_too) noexcept {
    if (self.pages_.how() == page_scan::means::none || self.mem_ < 0)
      return not_read(r, "/proc/self/pagemap or mem is not accessible");
    std::uintptr_t from = r.lo, done = r.lo;
    for (range run; !failed && self.pages_.next(from, r.hi, private_pages, run); done = run.hi) {
      if (cached_too && run.lo > done) read_cached({done, run.lo});
      if (!private_pages && !failed) read(run);
    }
    if (cached_too && !failed && done < r.hi) read_cached({done, r.hi});
  }

  void mapping_of(const mapping& m, root kind, bool cached_too) noexcept {
    of = &m;
    what = kind;
    failed = false;
    private_pages = !m.shared && kind == root::files;
    // Ours, cut out.
    for (std::uintptr_t at = m.lo; at < m.hi && !failed;) {
      std::uintptr_t stop = m.hi, resume = m.hi;
      for (const range& r : skip) {
        std::uintptr_t lo = r.lo & ~(base::page_size - 1), hi = base::page_up(r.hi);
        if (hi > at && lo < stop) {
          stop = lo > at ? lo : at;
          resume = hi;
        }
      }
      if (stop > at) copy({at, stop}, cached_too);
      at = resume > at ? resume : m.hi;
    }
  }

  bool few(const mapping& m) noexcept {
    if (m.hi - m.lo > unwritten_left) return false;
    unwritten_left -= m.hi - m.lo;
    return true;
  }
};

bool pause_copy::is_module(const mapping& of) const noexcept {
  constexpr std::ptrdiff_t around = 8;
  const slice<mapping> all = map_.all();
  const std::ptrdiff_t at = &of - all.data, n = static_cast<std::ptrdiff_t>(all.size);
  for (std::ptrdiff_t i = at < around ? 0 : at - around; i < n && i <= at + around; i++) {
    if (all.data[i].executable && !all.data[i].shared && all.data[i].inode == of.inode) return true;
  }
  return false;
}

bool pause_copy::is_of_module(const mapping& of) const noexcept {
  if (is_module(of)) return true;
  for (const mapping& m : map_.all()) {
    if (m.executable && !m.shared && m.inode == of.inode) return true;
  }
  return false;
}

bool pause_copy::take(bump& memory, slice<const range> skip, unsigned off, note_log& notes, doubt_log& doubts) noexcept {
  if (!map_.read(memory)) return false;
  kernel_.take(memory, map_, off, saved_, notes, doubts);  // first: it may need the last free descriptor
  pages_.open();
  mem_ = sys::open("/proc/thread-self/mem", O_RDONLY | O_CLOEXEC);
  job now{*this, memory, skip, notes, doubts};
  struct sysinfo system {};
  now.swap_used = sys::call(SYS_sysinfo, sys::arg(&system)) != 0 || system.totalswap != system.freeswap;
  auto on = [&](root what) { return (off & bit(what)) == 0; };
  for (const mapping& m : map_.all()) {
    if (m.kind == mapping::special || m.backing == mapping::aio) continue;
    const flagged* f = flags_of(m.lo);
    if (f != nullptr && f->device) continue;  // roots.cpp notes it
    const bool written = m.backing == mapping::memory || kernel_.written().holds(m.inode) ||
                         (m.backing == mapping::deleted && (m.shared || !is_module(m)));
    if (f != nullptr && f->dontfork) {
      if (on(root::dontfork)) now.mapping_of(m, root::dontfork, m.shared);
    } else if (f != nullptr && f->wipeonfork) {
      if (on(root::wipeonfork)) now.mapping_of(m, root::wipeonfork, false);
    } else if (m.shared) {
      const bool read_only = f != nullptr && f->never_written && !m.writable;
      if (on(root::shared) && (!read_only || written || now.few(m))) now.mapping_of(m, root::shared, true);
    } else if (m.file && m.inode != 0) {
      if (on(root::files) && (written || (!is_of_module(m) && now.few(m)))) now.mapping_of(m, root::files, true);
    }
  }
  if (mem_ >= 0) sys::close(mem_);
  pages_.close();
  mem_ = -1;
  return true;
}

}  // namespace stray::trace
