// The file is ours to read but not to trust: every offset is checked by the size of what pread gives.
#include "profile/cfi_sections.h"

#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <string>
#include <unistd.h>

namespace stray::profile::cfi {

namespace {

bool read_at(int fd, void* to, std::size_t size, std::uint64_t at) {
  return pread(fd, to, size, static_cast<off_t>(at)) == static_cast<ssize_t>(size);
}

memory_range search(int fd, std::uintptr_t bias) {
  Elf64_Ehdr file;
  if (!read_at(fd, &file, sizeof file, 0) || std::memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 ||
      file.e_shentsize != sizeof(Elf64_Shdr))
    return {};
  std::vector<Elf64_Shdr> sections(file.e_shnum);
  if (sections.empty() || file.e_shstrndx >= sections.size()) return {};
  if (!read_at(fd, sections.data(), sections.size() * sizeof(Elf64_Shdr), file.e_shoff)) return {};
  const Elf64_Shdr& names = sections[file.e_shstrndx];
  for (const Elf64_Shdr& s : sections) {
    char name[10] = {};  // ".eh_frame" with its end
    if ((s.sh_flags & SHF_ALLOC) == 0 || !read_at(fd, name, sizeof name, names.sh_offset + s.sh_name)) continue;
    if (std::memcmp(name, ".eh_frame", sizeof name) == 0) return {bias + s.sh_addr, bias + s.sh_addr + s.sh_size};
  }
  return {};
}

}  // namespace

memory_range find_eh_frame(std::uintptr_t bias) {
  int fd = open("/proc/thread-self/exe", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  memory_range range = search(fd, bias);
  close(fd);
  return range;
}

}  // namespace stray::profile::cfi
