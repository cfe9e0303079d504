#include "profile/debug_file.h"

#include <algorithm>
#include <dwarf.h>
#include <fcntl.h>
#include <filesystem>
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

bool is_regular_or_nothing(const std::filesystem::path& path) {
  struct stat is {};
  return stat(path.c_str(), &is) != 0 || S_ISREG(is.st_mode);
}

// libdw resolves links of the file's own path, and then goes on from its folder.
bool are_regular_beside(const std::vector<std::string>& files, const char* directory, const char* name) {
  for (const std::string& file : files) {
    std::error_code error;
    for (const std::filesystem::path& own : {std::filesystem::path(file), std::filesystem::weakly_canonical(file, error)}) {
      const std::filesystem::path folder = own.parent_path();
      if (!is_regular_or_nothing(folder / name) || !is_regular_or_nothing(folder / directory / name) ||
          !is_regular_or_nothing(own.string() + ".dwp"))
        return false;
    }
  }
  return true;
}

const char* text_of(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  return dwarf_formstring(dwarf_attr(die, name, &attribute));
}

}  // namespace

bool shared_part_is_regular(Dwarf* dwarf, const std::vector<std::string>& files) {
  const char* name = nullptr;
  const void* id = nullptr;
  return dwelf_dwarf_gnu_debugaltlink(dwarf, &name, &id) <= 0 || are_regular_beside(files, "", name);
}

bool split_part_is_regular(Dwarf_Die* skeleton, const std::vector<std::string>& files) {
  const char* name = text_of(skeleton, DW_AT_dwo_name);
  if (name == nullptr) name = text_of(skeleton, DW_AT_GNU_dwo_name);
  if (name == nullptr) return true;
  const char* directory = text_of(skeleton, DW_AT_comp_dir);
  return are_regular_beside(files, directory != nullptr ? directory : "", name);
}

int open_regular(const char* path) noexcept {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat is {};
  if (fd < 0 || (fstat(fd, &is) == 0 && S_ISREG(is.st_mode))) return fd;
  close(fd);
  return -1;
}

int open_debug_file(const std::string& path, const debug_file_id& wanted, std::string& why) {
  int fd = open_regular(path.c_str());
  if (fd < 0) return -1;
  why = mismatch(fd, wanted);
  if (why.empty()) return fd;
  close(fd);
  return -1;
}

}  // namespace stray::profile
