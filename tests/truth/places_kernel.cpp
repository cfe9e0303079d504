// Places in the kernel: those that the detector reads, and those that docs/guarantees.md names as open.
#include <arpa/inet.h>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "places.hpp"

namespace truth {

namespace {

void must(bool done) {
  if (!done) std::abort();
}

template <class Open>
struct in_stream : place {  // written to one descriptor, read from the other
  int in = -1, out = -1;
  in_stream() { Open()(in, out); }
  void put(void* p) override { must(write(in, &p, sizeof p) == sizeof p); }
  void* take() override {
    void* p = nullptr;
    must(read(out, &p, sizeof p) == sizeof p);
    return p;
  }
  ~in_stream() override {
    close(in);
    close(out);
  }
};
struct open_pipe {
  void operator()(int& in, int& out) const {
    int ends[2];
    must(pipe2(ends, O_CLOEXEC) == 0);
    in = ends[1];
    out = ends[0];
  }
};
template <int Type>
struct open_pair {
  void operator()(int& in, int& out) const {
    int ends[2];
    must(socketpair(AF_UNIX, Type | SOCK_CLOEXEC, 0, ends) == 0);
    in = ends[0];
    out = ends[1];
  }
};
struct open_tcp {
  void operator()(int& in, int& out) const {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    must(bind(listener, reinterpret_cast<sockaddr*>(&at), size) == 0 && listen(listener, 1) == 0);
    getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
    in = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(in, reinterpret_cast<sockaddr*>(&at), size) == 0);
    out = accept(listener, nullptr, nullptr);
    close(listener);
  }
};

// In the data of an entry; then in what epoll_wait filled, whose records have no alignment.
template <bool Ready>
struct in_epoll : place {
  int ep = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(1, EFD_CLOEXEC);
  epoll_event* events = static_cast<epoll_event*>(std::calloc(4, sizeof(epoll_event)));
  void fetch() {
    must(epoll_wait(ep, events, 4, -1) == 1);
    epoll_ctl(ep, EPOLL_CTL_DEL, fd, nullptr);
  }
  void put(void* p) override {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.ptr = p;
    must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0);
    if (Ready) fetch();
  }
  void* take() override {
    if (!Ready) fetch();
    void* p = events[0].data.ptr;
    events[0] = {};
    return p;
  }
  ~in_epoll() override {
    close(ep);
    close(fd);
    std::free(events);
  }
};

// The value of a POSIX timer, delivered as a signal's to a handler of ours.
struct in_posix_timer : place {
  static inline std::atomic<agent*> receiver{nullptr};
  agent at;
  timer_t timer{};
  static void received(int, siginfo_t* info, void*) {
    agent* to = receiver.load();
    to->cell = info->si_value.sival_ptr;
    to->phase = 3;
  }
  void put(void* p) override {
    at.phase = 0;
    struct sigaction a {};
    a.sa_sigaction = received;
    a.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGRTMIN + 8, &a, nullptr);
    sigevent e{};
    e.sigev_notify = SIGEV_SIGNAL;
    e.sigev_signo = SIGRTMIN + 8;
    e.sigev_value.sival_ptr = p;
    must(timer_create(CLOCK_MONOTONIC, &e, &timer) == 0);
  }
  void* take() override {
    agent* nobody = nullptr;
    while (!receiver.compare_exchange_weak(nobody, &at)) {
      nobody = nullptr;
      stray::yield();
    }
    itimerspec soon{};
    soon.it_value.tv_nsec = 1;
    timer_settime(timer, 0, &soon, nullptr);
    void* p = at.taken_back();
    receiver = nullptr;
    timer_delete(timer);
    return p;
  }
};

