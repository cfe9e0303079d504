#include "trace/written_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/read_file.h"
#include "trace/proc_name.h"

namespace stray::trace {

namespace sys = base::sys;

namespace {

// Every byte of it lies in one shared mapping, which is copied anyhow.
bool is_mapped_whole(const memory_map& map, std::uint64_t inode, std::uint64_t bytes) noexcept {
  for (const mapping& m : map.all()) {
    if (m.shared && m.inode == inode && m.offset == 0 && m.hi - m.lo >= bytes) return true;
  }
  return false;
}

text& named(text& line, const char* what, int fd) noexcept {
  return (line << what << " (descriptor ").dec(static_cast<std::uint64_t>(fd)) << ")";
}

}  // namespace

void written_files::clear() noexcept {
  inodes_.clear();
  all_ = uring_seen_ = false;
}

bool written_files::holds(std::uint64_t inode) const noexcept {
  if (all_) return true;
  for (std::uint64_t one : inodes_) {
    if (one == inode) return true;
  }
  return false;
}

// Its `CachedSqHead` counts what was ever submitted. Where that is not told (somebody holds its lock) it counts as used.
void written_files::uring(int fd, char* buffer, std::size_t room, doubt_log& doubts) noexcept {
  uring_seen_ = true;
  constexpr const char* submitted = "CachedSqHead:";
  bool read = base::read_file(proc_name("/proc/thread-self/fdinfo/", fd).path, buffer, room);
  if (read && contains(buffer, submitted) && number_after(buffer, submitted) == 0) return;
  text line = doubts.add();
  named(line, "an io_uring that was used", fd);
}

written_files::verdict written_files::look(int fd, const memory_map& map, bump& memory, char* buffer, std::size_t room,
                                           doubt_log& doubts, std::size_t& bytes) noexcept {
  long length = sys::call(SYS_readlink, sys::arg(proc_name("/proc/thread-self/fd/", fd).path), sys::arg(buffer),
                          static_cast<long>(room - 1));
  if (length <= 0) {
    text line = doubts.add();
    named(line, "a file whose name cannot be read", fd);
    return verdict::nothing;
  }
  buffer[length] = 0;
  if (starts_with(buffer, "anon_inode:[io_uring]")) {
    uring(fd, buffer, room, doubts);
    return verdict::nothing;
  }
  if (*buffer != '/') return verdict::nothing;
  if (starts_with(buffer, "/dev/ptmx") || starts_with(buffer, "/dev/pts/ptmx")) {
    text line = doubts.add();
    named(line, "an open pseudoterminal master", fd);
    return verdict::nothing;
  }
  struct {
    long flags, most, size, waiting, unused[4];
  } queue{};
  if (sys::call(SYS_mq_getsetattr, fd, 0, sys::arg(&queue)) == 0) {
    if (queue.waiting == 0) return verdict::nothing;
    text line = doubts.add();
    named(line, "a message queue that is not empty", fd);
    return verdict::nothing;
  }
  const bool memfd = starts_with(buffer, "/memfd:"), deleted = ends_with(buffer, " (deleted)");
  if (starts_with(buffer, "/dev/") && !starts_with(buffer, "/dev/shm/")) return verdict::nothing;
  const long flags = sys::call(SYS_fcntl, fd, F_GETFL);
  if (flags < 0) {
    text line = doubts.add();
    named(line, "a file whose mode cannot be read", fd);
    return verdict::nothing;
  }
  const bool readable = (flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_WRONLY;
  const bool writable = (flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_RDONLY;
  if (!writable && !memfd && !deleted) return verdict::nothing;
  std::uint64_t inode = 0;
  if (base::read_file(proc_name("/proc/thread-self/fdinfo/", fd).path, buffer, room)) inode = number_after(buffer, "ino:");
  if (inode == 0 || !inodes_.push(memory, inode)) all_ = true;
  if (memfd) {
    struct stat now;
    if (sys::call(SYS_fstat, fd, sys::arg(&now)) == 0) {  // of memory: no file system is asked
      bytes = static_cast<std::size_t>(now.st_size);
      if (bytes == 0 || is_mapped_whole(map, inode, bytes)) return verdict::nothing;
      if (readable) return verdict::read_it;
    }
    too_large(fd, doubts);
  } else if (deleted) {
    text line = doubts.add();
    named(line, "a deleted file", fd);
  }
  return verdict::nothing;
}

void written_files::too_large(int fd, doubt_log& doubts) noexcept {
  text line = doubts.add();
  named(line, "a memfd", fd);
}

void written_files::too_many(doubt_log& doubts) noexcept {
  all_ = true;
  doubts.add() << "one of the files open here: there are too many to look at";
}

void written_files::look_at_mappings(const memory_map& map, doubt_log& doubts) noexcept {
  bool aio = false;
  for (const mapping& m : map.all()) {
    if (m.backing == mapping::aio && !aio) {
      aio = true;
      doubts.add() << "a Linux AIO context";
    } else if (m.backing == mapping::uring && !uring_seen_) {
      uring_seen_ = true;
      doubts.add() << "an io_uring whose descriptor is not to be found";
    }
  }
}

}  // namespace stray::trace
