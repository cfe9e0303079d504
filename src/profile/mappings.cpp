// The executable mappings of the process, with build ids read from the notes in memory (the file may be gone).
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <elf.h>
#include <filesystem>
#include <fstream>
#include <link.h>

#include "base/modules.h"
#include "profile/symbolize.h"

namespace stray::profile {

namespace {

struct module_id {
  std::uintptr_t lo, hi;  // the module's loaded segments
  std::string build_id;
};

std::string build_id_of(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& ph = info.dlpi_phdr[i];
    if (ph.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const char*>(info.dlpi_addr + ph.p_vaddr);
    const char* end = at + ph.p_memsz;
    std::size_t align = ph.p_align == 8 ? 8 : 4;
    while (static_cast<std::size_t>(end - at) >= sizeof(ElfW(Nhdr))) {
      ElfW(Nhdr) note;
      std::memcpy(&note, at, sizeof note);
      std::size_t name = (note.n_namesz + align - 1) & ~(align - 1), desc = (note.n_descsz + align - 1) & ~(align - 1);
      if (static_cast<std::size_t>(end - at) < sizeof note + name + note.n_descsz) break;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(at + sizeof note, "GNU", 4) == 0) {
        std::string id;
        for (std::size_t b = 0; b < note.n_descsz; ++b) {
          char digits[3];
          std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(at[sizeof note + name + b]));
          id += digits;
        }
        return id;
      }
      if (static_cast<std::size_t>(end - at) < sizeof note + name + desc) break;
      at += sizeof note + name + desc;
    }
  }
  return {};
}

int collect(dl_phdr_info* info, std::size_t, void* out) {
  module_id m{~std::uintptr_t{0}, 0, build_id_of(*info)};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& ph = info->dlpi_phdr[i];
    if (ph.p_type != PT_LOAD) continue;
    m.lo = std::min<std::uintptr_t>(m.lo, info->dlpi_addr + ph.p_vaddr);
    m.hi = std::max<std::uintptr_t>(m.hi, info->dlpi_addr + ph.p_vaddr + ph.p_memsz);
  }
  static_cast<std::vector<module_id>*>(out)->push_back(std::move(m));
  return 0;
}

}  // namespace

std::vector<mapping> mappings() {
  std::vector<module_id> modules;
  base::each_module(collect, &modules);
  std::error_code error;
  std::string program = std::filesystem::read_symlink("/proc/thread-self/exe", error).string();
  std::vector<mapping> result;
  std::ifstream maps("/proc/thread-self/maps");
  for (std::string text; std::getline(maps, text);) {
    mapping m;
    char access[5] = {};
    int path = 0;
    if (std::sscanf(text.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNxPTR " %*s %*s %n", &m.start, &m.limit, access,
                    &m.offset, &path) < 4)
      continue;
    if (access[2] != 'x') continue;
    if (path > 0) m.file = text.substr(static_cast<std::size_t>(path));
    if (m.file.empty()) continue;  // code made at run time: no file could explain it
    bool is_program = m.file == program;
    if (m.file.ends_with(" (deleted)")) m.file.resize(m.file.size() - 10);
    if (m.file.starts_with('[')) m.offset = 0;
    for (const auto& module : modules)
      if (module.lo < m.limit && m.start < module.hi) m.build_id = module.build_id;
    if (is_program)
      result.insert(result.begin(), std::move(m));
    else
      result.push_back(std::move(m));
  }
  return result;
}

}  // namespace stray::profile