// --- open ----------------------------------------------------------------------------------------------------------------------------
struct in_xor : place {
  std::uintptr_t masked = 0;
  static constexpr std::uintptr_t key = 0x5a5a'5a5a'5a5a'5a5a;
  void put(void* p) override { masked = reinterpret_cast<std::uintptr_t>(p) ^ key; }
  void* take() override { return reinterpret_cast<void*>(std::exchange(masked, 0) ^ key); }
};
struct in_queue : place {
  mqd_t queue;
  in_queue() {
    mq_attr shape{};
    shape.mq_maxmsg = 2;
    shape.mq_msgsize = sizeof(void*);
    std::string name = "/stray-truth-" + std::to_string(getpid());
    queue = mq_open(name.c_str(), O_RDWR | O_CREAT, 0600, &shape);
    mq_unlink(name.c_str());
  }
  void put(void* p) override { must(mq_send(queue, reinterpret_cast<const char*>(&p), sizeof p, 0) == 0); }
  void* take() override {
    void* p = nullptr;
    must(mq_receive(queue, reinterpret_cast<char*>(&p), sizeof p, nullptr) == sizeof p);
    return p;
  }
  ~in_queue() override { mq_close(queue); }
};
struct in_file : place {
  int fd = memfd_create("truth", MFD_CLOEXEC);
  void put(void* p) override { must(pwrite(fd, &p, sizeof p, 0) == sizeof p); }
  void* take() override {
    void *p = nullptr, *nothing = nullptr;
    must(pread(fd, &p, sizeof p, 0) == sizeof p && pwrite(fd, &nothing, sizeof p, 0) == sizeof p);
    return p;
  }
  ~in_file() override { close(fd); }
};
// Of a file, through a private mapping that nobody has written to.
struct in_unwritten_view : place {
  int fd = memfd_create("truth", MFD_CLOEXEC);
  void** view = nullptr;
  in_unwritten_view() {
    must(ftruncate(fd, 4096) == 0);
    view = static_cast<void**>(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
  }
  void put(void* p) override { must(pwrite(fd, &p, sizeof p, 0) == sizeof p); }
  void* take() override {
    void *p = view[0], *nothing = nullptr;
    must(pwrite(fd, &nothing, sizeof p, 0) == sizeof p);
    return p;
  }
  ~in_unwritten_view() override {
    munmap(view, 4096);
    close(fd);
  }
};
struct in_aio : place {
  aio_context_t io = 0;
  int ends[2];
  in_aio() { must(syscall(SYS_io_setup, 8, &io) == 0 && pipe(ends) == 0); }
  void put(void* p) override {
    iocb cb{};
    iocb* list[1] = {&cb};
    cb.aio_fildes = static_cast<unsigned>(ends[0]);
    cb.aio_lio_opcode = IOCB_CMD_POLL;
    cb.aio_buf = POLLIN;
    cb.aio_data = reinterpret_cast<std::uintptr_t>(p);
    must(syscall(SYS_io_submit, io, 1, list) == 1);
  }
  void* take() override {
    char byte = 'x';
    must(write(ends[1], &byte, 1) == 1);
    io_event e{};
    must(syscall(SYS_io_getevents, io, 1, 1, &e, nullptr) == 1);
    must(read(ends[0], &byte, 1) == 1);
    return reinterpret_cast<void*>(e.data);
  }
  ~in_aio() override {
    syscall(SYS_io_destroy, io);
    for (int fd : ends) close(fd);
  }
};

}  // namespace

void add_kernel_places(std::vector<place_kind>& to) {
  to.push_back(kind_of<in_stream<open_pipe>>("kernel.pipe"));
  to.push_back(kind_of<in_stream<open_pair<SOCK_STREAM>>>("kernel.unix_stream"));
  to.push_back(kind_of<in_stream<open_pair<SOCK_DGRAM>>>("kernel.unix_datagram"));
  to.push_back(kind_of<in_epoll<false>>("kernel.epoll"));
  to.push_back(kind_of<in_posix_timer>("kernel.posix_timer"));
  to.push_back(kind_of<in_epoll<true>>("packed.epoll"));
}

void add_open_places(std::vector<place_kind>& to) {
  to.push_back(kind_of<in_xor>("open.xor", true));
  to.push_back(kind_of<in_stream<open_tcp>>("open.tcp", true));
  place_kind queue = kind_of<in_queue>("open.message_queue", true);
  queue.here = [] {
    mqd_t q = mq_open("/stray-truth", O_RDWR | O_CREAT, 0600, nullptr);
    if (q == static_cast<mqd_t>(-1)) return false;
    mq_close(q);
    return mq_unlink("/stray-truth") == 0;
  };
  to.push_back(queue);
  to.push_back(kind_of<in_file>("open.file", true));
  to.push_back(kind_of<in_unwritten_view>("open.unwritten_view", true));
  to.push_back(kind_of<in_aio>("open.aio", true));
}

}  // namespace truth
