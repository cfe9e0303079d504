// Places in memory: blocks, variables, mappings, records without alignment, containers.
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <list>
#include <map>
#include <memory_resource>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "places.hpp"

namespace truth {

namespace {

// Words: where one of them is, `at` says.
template <class Cell>
struct in_cell : place {
  Cell cell;
  void put(void* p) override { *cell.at() = p; }
  void* take() override { return std::exchange(*cell.at(), nullptr); }
};

struct heap_cell {
  void** word = static_cast<void**>(std::calloc(1, sizeof(void*)));
  void** at() { return word; }
  ~heap_cell() { std::free(word); }
};
struct large_block_cell {
  char* block = static_cast<char*>(std::calloc(1, 400'000));
  void** at() { return reinterpret_cast<void**>(block + 200'008); }
  ~large_block_cell() { std::free(block); }
};
struct pool_cell {  // somewhere inside a block carved into records, found by a pointer to the record alone
  void** word = static_cast<void**>(std::calloc(64, 32)) + 61;
  void** at() { return word; }
};

constexpr int slots = 64;
std::atomic<int> next_slot{0};
[[gnu::section(".data")]] void* data_slots[slots] = {nullptr};
void* bss_slots[slots];
struct data_cell {
  int n = next_slot++ % slots;
  void** at() { return &data_slots[n]; }
};
struct bss_cell {
  int n = next_slot++ % slots;
  void** at() { return &bss_slots[n]; }
};

constexpr std::size_t page = 4096;
char* map(int flags, int fd = -1) {
  return static_cast<char*>(mmap(nullptr, page, PROT_READ | PROT_WRITE, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0));
}
template <int Flags, int Advice>
struct mapped_cell {
  char* base = map(Flags);
  mapped_cell() {
    if (Advice >= 0) madvise(base, page, Advice);
  }
  void** at() { return reinterpret_cast<void**>(base + 64); }
  ~mapped_cell() { munmap(base, page); }
};
struct memfd_cell {
  int fd = memfd_create("truth", 0);
  char* base = ftruncate(fd, page) == 0 ? map(MAP_SHARED, fd) : nullptr;
  void** at() { return reinterpret_cast<void**>(base + 64); }
  ~memfd_cell() {
    munmap(base, page);
    close(fd);
  }
};

// Protected while it holds something.
template <int Protection>
struct protected_page : place {
  char* base = map(MAP_PRIVATE);
  void put(void* p) override {
    reinterpret_cast<void**>(base)[9] = p;
    mprotect(base, page, Protection);
  }
  void* take() override {
    mprotect(base, page, PROT_READ | PROT_WRITE);
    return std::exchange(reinterpret_cast<void**>(base)[9], nullptr);
  }
  ~protected_page() override { munmap(base, page); }
};

// Shared memory whose page tables have lost it; its bytes are still there.
struct shared_not_present : place {
  char* base = map(MAP_SHARED);
  void put(void* p) override {
    reinterpret_cast<void**>(base)[9] = p;
    madvise(base, page, MADV_DONTNEED);
  }
  void* take() override { return std::exchange(reinterpret_cast<void**>(base)[9], nullptr); }
  ~shared_not_present() override { munmap(base, page); }
};
// The same by the kernel's own hand, as when memory is short.
struct shared_paged_out : place {
  char* base = nullptr;
  shared_paged_out() {
    char path[] = "/var/tmp/stray-truth-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    if (ftruncate(fd, page) == 0) base = map(MAP_SHARED, fd);
    close(fd);
  }
  void put(void* p) override {
    reinterpret_cast<void**>(base)[9] = p;
    msync(base, page, MS_SYNC);
    madvise(base, page, MADV_PAGEOUT);
  }
  void* take() override { return std::exchange(reinterpret_cast<void**>(base)[9], nullptr); }
  ~shared_paged_out() override { munmap(base, page); }
};
// Written through a descriptor, read through a mapping that can never be written.
struct shared_view : place {
  int fd = memfd_create("truth", 0);
  const char* view = nullptr;
  shared_view() {
    if (ftruncate(fd, page) != 0) std::abort();
    int read_only = open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY);
    view = static_cast<const char*>(mmap(nullptr, page, PROT_READ, MAP_SHARED, read_only, 0));
    close(read_only);
  }
  void put(void* p) override {
    if (pwrite(fd, &p, sizeof p, 64) != sizeof p) std::abort();
  }
  void* take() override {
    void* p = *reinterpret_cast<void* const*>(view + 64);
    void* nothing = nullptr;
    if (pwrite(fd, &nothing, sizeof p, 64) != sizeof p) std::abort();
    return p;
  }
  ~shared_view() override {
    munmap(const_cast<char*>(view), page);
    close(fd);
  }
};

// --- without alignment ---
#pragma pack(push, 1)
struct record {
  unsigned char op;
  void* from;
  unsigned short length;
};
#pragma pack(pop)
static_assert(sizeof(record) == 11);

template <class Ring>
struct packed_ring : place {  // each time another record, and so another offset
  Ring ring;
  unsigned head = 0;
  void put(void* p) override { ring.at()[++head % 16] = {1, p, 2}; }
  void* take() override { return std::exchange(ring.at()[head % 16].from, nullptr); }
};
struct heap_ring {
  record* records = static_cast<record*>(std::calloc(16, sizeof(record)));
  record* at() { return records; }
  ~heap_ring() { std::free(records); }
};
record rings[slots][16];
struct global_ring {
  int n = next_slot++ % slots;
  record* at() { return rings[n]; }
};
struct shared_ring {
  char* base = map(MAP_SHARED);
  record* at() { return reinterpret_cast<record*>(base); }
  ~shared_ring() { munmap(base, page); }
};

// The immediate of an instruction, as thunks made at run time have it.
struct code_thunk : place {
  char* base = map(MAP_PRIVATE);
  void put(void* p) override {
    mprotect(base, page, PROT_READ | PROT_WRITE);
    base[0] = 0x48;
    base[1] = static_cast<char>(0xb8);
    std::memcpy(base + 2, &p, sizeof p);  // mov $p, %rax; ret
    base[10] = static_cast<char>(0xc3);
    mprotect(base, page, PROT_READ | PROT_EXEC);
  }
  void* take() override {
    void* p = reinterpret_cast<void* (*)()>(base)();
    mprotect(base, page, PROT_READ | PROT_WRITE);
    std::memset(base, 0, 16);
    return p;
  }
  ~code_thunk() override { munmap(base, page); }
};

// --- containers ---
struct in_list : place {
  std::list<void*> list{nullptr, nullptr};
  void put(void* p) override { list.push_back(p); }
  void* take() override {
    void* p = list.back();
    list.back() = nullptr;
    list.pop_back();
    return p;
  }
};
struct in_map : place {
  std::map<int, void*> map{{1, nullptr}, {3, nullptr}};
  void put(void* p) override { map[2] = p; }
  void* take() override {
    void* p = std::exchange(map[2], nullptr);
    map.erase(2);
    return p;
  }
};
struct in_pmr : place {
  std::pmr::monotonic_buffer_resource buffer;
  std::pmr::vector<void*> all{&buffer};
  void put(void* p) override {
    if (all.size() > 200) all = std::pmr::vector<void*>(&buffer);
    for (int i = 0; i < 9; i++) all.push_back(nullptr);
    all.push_back(p);
  }
  void* take() override { return std::exchange(all.back(), nullptr); }
};
// A block that is reached by a pointer to its middle.
struct in_middle : place {
  struct big {
    void* words[40] = {};
  };
  void** middle = (new big)->words + 20;
  void put(void* p) override { middle[7] = p; }
  void* take() override { return std::exchange(middle[7], nullptr); }
  ~in_middle() override { delete reinterpret_cast<big*>(middle - 20); }
};

}  // namespace

void add_memory_places(std::vector<place_kind>& to) {
  to.push_back(kind_of<in_cell<heap_cell>>("heap.block"));
  to.push_back(kind_of<in_cell<large_block_cell>>("heap.large"));
  to.push_back(kind_of<in_cell<pool_cell>>("heap.pool"));
  to.push_back(kind_of<in_middle>("heap.middle"));
  to.push_back(kind_of<in_cell<data_cell>>("data"));
  to.push_back(kind_of<in_cell<bss_cell>>("bss"));
  to.push_back(kind_of<in_cell<mapped_cell<MAP_PRIVATE, -1>>>("private.plain"));
  to.push_back(kind_of<protected_page<PROT_READ>>("private.read"));
  to.push_back(kind_of<protected_page<PROT_NONE>>("private.none"));
  to.push_back(kind_of<in_cell<mapped_cell<MAP_PRIVATE, MADV_DONTFORK>>>("private.dontfork"));
  to.push_back(kind_of<in_cell<mapped_cell<MAP_PRIVATE, MADV_WIPEONFORK>>>("private.wipeonfork"));
  to.push_back(kind_of<in_cell<mapped_cell<MAP_SHARED, -1>>>("shared.plain"));
  to.push_back(kind_of<in_cell<memfd_cell>>("shared.memfd"));
  to.push_back(kind_of<shared_not_present>("shared.not_present"));
  to.push_back(kind_of<shared_paged_out>("shared.paged_out"));
  to.push_back(kind_of<shared_view>("shared.view"));
  to.push_back(kind_of<packed_ring<heap_ring>>("packed.heap"));
  to.push_back(kind_of<packed_ring<global_ring>>("packed.data"));
  to.push_back(kind_of<packed_ring<shared_ring>>("packed.shared"));
  to.push_back(kind_of<code_thunk>("packed.code"));
  to.push_back(kind_of<in_list>("std.list"));
  to.push_back(kind_of<in_map>("std.map"));
  to.push_back(kind_of<in_pmr>("std.pmr"));
}

}  // namespace truth
