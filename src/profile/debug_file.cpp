#include "profile/debug_file.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <elfutils/libdwelf.h>
#include <libelf.h>
#include <zlib.h>

namespace stray::profile {

namespace {

std::vector<unsigned char> build_id_of(int fd) {
  elf_version(EV_CURRENT);
  Elf* elf = elf_begin(fd, ELF_C_READ, nullptr);
  const void* id = nullptr;
  ssize_t size = elf != nullptr ? dwelf_elf_gnu_build_id(elf, &id) : 0;
  const auto* bytes = static_cast<const unsigned char*>(id);
  std::vector<unsigned char> found(bytes, bytes + std::max<ssize_t>(size, 0));
  elf_end(elf);
  return found;
}

std::optional<std::uint32_t> checksum_of(int fd) {
  std::vector<unsigned char> buffer(std::size_t{1} << 16);
  uLong crc = crc32(0, nullptr, 0);
  off_t at = 0;
  ssize_t n = 0;
  while ((n = pread(fd, buffer.data(), buffer.size(), at)) > 0) {
    crc = crc32(crc, buffer.data(), static_cast<uInt>(n));
    at += n;
  }
  return n == 0 ? std::optional(static_cast<std::uint32_t>(crc)) : std::nullopt;
}

// Why it is not the one; empty: it is.
std::string mismatch(int fd, const debug_file_id& wanted) {
  std::vector<unsigned char> id = build_id_of(fd);
  if (!id.empty() && !wanted.build_id.empty())
    return std::equal(id.begin(), id.end(), wanted.build_id.begin(), wanted.build_id.end()) ? "" : "its build id is another";
  if (!wanted.checksum) return id.empty() ? "it has no build id" : "the module has no build id";
  return checksum_of(fd) == wanted.checksum ? "" : "its checksum is not that of .gnu_debuglink";
}

}  // namespace

int open_debug_file(const std::string& path, const debug_file_id& wanted, std::string& why) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  struct stat is {};
  bool regular = fstat(fd, &is) == 0 && S_ISREG(is.st_mode);
  if (regular) why = mismatch(fd, wanted);
  if (regular && why.empty()) return fd;
  close(fd);
  return -1;
}

}  // namespace stray::profile
