// 1. Everything here is behind one lock; the results handed out stay where they are for the life of the process: an answer that a module's
//    unloading made stale is set aside, not freed, since a caller may still hold it.
// 2. Modules are reported again when the dynamic linker's counters moved; indices of modules that stayed are kept.
// 3. No network: debug information comes from the file itself, or from files beside it and under /usr/lib/debug that are of the same build
//    (debug_file.h).
// Rejected: dwfl_standard_find_debuginfo, which asks debuginfod servers when the environment names some: a scrape must not wait for them.
#include "profile/symbolize.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <link.h>
#include <memory>
#include <mutex>
#include <set>
#include <unistd.h>
#include <unordered_map>

#include <elfutils/libdwfl.h>

#include "base/clock.h"
#include "base/format.h"
#include "base/modules.h"
#include "profile/debug_file.h"
#include "profile/dwarf_index.h"
#include "profile/modules.h"
#include "profile/names.h"

namespace stray::profile {

namespace {

std::string program_path() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/thread-self/exe", error).string();
}

// Files are opened here: libdw would do it without O_CLOEXEC, keeps the descriptor, and a child that calls exec would inherit it. The program's
// own file is opened through /proc/self/exe: the path may lead to a newer build by now.
int find_elf(Dwfl_Module* module, void** user, const char* name, Dwarf_Addr base, char** file, Elf** elf) {
  static const auto& program = *new std::string(program_path());  // a dying process asks while statics are destroyed
  if (name[0] == '/') {
    int fd = name == program ? open_regular("/proc/thread-self/exe") : -1;
    if (fd < 0) fd = open_regular(name);
    if (fd >= 0) *file = strdup(name);
    return fd;
  }
  return dwfl_linux_proc_find_elf(module, user, name, base, file, elf);
}

void add_note(std::string text);

// Called while the symbols' lock is held. A note for each file that is there and is another build's.
int find_debuginfo(Dwfl_Module* module, void**, const char* name, Dwarf_Addr, const char* file, const char* link,
                   GElf_Word checksum, char** found) {
  // Asked for a part that several debug files share (.gnu_debugaltlink). Its own id would have to be compared; what lies in it has no name.
  if (link != nullptr && checksum == 0) return -1;
  const unsigned char* id = nullptr;
  GElf_Addr where = 0;
  int size = std::max(dwfl_module_build_id(module, &id, &where), 0);
  debug_file_id wanted{{id, static_cast<std::size_t>(size)}, std::nullopt};
  std::vector<std::string> paths;
  if (size > 2) {
    std::string path = base::format("/usr/lib/debug/.build-id/{:02x}/", id[0]);
    for (int i = 1; i < size; ++i) path += base::format("{:02x}", id[i]);
    paths.push_back(path + ".debug");
  }
  if (file != nullptr && link != nullptr && std::strchr(link, '/') == nullptr) {
    wanted.checksum = checksum;
    std::string directory = std::filesystem::path(file).parent_path().string();
    for (const std::string& path :
         {directory + "/.debug/" + link, "/usr/lib/debug" + directory + "/" + link, directory + "/" + link})
      if (path != file) paths.push_back(path);
  }
  for (const std::string& path : paths) {
    std::string why;
    int fd = open_debug_file(path, wanted, why);
    if (fd >= 0) *found = strdup(path.c_str());
    if (fd >= 0) return fd;
    if (!why.empty())
      add_note(base::format("{} is not the debug information of {}: {}; it is not used", path,
                            name != nullptr ? name : "its module", why));
  }
  return -1;
}

// The module that holds an address, .bss included, which libdwfl takes for no part of it, and its lowest loaded address; 0: none does.
struct loaded_module {
  std::uintptr_t start;
  std::string file;  // empty: the program
};
loaded_module module_of(std::uintptr_t address) {
  struct search {
    std::uintptr_t address;
    loaded_module found;
  } it{address, {0, {}}};
  base::each_module(
      [](dl_phdr_info* info, std::size_t, void* arg) {
        auto& s = *static_cast<search*>(arg);
        std::uintptr_t lowest = ~std::uintptr_t{0};
        bool holds = false;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& ph = info->dlpi_phdr[i];
          if (ph.p_type != PT_LOAD) continue;
          std::uintptr_t lo = info->dlpi_addr + ph.p_vaddr;
          lowest = std::min(lowest, lo);
          holds = holds || s.address - lo < ph.p_memsz;
        }
        if (holds) s.found = {lowest, info->dlpi_name};
        return holds ? 1 : 0;
      },
      &it);
  return it.found;
}

