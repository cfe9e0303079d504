// Memory that is not in our page tables, files, and kernel objects that cannot be read. What can be read is read; what cannot makes the verdict
// likely, and is named; without the rule it is proven, and wrong.
#include <array>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <new>
#include <poll.h>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scene.hpp"

namespace {

using namespace ablation;

struct file {
  int fd;
  explicit file(int f) : fd(f) {
    if (fd >= 0 && ftruncate(fd, 4096) != 0) std::abort();
  }
  ~file() { close(fd); }
  void put(holder* h) const { EXPECT_EQ(pwrite(fd, &h, sizeof h, 64), static_cast<ssize_t>(sizeof h)); }
  holder* take() const {
    holder *h = nullptr, *none = nullptr;
    EXPECT_EQ(pread(fd, &h, sizeof h, 64), static_cast<ssize_t>(sizeof h));
    EXPECT_EQ(pwrite(fd, &none, sizeof none, 64), static_cast<ssize_t>(sizeof none));
    return h;
  }
  void* map(int protection, int flags) const { return mmap(nullptr, 4096, protection, flags, fd, 0); }
};
int temporary(bool deleted) {
  char path[] = "/tmp/stray-test-XXXXXX";
  int fd = mkstemp(path);
  if (deleted) unlink(path);
  return fd;
}

// A shared mapping that nobody has touched since the word was written through a descriptor.
TEST(files, shared_mapping_never_touched) {
  file f(memfd_create("a", 0));
  void* at = f.map(PROT_READ | PROT_WRITE, MAP_SHARED);
  expect_root_of_own_block(
      root::shared, [&](holder* h) { f.put(h); }, [&] { return f.take(); });
  munmap(at, 4096);
}
TEST(files, read_only_view_of_what_another_descriptor_writes) {
  file f(memfd_create("b", 0));
  int view = open(("/proc/self/fd/" + std::to_string(f.fd)).c_str(), O_RDONLY);
  void* at = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, view, 0);
  expect_root_of_own_block(
      root::shared, [&](holder* h) { f.put(h); }, [&] { return f.take(); });
  munmap(at, 4096);
  close(view);
}
TEST(files, anonymous_shared_memory_given_back) {
  auto** at = static_cast<holder**>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  expect_root_of_own_block(
      root::shared,
      [&](holder* h) {
        at[8] = h;
        madvise(at, 4096, MADV_DONTNEED);  // takes the page out of the page table, and loses nothing
      },
      [&] { return std::exchange(at[8], nullptr); });
  munmap(at, 4096);
}
TEST(files, private_mapping_that_nobody_has_written_to) {
  file f(memfd_create("c", 0));
  int read_only = open(("/proc/self/fd/" + std::to_string(f.fd)).c_str(), O_RDONLY);
  void* at = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, read_only, 0);
  expect_root_of_own_block(
      root::files, [&](holder* h) { f.put(h); }, [&] { return f.take(); });
  munmap(at, 4096);
  close(read_only);
}
TEST(files, private_mapping_of_a_file_closed_since) {
  char path[] = "/tmp/stray-test-XXXXXX";
  int fd = mkstemp(path);
  ASSERT_EQ(ftruncate(fd, 4096), 0);
  close(fd);
  auto** at = static_cast<holder**>(nullptr);
  expect_root_of_own_block(
      root::files,
      [&](holder* h) {
        int out = open(path, O_WRONLY);
        EXPECT_EQ(pwrite(out, &h, sizeof h, 64), static_cast<ssize_t>(sizeof h));
        close(out);
        int in = open(path, O_RDONLY);
        at = static_cast<holder**>(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, in, 0));
        close(in);
      },
      [&] {
        holder* h = at[8];
        munmap(at, 4096);
        return h;
      });
  unlink(path);
}
TEST(files, contents_of_a_memfd) {
  file f(memfd_create("d", 0));
  expect_root_of_own_block(
      root::files, [&](holder* h) { f.put(h); }, [&] { return f.take(); });
}
TEST(files, memfd_that_is_too_large_to_read) {
  file f(memfd_create("e", 0));
  ASSERT_EQ(ftruncate(f.fd, 64 << 20), 0);
  expect_likely(
      root::out_of_sight, [&](holder* h) { f.put(h); }, [&] { return f.take(); }, "a memfd");
}
TEST(files, deleted_file_open_for_writing) {
  file f(temporary(true));
  expect_likely(
      root::out_of_sight, [&](holder* h) { f.put(h); }, [&] { return f.take(); }, "a deleted file");
}
// Until the page is on disk only; the kernel may keep it for a moment.
bool drop_page(int fd, void* at) {
  for (int i = 0; i < 200; i++) {
    msync(at, 4096, MS_SYNC);
    madvise(at, 4096, 21 /* MADV_PAGEOUT */);
    posix_fadvise(fd, 0, 4096, POSIX_FADV_DONTNEED);
    unsigned char in_memory = 0;
    mincore(at, 4096, &in_memory);
    if ((in_memory & 1) == 0) return true;
    usleep(5000);
  }
  return false;
}
TEST(files, shared_mapping_under_memory_pressure) {
  file f(temporary(false));
  auto** at = static_cast<holder**>(f.map(PROT_READ | PROT_WRITE, MAP_SHARED));
  auto put = [&](holder* h) {
    at[8] = h;
    EXPECT_TRUE(drop_page(f.fd, at));
  };
  if (!drop_page(f.fd, at)) GTEST_SKIP() << "the kernel keeps the page (a file system in memory?)";
  expect_likely(
      root::out_of_sight, put, [&] { return std::exchange(at[8], nullptr); }, "a shared mapping");
  munmap(at, 4096);
}
// An embedded primitive there: no pointer is needed at all.
TEST(files, primitive_in_a_page_that_is_not_in_memory) {
  file f(temporary(false));
  void* at = f.map(PROT_READ | PROT_WRITE, MAP_SHARED);
  auto* free = new (at) stray::semaphore(0);
  stray::go([free] { free->acquire(); });
  stray::testing::until_parked(1);
  clear_dead_stack();
  if (drop_page(f.fd, at)) {
    EXPECT_EQ(verdict(), tier::likely);
    EXPECT_EQ(verdict(bit(root::out_of_sight)), tier::proven);
  }
  free->release();
  until_all_ended();
  munmap(at, 4096);
}

