// Places of OS threads: registers, red zone, TLS, frames, and frames of signal handlers.
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "lives.hpp"
#include "places.hpp"

namespace truth {

namespace {

// From the cell into the place, phase 1, until phase 2, back into the cell. LOAD and STORE move between the cell at %rdi and the place.
#define HOLD_IN(LOAD, STORE, ...)                                                                                      \
  asm volatile(LOAD "\n\tmovq $0, (%%rdi)\n\tmovl $1, (%%rsi)\n1:\tpause\n\tcmpl $2, (%%rsi)\n\tjne 1b\n\t" STORE "\n" \
               :                                                                                                       \
               : "D"(&a.cell), "S"(&a.phase)                                                                           \
               : "memory", "cc", __VA_ARGS__)

void hold_rbx(agent& a) { HOLD_IN("movq (%%rdi), %%rbx", "movq %%rbx, (%%rdi)\n\txorl %%ebx, %%ebx", "rbx"); }
void hold_r14(agent& a) { HOLD_IN("movq (%%rdi), %%r14", "movq %%r14, (%%rdi)\n\txorl %%r14d, %%r14d", "r14"); }
void hold_rdx(agent& a) { HOLD_IN("movq (%%rdi), %%rdx", "movq %%rdx, (%%rdi)\n\txorl %%edx, %%edx", "rdx"); }
void hold_r9(agent& a) { HOLD_IN("movq (%%rdi), %%r9", "movq %%r9, (%%rdi)\n\txorl %%r9d, %%r9d", "r9"); }
void hold_xmm9(agent& a) { HOLD_IN("movq (%%rdi), %%xmm9", "movq %%xmm9, (%%rdi)\n\tpxor %%xmm9, %%xmm9", "xmm9"); }
void hold_xmm3_high(agent& a) {
  HOLD_IN("pxor %%xmm3, %%xmm3\n\tmovhps (%%rdi), %%xmm3", "movhps %%xmm3, (%%rdi)\n\tpxor %%xmm3, %%xmm3", "xmm3");
}
void hold_ymm7_high(agent& a) {
  HOLD_IN("vmovq (%%rdi), %%xmm7\n\tvperm2i128 $0x08, %%ymm7, %%ymm7, %%ymm7",
          "vextracti128 $1, %%ymm7, %%xmm7\n\tvmovq %%xmm7, (%%rdi)\n\tvpxor %%xmm7, %%xmm7, %%xmm7\n\tvzeroupper", "xmm7");
}
void hold_zmm20(agent& a) {
  HOLD_IN("vmovq (%%rdi), %%xmm20", "vmovq %%xmm20, (%%rdi)\n\tvpxorq %%xmm20, %%xmm20, %%xmm20", "memory");
}
void hold_k3(agent& a) { HOLD_IN("kmovq (%%rdi), %%k3", "kmovq %%k3, (%%rdi)\n\tkxorq %%k3, %%k3, %%k3", "memory"); }
void hold_mm3(agent& a) { HOLD_IN("movq (%%rdi), %%mm3", "movq %%mm3, (%%rdi)\n\tpxor %%mm3, %%mm3\n\temms", "memory"); }
void hold_red_zone(agent& a) {
  HOLD_IN("movq (%%rdi), %%rax\n\tmovq %%rax, -64(%%rsp)\n\txorl %%eax, %%eax",
          "movq -64(%%rsp), %%rax\n\tmovq %%rax, (%%rdi)\n\tmovq $0, -64(%%rsp)\n\txorl %%eax, %%eax", "rax");
}
#undef HOLD_IN

bool has_avx2() { return __builtin_cpu_supports("avx2"); }
bool has_avx512() { return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"); }

template <void (*Hold)(agent&)>
place_kind register_of(const char* name, bool (*here)() = nullptr) {
  place_kind k = kind_of<in_thread<Hold>>(name);
  k.here = here;
  return k;
}

// In a frame or a variable, while `wait` runs.
void spin(agent& a) {
  while (a.phase.load() != 2) __builtin_ia32_pause();
}
void sleep(agent& a) {
  while (a.phase.load() != 2) usleep(300);
}
void poll_nothing(agent& a) {
  while (a.phase.load() != 2) poll(nullptr, 0, 1);
}
void sleep_in_stray(agent& a) {
  while (a.phase.load() != 2) stray::sleep_for(std::chrono::microseconds(300));
}
void ask(agent& a) {
  while (a.phase.load() != 2) check(stray::leak::find(), "the thread with the pointer");
}

thread_local void* volatile tls_slot;
template <void (*Wait)(agent&)>
void hold_tls(agent& a) {
  tls_slot = a.cell.exchange(nullptr);
  scrub();
  a.phase = 1;
  Wait(a);
  a.cell = tls_slot;
  tls_slot = nullptr;
}
template <void (*Wait)(agent&)>
void hold_frame(agent& a) {
  void* volatile slot = a.cell.exchange(nullptr);
  scrub();
  a.phase = 1;
  Wait(a);
  a.cell = slot;
  slot = nullptr;
}
#pragma pack(push, 1)
struct record {
  char op[3];
  void* volatile from;
};
#pragma pack(pop)
template <void (*Wait)(agent&)>
void hold_packed_frame(agent& a) {
  alignas(8) record slot{{1, 2, 3}, a.cell.exchange(nullptr)};
  scrub();
  a.phase = 1;
  Wait(a);
  a.cell = slot.from;
  slot.from = nullptr;
}
// Blocked in a primitive, by a channel of the caller's, who is alive.
class parked_thread : public place {
 public:
  void put(void* p) override {
    agent_.give(p);
    gate_ = stray::make_chan<int>(1);
    thread_ = std::thread([this, rx = stray::recv_chan<int>(gate_)] {
      void* volatile slot = agent_.cell.exchange(nullptr);
      scrub();
      agent_.phase = 1;
      rx.recv();
      agent_.cell = slot;
      slot = nullptr;
      agent_.phase = 3;
    });
    agent_.until(1);
  }
  void* take() override {
    gate_.send(1);
    void* p = agent_.taken_back();
    thread_.join();
    return p;
  }

 private:
  agent agent_;
  stray::chan<int> gate_;
  std::thread thread_;
};

// --- handlers ------------------------------------------------------------------------------------------------------------------------
// A thread waits in something; a handler on it has the pointer.
thread_local agent* handled;
void handler_in_frame(int) { hold_frame<spin>(*handled); }
void handler_in_register(int) { hold_rdx(*handled); }
void install() {
  static const bool once = [] {
    struct sigaction a {};
    a.sa_flags = SA_RESTART;
    a.sa_handler = handler_in_frame;
    sigaction(SIGUSR1, &a, nullptr);
    a.sa_handler = handler_in_register;
    sigaction(SIGUSR2, &a, nullptr);
    a.sa_flags = SA_RESTART | SA_ONSTACK;
    sigaction(SIGRTMIN + 9, &a, nullptr);
    return true;
  }();
  static_cast<void>(once);
}

enum class waits_in { live, other, sleep, find, usleep };
template <waits_in In, bool Alternate = false>
class in_handler : public place {
 public:
  void put(void* p) override {
    install();
    agent_.give(p);
    over_ = false;
    ready_ = false;
    gate_ = stray::make_chan<int>(1);
    // In::other: the thread lives only if what is in its handler does. Who is to be woken refers to the thread's own semaphore.
    thread_ = std::thread([this] { wait(); });
    while (!ready_) stray::yield();
    if (In == waits_in::other) object_of(p)->sitter = mine_.exchange(nullptr);
    usleep(200);
    constexpr int in_frame = SIGUSR1, in_register = SIGUSR2;
    int number = Alternate ? SIGRTMIN + 9 : agent_count_++ % 2 == 0 ? in_frame : in_register;
    pthread_kill(thread_.native_handle(), number);
    agent_.until(1);
  }
  void* take() override {
    agent_.phase = 2;
    while (agent_.cell.load() == nullptr) stray::yield();
    void* p = agent_.cell.exchange(nullptr);
    over_ = true;
    gate_.send(1);
    if (In == waits_in::other) std::exchange(object_of(p)->sitter, nullptr)->release();
    thread_.join();
    return p;
  }

 private:
  void wait() {
    handled = &agent_;
    sigset_t ours;  // a thread that a goroutine starts inherits its worker's mask
    sigemptyset(&ours);
    for (int n : {SIGUSR1, SIGUSR2, SIGRTMIN + 9}) sigaddset(&ours, n);
    pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
    alignas(16) char room[Alternate ? 32768 : 16];
    stack_t alternate{};
    if (Alternate) {
      alternate.ss_sp = room;
      alternate.ss_size = sizeof room;
      sigaltstack(&alternate, nullptr);
    }
    stray::semaphore mine(0);
    if (In == waits_in::other) mine_ = &mine;
    stray::recv_chan<int> rx = gate_;
    ready_ = true;
    switch (In) {
      case waits_in::live:
        rx.recv();
        break;
      case waits_in::other:
        mine.acquire();
        break;
      case waits_in::sleep:
        while (!over_) stray::sleep_for(std::chrono::milliseconds(1));
        break;
      case waits_in::find:
        while (!over_) check(stray::leak::find(), "the thread with the handler");
        break;
      case waits_in::usleep:
        while (!over_) usleep(1000);
    }
    if (Alternate) {
      alternate.ss_flags = SS_DISABLE;
      sigaltstack(&alternate, nullptr);
    }
  }

  agent agent_;
  std::atomic<bool> over_{false}, ready_{false};
  std::atomic<stray::semaphore*> mine_{nullptr};
  unsigned agent_count_ = 0;
  stray::chan<int> gate_;
  std::thread thread_;
};

}  // namespace

void add_thread_places(std::vector<place_kind>& to) {
  to.push_back(register_of<hold_rbx>("register.rbx"));
  to.push_back(register_of<hold_r14>("register.r14"));
  to.push_back(register_of<hold_rdx>("register.rdx"));
  to.push_back(register_of<hold_r9>("register.r9"));
  to.push_back(register_of<hold_xmm9>("register.xmm9"));
  to.push_back(register_of<hold_xmm3_high>("register.xmm3_high"));
  to.push_back(register_of<hold_ymm7_high>("register.ymm7_high", has_avx2));
  to.push_back(register_of<hold_zmm20>("register.zmm20", has_avx512));
  to.push_back(register_of<hold_k3>("register.k3", has_avx512));
  to.push_back(register_of<hold_mm3>("register.mm3"));
  to.push_back(register_of<hold_red_zone>("register.red_zone"));
  to.push_back(kind_of<in_thread<hold_tls<spin>>>("tls.spin"));
  to.push_back(kind_of<in_thread<hold_tls<sleep>>>("tls.asleep"));
  to.push_back(kind_of<in_thread<hold_frame<spin>>>("frame.spin"));
  to.push_back(kind_of<in_thread<hold_frame<sleep>>>("frame.asleep"));
  to.push_back(kind_of<in_thread<hold_frame<poll_nothing>>>("frame.poll"));
  to.push_back(kind_of<in_thread<hold_frame<sleep_in_stray>>>("frame.sleep_for"));
  to.push_back(kind_of<in_thread<hold_frame<ask>>>("frame.find"));
  to.push_back(kind_of<in_thread<hold_packed_frame<sleep>>>("packed.frame"));
  to.push_back(kind_of<parked_thread>("frame.parked"));
}

void add_signal_places(std::vector<place_kind>& to) {
  to.push_back(kind_of<in_handler<waits_in::live>>("signal.parked"));
  to.push_back(kind_of<in_handler<waits_in::other>>("signal.parked_on_it"));
  to.push_back(kind_of<in_handler<waits_in::other, true>>("signal.parked_on_it_alternate"));
  to.push_back(kind_of<in_handler<waits_in::sleep>>("signal.sleep_for"));
  to.push_back(kind_of<in_handler<waits_in::find>>("signal.find"));
  to.push_back(kind_of<in_handler<waits_in::usleep>>("signal.usleep"));
  to.push_back(kind_of<in_handler<waits_in::live, true>>("signal.parked_alternate"));
}

}  // namespace truth