// libdwfl takes each mapped file for a module: also the memory that lies where one was unloaded, "/dev/zero", or a file that is read.
bool is_code(std::uintptr_t pc) {
  base::cfi::tables unused;
  std::pair<std::uintptr_t, base::cfi::tables&> question{pc, unused};
  return base::each_module(
             [](dl_phdr_info* info, std::size_t, void* arg) {
               auto& [at, tables] = *static_cast<std::pair<std::uintptr_t, base::cfi::tables&>*>(arg);
               return base::tables_at(*info, at, tables) ? 1 : 0;
             },
             &question) != 0;
}

thread_local std::int64_t learnt_ns = 0;

class symbols {
 public:
  const std::vector<source_line>& at(std::uintptr_t pc) {
    std::lock_guard guard(lock_);
    module_counters now = count_modules();
    if (dwfl_ != nullptr && now == modules_) {
      if (auto known = cache_.find(pc); known != cache_.end() && known->second != nullptr) return *known->second;
    }
    const std::int64_t began = base::thread_cpu_ns();
    if (dwfl_ == nullptr || now != modules_) report(now);
    auto& slot = cache_[pc];
    if (slot == nullptr) slot = std::make_unique<std::vector<source_line>>(look_up(pc));
    learnt_ns += base::thread_cpu_ns() - began;
    return *slot;
  }

  source_line physical_at(std::uintptr_t pc) {
    std::lock_guard guard(lock_);
    module_counters now = count_modules();
    if (dwfl_ == nullptr || now != modules_) report(now);
    auto known = cache_.find(pc);
    return known != cache_.end() && known->second != nullptr ? known->second->back() : look_up(pc).back();
  }

  std::vector<std::string> notes() {
    std::lock_guard guard(lock_);
    return {notes_.begin(), notes_.end()};
  }
  void add_note(std::string text) { notes_.insert(std::move(text)); }  // with the lock

  // By who knows that no other thread is here.
  bool in_use() {
    if (!lock_.try_lock()) return true;
    lock_.unlock();
    return false;
  }

  std::string object_at(std::uintptr_t address) {
    std::lock_guard guard(lock_);
    module_counters now = count_modules();
    if (dwfl_ == nullptr || now != modules_) report(now);
    Dwfl_Module* module = dwfl_ != nullptr ? dwfl_addrmodule(dwfl_, module_of(address).start) : nullptr;
    GElf_Off offset = 0;
    GElf_Sym symbol;
    const char* name =
        module == nullptr ? nullptr : dwfl_module_addrinfo(module, address, &offset, &symbol, nullptr, nullptr, nullptr);
    if (name == nullptr || offset >= symbol.st_size || GELF_ST_TYPE(symbol.st_info) != STT_OBJECT) return {};
    std::string text = limited(demangle(name));
    if (offset != 0) text += "+" + std::to_string(offset);
    return text;
  }

 private:
  static int removed(Dwfl_Module* module, void*, const char*, Dwarf_Addr, void* self) {
    static_cast<symbols*>(self)->indices_.erase(module);
    return 0;
  }

  void report(const module_counters& now) {
    static const Dwfl_Callbacks callbacks = {find_elf, find_debuginfo, nullptr, nullptr};
    if (dwfl_ == nullptr) {
      dwfl_ = dwfl_begin(&callbacks);
      if (dwfl_ == nullptr) return;
    } else {
      dwfl_report_begin(dwfl_);
    }
    dwfl_linux_proc_report(dwfl_, gettid());  // the main thread's files are empty once it has ended
    dwfl_report_end(dwfl_, removed, this);
    // A new module only gives names to what had none; one that went may have left its addresses to another.
    bool all = now.unloaded != modules_.unloaded;
    for (auto at = cache_.begin(); at != cache_.end();) {
      bool stale = all || at->second == nullptr || at->second->front().function.starts_with("unknown+");
      if (stale) retired_.push_back(std::move(at->second));
      at = stale ? cache_.erase(at) : std::next(at);
    }
    modules_ = now;
  }