// --- kernel objects -------------------------------------------------------------------------------------------------------------------

TEST(kernel_objects, linux_aio_in_flight) {
  aio_context_t io = 0;
  int ends[2];
  if (syscall(SYS_io_setup, 8, &io) != 0) GTEST_SKIP() << "no AIO here";
  ASSERT_EQ(pipe(ends), 0);
  expect_likely(
      root::out_of_sight,
      [&](holder* h) {
        iocb entry{};
        iocb* list[1] = {&entry};
        entry.aio_fildes = static_cast<unsigned>(ends[0]);
        entry.aio_lio_opcode = IOCB_CMD_POLL;
        entry.aio_buf = POLLIN;
        entry.aio_data = reinterpret_cast<std::uintptr_t>(h);
        EXPECT_EQ(syscall(SYS_io_submit, io, 1, list), 1);
        entry = {};
        asm volatile("" : : "r"(&entry) : "memory");
      },
      [&] {
        io_event event{};
        EXPECT_EQ(write(ends[1], "x", 1), 1);
        EXPECT_EQ(syscall(SYS_io_getevents, io, 1, 1, &event, nullptr), 1);
        return reinterpret_cast<holder*>(event.data);
      },
      "AIO");
  syscall(SYS_io_destroy, io);
  for (int fd : ends) close(fd);
}

struct uring {
  io_uring_params p{};
  int fd = static_cast<int>(syscall(SYS_io_uring_setup, 4, &p));
  char* queues = nullptr;
  io_uring_sqe* entry = nullptr;
  bool usable() const { return fd >= 0 && (p.features & IORING_FEAT_SINGLE_MMAP) != 0; }
  void map() {
    auto one = [&](std::size_t bytes, unsigned long what) {
      return static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(what)));
    };
    queues = one(queue_bytes(), IORING_OFF_SQ_RING);
    entry = reinterpret_cast<io_uring_sqe*>(one(entry_bytes(), IORING_OFF_SQES));
  }
  std::size_t queue_bytes() const { return p.cq_off.cqes + p.cq_entries * sizeof(io_uring_cqe); }
  std::size_t entry_bytes() const { return p.sq_entries * sizeof(io_uring_sqe); }
  unsigned& word(unsigned offset) const { return *reinterpret_cast<unsigned*>(queues + offset); }
  ~uring() {
    if (queues != nullptr) munmap(queues, queue_bytes());
    if (entry != nullptr) munmap(entry, entry_bytes());
    close(fd);
  }
};

