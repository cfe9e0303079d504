#include "trace/memory_map.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/uio.h>

#include "base/arch.h"
#include "base/syscalls.h"

namespace stray::trace {

namespace sys = base::sys;

namespace {

mapping::backing_type backing_of(const char* name) noexcept {
  if (starts_with(name, "/memfd:") || starts_with(name, "/dev/zero") || starts_with(name, "/SYSV") ||
      starts_with(name, "/dev/shm/"))
    return mapping::memory;
  if (starts_with(name, "/[aio]")) return mapping::aio;
  if (starts_with(name, "anon_inode:[io_uring]")) return mapping::uring;
  return ends_with(name, " (deleted)") ? mapping::deleted : mapping::named;
}

}  // namespace

void memory_map::parse(bump& memory, const char* p) noexcept {
  mapping m{};
  m.lo = take_hex(p);
  if (*p++ != '-') {
    malformed_ = true;
    return;
  }
  m.hi = take_hex(p);
  if (*p++ != ' ' || m.hi <= m.lo || (items_.size() != 0 && items_[items_.size() - 1].hi > m.lo)) {
    malformed_ = true;
    return;
  }
  for (int i = 0; i < 5; i++) {
    malformed_ = malformed_ || p[i] == 0;
    if (malformed_) return;
  }
  m.readable = p[0] == 'r';
  m.writable = p[1] == 'w';
  m.executable = p[2] == 'x';
  m.shared = p[3] == 's';
  p += 5;
  m.offset = take_hex(p);
  while (*p != 0 && *p != ' ') p++;
  while (*p == ' ') p++;
  take_hex(p);  // device
  if (*p == ':') p++;
  take_hex(p);
  while (*p == ' ') p++;
  m.inode = take_dec(p);
  while (*p == ' ') p++;
  m.file = m.inode != 0 || *p == '/';
  m.backing = backing_of(p);
  if (starts_with(p, "[heap]")) {
    m.kind = mapping::heap;
  } else if (starts_with(p, "[stack]")) {
    m.kind = mapping::stack;
  } else if (starts_with(p, "[v")) {
    m.kind = mapping::special;
  }
  if (!items_.push(memory, m)) malformed_ = true;
}

bool memory_map::read(bump& memory, const char* file) noexcept {
  items_.clear();
  malformed_ = false;
  int fd;
  // The snapshot and its parent share descriptors: the last one may be the other's, for some microseconds.
  for (int tries = 0; (fd = sys::open(file, O_RDONLY | O_CLOEXEC)) == -EMFILE && tries < 200; tries++) {
    sys::call(SYS_sched_yield);
  }
  if (fd < 0) return false;
  constexpr std::size_t room = 32 << 10;
  char* buffer = memory.array<char>(room);
  constexpr std::size_t kept = 192;
  char line[256];
  std::size_t length = 0;
  long n = -ENOMEM;
  while (buffer != nullptr) {
    n = sys::read(fd, buffer, room);
    if (n == -EINTR) continue;
    if (n <= 0) break;
    for (long i = 0; i < n; i++) {
      if (buffer[i] == '\n') {
        line[length] = 0;
        parse(memory, line);
        length = 0;
      } else {
        if (length + 1 == sizeof line) {  // of a long name its end is kept
          for (std::size_t k = kept + 1; k < length; k++) line[k - 1] = line[k];
          length--;
        }
        line[length++] = buffer[i];
      }
    }
  }
  sys::close(fd);
  return n == 0 && !malformed_ && items_.size() != 0;
}

const mapping* memory_map::after(std::uintptr_t address) const noexcept {
  std::size_t lo = 0, hi = items_.size();
  while (lo < hi) {
    std::size_t mid = (lo + hi) / 2;
    if (items_[mid].hi <= address) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo < items_.size() ? &items_[lo] : nullptr;
}

const mapping* memory_map::find(std::uintptr_t address) const noexcept {
  const mapping* m = after(address);
  return m != nullptr && m->lo <= address ? m : nullptr;
}

bool memory_map::readable(std::uintptr_t at, std::size_t bytes) const noexcept {
  std::uintptr_t end = at + bytes;
  if (end < at) return false;
  while (at < end) {
    const mapping* m = find(at);
    if (m == nullptr || !m->readable || m->kind == mapping::special) return false;
    at = m->hi;
  }
  return true;
}

// --- which pages hold data ------------------------------------------------------------------------------------------------------------

namespace {
// linux/fs.h has these since 6.7; the library is also built with older headers.
struct scan_arg {
  std::uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask,
      category_anyof_mask, return_mask;
};
static_assert(sizeof(scan_arg) == 96);
constexpr long pagemap_scan_ioctl = 0xc0606610;  // _IOWR('f', 16, struct pm_scan_arg)
constexpr std::uint64_t is_file = 1 << 2, is_present = 1 << 3, is_swapped = 1 << 4, is_zero_page = 1 << 5;
}  // namespace

void page_scan::open() noexcept {
  how_ = means::none;
  count_ = at_ = 0;
  walked_to_ = asked_hi_ = 0;
  fd_ = sys::open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) return;
  how_ = means::pagemap;
  scan_arg a{};
  a.size = sizeof a;
  a.start = 0x10000;
  a.end = 0x11000;
  a.vec = reinterpret_cast<std::uintptr_t>(found_);
  a.vec_len = 1;
  a.category_anyof_mask = is_present;
  a.return_mask = is_present;
  if (sys::call(SYS_ioctl, fd_, pagemap_scan_ioctl, sys::arg(&a)) >= 0) how_ = means::pagemap_scan;
}

const char* page_scan::why_none() const noexcept {
  switch (fd_) {
    case -EACCES:
    case -EPERM:
      return "/proc/self/pagemap cannot be read: the process is not dumpable (it changed its user?); prctl(PR_SET_DUMPABLE, 1) "
             "helps";
    case -EMFILE:
    case -ENFILE:
      return "/proc/self/pagemap cannot be read: no file descriptor is free (ulimit -n)";
    default:
      return "/proc/self/pagemap cannot be read";
  }
}

void page_scan::close() noexcept {
  if (fd_ >= 0) sys::close(fd_);
  if (mem_fd_ >= 0) sys::close(mem_fd_);
  fd_ = mem_fd_ = -1;
  how_ = means::none;
}

bool page_scan::fill_pagemap(std::uintptr_t from, std::uintptr_t hi, bool anonymous_only) noexcept {
  std::uint64_t entries[256];
  count_ = 0;
  std::uintptr_t at = from;
  while (at < hi && count_ < 200) {
    std::size_t want = (hi - at) / base::page_size;
    if (want > 256) want = 256;
    long n = sys::pread(fd_, entries, want * 8, at / base::page_size * 8);
    if (n <= 0) return false;
    for (long i = 0; i < n / 8; i++, at += base::page_size) {
      std::uint64_t e = entries[i];
      bool data = (e >> 62 & 3) != 0;  // present or swapped; the zero page cannot be told apart here
      if (data && anonymous_only && (e >> 61 & 1) != 0) data = false;  // of a file
      if (!data) continue;
      std::uint64_t kind = (e >> 63 & 1) != 0 ? is_present : is_swapped;
      if (count_ != 0 && found_[count_ - 1].end == at && found_[count_ - 1].categories == kind) {
        found_[count_ - 1].end += base::page_size;
      } else if (count_ < 256) {
        found_[count_++] = {at, at + base::page_size, kind};
      } else {
        walked_to_ = at;
        return true;
      }
    }
  }
  walked_to_ = at;
  return true;
}

bool page_scan::fill(std::uintptr_t from, std::uintptr_t hi, bool anonymous_only) noexcept {
  at_ = count_ = 0;
  returned_to_ = 0;
  asked_from_ = from;
  asked_hi_ = hi;
  asked_anonymous_ = anonymous_only;
  if (how_ == means::pagemap_scan) {
    scan_arg a{};
    a.size = sizeof a;
    a.start = from;
    a.end = hi;
    a.vec = reinterpret_cast<std::uintptr_t>(found_);
    a.vec_len = 256;
    a.category_inverted = is_zero_page | (anonymous_only ? is_file : 0);
    a.category_mask = a.category_inverted;
    a.category_anyof_mask = is_present | is_swapped;
    a.return_mask = is_present | is_swapped;
    long n = sys::call(SYS_ioctl, fd_, pagemap_scan_ioctl, sys::arg(&a));
    if (n >= 0) {
      count_ = static_cast<std::size_t>(n);
      walked_to_ = a.walk_end > from ? a.walk_end : hi;
      if (count_ < 256) walked_to_ = hi;
      return true;
    }
  } else if (how_ == means::pagemap && fill_pagemap(from, hi, anonymous_only)) {
    return true;
  }
  // Nothing is known: everything counts as data.
  found_[0] = {from, hi, 0};
  count_ = 1;
  walked_to_ = hi;
  return true;
}

// A guard page (MADV_GUARD_INSTALL) shows as swapped and faults when touched. The kernel reads for us, whatever the protection: a page that
// it cannot read holds nothing.
bool page_scan::is_guard(std::uintptr_t page) noexcept {
  if (mem_fd_ == -1) mem_fd_ = sys::open("/proc/thread-self/mem", O_RDONLY | O_CLOEXEC);
  std::uint64_t word;
  constexpr long whole = sizeof word;
  if (mem_fd_ >= 0) return sys::pread(mem_fd_, &word, sizeof word, page) != whole;
  // Not dumpable (after setuid), or no descriptor is free: this call asks for neither. Where it is forbidden, too, a guard ends the snapshot.
  iovec to{&word, sizeof word}, from{reinterpret_cast<void*>(page), sizeof word};
  return sys::call(SYS_process_vm_readv, sys::getpid(), sys::arg(&to), 1, sys::arg(&from), 1, 0) == -EFAULT;
}

bool page_scan::next(std::uintptr_t& from, std::uintptr_t hi, bool anonymous_only, range& run) noexcept {
  while (from < hi) {
    if (asked_hi_ != hi || asked_anonymous_ != anonymous_only || from < asked_from_ || from < returned_to_ ||
        (at_ == count_ && from >= walked_to_)) {
      fill(from, hi, anonymous_only);
    }
    while (at_ < count_ && found_[at_].end <= from) at_++;
    if (at_ < count_) {
      run.lo = found_[at_].start < from ? from : found_[at_].start;
      run.hi = found_[at_].end > hi ? hi : found_[at_].end;
      if ((found_[at_].categories & is_present) == 0) {  // page by page: it may be a guard
        run.hi = run.lo + base::page_size;
        from = run.hi;
        if (is_guard(run.lo)) continue;
        return true;
      }
      at_++;
      from = returned_to_ = run.hi;
      return true;
    }
    from = walked_to_ > from ? walked_to_ : hi;
  }
  return false;
}

}  // namespace stray::trace