  std::vector<source_line> look_up(std::uintptr_t pc) {
    std::vector<source_line> lines;
    Dwfl_Module* module = dwfl_ != nullptr ? dwfl_addrmodule(dwfl_, pc) : nullptr;
    if (module == nullptr || !is_code(pc)) {
      source_line line;
      line.function = base::format("unknown+{:#x}", pc);
      return {line};
    }
    auto& index = indices_[module];
    Dwarf_Addr bias = 0;
    Dwarf* dwarf = dwfl_module_getdwarf(module, &bias);
    if (index == nullptr) index = index_of(module, dwarf);
    index->lines_at(pc - bias, lines);
    if (lines.empty()) lines.push_back(symbol(module, pc));
    // The symbol table knows the mangled name of the physical function also where the DWARF does not.
    source_line& physical = lines.back();
    if (!physical.system_name.starts_with("_Z")) {
      source_line named = symbol(module, pc);
      if (physical.function.empty() || named.system_name.starts_with("_Z")) {
        physical.function = named.function;
        physical.system_name = named.system_name;
      }
    }
    for (auto& line : lines) line.function = line.function.empty() ? "{unnamed}" : limited(line.function);
    return lines;
  }

  static std::unique_ptr<dwarf_index> index_of(Dwfl_Module* module, Dwarf* dwarf) {
    std::vector<std::string> files;
    const char *own = nullptr, *separate = nullptr;
    dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr, nullptr, &own, &separate);
    for (const char* file : {own, separate})
      if (file != nullptr) files.emplace_back(file);
    if (dwarf != nullptr && !shared_part_is_regular(dwarf, files)) dwarf = nullptr;
    return std::make_unique<dwarf_index>(dwarf, std::move(files));
  }

  source_line symbol(Dwfl_Module* module, std::uintptr_t pc) {
    source_line line;
    GElf_Off offset = 0;
    GElf_Sym symbol;
    const char* name = dwfl_module_addrinfo(module, pc, &offset, &symbol, nullptr, nullptr, nullptr);
    // A symbol that ends before pc is a neighbour (a stripped library has only its exported ones).
    if (name != nullptr && (offset < symbol.st_size || (symbol.st_size == 0 && offset < 4096))) {
      line.system_name = name;
      line.function = function_name(demangle(name));
      line.offset = offset;
      return line;
    }
    Dwarf_Addr start = 0;
    const char* file = dwfl_module_info(module, nullptr, &start, nullptr, nullptr, nullptr, nullptr, nullptr);
    line.function =
        base::format("{}+{:#x}", file != nullptr ? std::filesystem::path(file).filename().string() : "unknown", pc - start);
    return line;
  }

  std::mutex lock_;
  Dwfl* dwfl_ = nullptr;
  module_counters modules_;
  std::unordered_map<Dwfl_Module*, std::unique_ptr<dwarf_index>> indices_;
  std::unordered_map<std::uintptr_t, std::unique_ptr<std::vector<source_line>>> cache_;
  std::vector<std::unique_ptr<std::vector<source_line>>> retired_;
  std::set<std::string> notes_;
};

// Never destroyed, as the answers are not.
symbols*& instance_pointer() {
  static auto* it = new symbols;
  return it;
}
symbols& instance() { return *instance_pointer(); }

void add_note(std::string text) { instance().add_note(std::move(text)); }

}  // namespace

void forget_symbols() {
  if (instance().in_use()) instance_pointer() = new symbols;
}

std::vector<std::string> symbol_notes() { return instance().notes(); }

std::string data_symbol(std::uintptr_t address) { return instance().object_at(address); }

std::string module_offset(std::uintptr_t address) {
  const loaded_module m = module_of(address);
  if (m.start == 0) return {};
  const std::string name = std::filesystem::path(m.file.empty() ? program_path() : m.file).filename().string();
  return name + "+" + base::format("{:#x}", address - m.start);
}

const std::vector<source_line>& symbolize(std::uintptr_t pc) { return instance().at(pc); }

std::int64_t time_spent_learning_ns() noexcept { return learnt_ns; }

source_line physical_line(std::uintptr_t pc) { return instance().physical_at(pc); }

}  // namespace stray::profile