// An entry that the kernel has taken from the ring and not yet completed.
TEST(kernel_objects, io_uring_in_flight) {
  uring ring;
  if (!ring.usable()) GTEST_SKIP() << "no io_uring here";
  ring.map();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  expect_likely(
      root::out_of_sight,
      [&](holder* h) {
        *ring.entry = {};
        ring.entry->opcode = IORING_OP_POLL_ADD;
        ring.entry->fd = ends[0];
        ring.entry->poll_events = POLLIN;
        ring.entry->user_data = reinterpret_cast<std::uintptr_t>(h);
        ring.word(ring.p.sq_off.array + 4 * (ring.word(ring.p.sq_off.tail) & ring.word(ring.p.sq_off.ring_mask))) = 0;
        std::atomic_ref(ring.word(ring.p.sq_off.tail)).fetch_add(1);
        EXPECT_EQ(syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, nullptr, 0), 1);
        *ring.entry = {};
      },
      [&] {
        char byte = 'x';
        EXPECT_EQ(write(ends[1], &byte, 1), 1);
        EXPECT_EQ(syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, nullptr, 0), 0);
        EXPECT_EQ(read(ends[0], &byte, 1), 1);
        unsigned head = ring.word(ring.p.cq_off.head) & ring.word(ring.p.cq_off.ring_mask);
        auto* done = reinterpret_cast<io_uring_cqe*>(ring.queues + ring.p.cq_off.cqes) + head;
        auto* h = reinterpret_cast<holder*>(std::exchange(done->user_data, 0));
        std::atomic_ref(ring.word(ring.p.cq_off.head)).fetch_add(1);
        return h;
      },
      "io_uring that was used");
  for (int fd : ends) close(fd);
}

// Nothing can be hidden there yet: a leak is proven.
TEST(kernel_objects, io_uring_that_was_never_used_is_no_doubt) {
  uring ring;
  if (!ring.usable()) GTEST_SKIP() << "no io_uring here";
  ring.map();
  expect_proven_of_own_block(hand, unmask);
}

TEST(kernel_objects, message_queue) {
  mq_attr shape{};
  shape.mq_maxmsg = 2;
  shape.mq_msgsize = sizeof(holder*);
  std::string name = "/stray-test-" + std::to_string(getpid());
  mqd_t queue = mq_open(name.c_str(), O_RDWR | O_CREAT, 0600, &shape);
  if (queue == static_cast<mqd_t>(-1)) GTEST_SKIP() << "no message queues here";
  expect_likely(
      root::out_of_sight, [&](holder* h) { EXPECT_EQ(mq_send(queue, reinterpret_cast<const char*>(&h), sizeof h, 0), 0); },
      [&] {
        holder* h = nullptr;
        EXPECT_GT(mq_receive(queue, reinterpret_cast<char*>(&h), sizeof h, nullptr), 0);
        return h;
      },
      "message queue");
  mq_unlink(name.c_str());
  mq_close(queue);
}

TEST(kernel_objects, pseudoterminal_master) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) GTEST_SKIP() << "no pseudoterminals here";
  int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  ASSERT_GE(slave, 0);
  // What is typed and not yet read: the kernel's line discipline has it.
  expect_likely(
      root::out_of_sight,
      [&](holder* h) {
        std::array<char, 17> line{};
        for (std::size_t i = 0; i < 16; i++)
          line[i] = "0123456789abcdef"[reinterpret_cast<std::uintptr_t>(h) >> (60 - 4 * i) & 15];
        line[16] = '\n';
        EXPECT_EQ(write(master, line.data(), line.size()), static_cast<ssize_t>(line.size()));
      },
      [&] {
        char line[32] = {};
        EXPECT_GT(read(slave, line, sizeof line - 1), 0);
        return reinterpret_cast<holder*>(std::stoull(line, nullptr, 16));
      },
      "pseudoterminal");
  close(slave);
  close(master);
}

// A waiter that no handle could wake, wherever a pointer were hidden, is proven beside any doubt; and so is a cycle of locks.
TEST(kernel_objects, who_cannot_be_woken_by_any_pointer_is_proven_all_the_same) {
  file f(temporary(true));
  f.put(nullptr);
  auto sender = stray::make_chan<int>();
  stray::go([rx = stray::recv_chan<int>(sender)] { rx.recv(); });
  sender = {};
  stray::testing::until_parked(1);
  clear_dead_stack();
  EXPECT_EQ(verdict(), tier::proven);
}

}  // namespace
