#include "fiber.hpp"

#include <cstdlib>
#include <new>
#include <sys/mman.h>
#include <ucontext.h>

#include "places.hpp"

asm(R"(
.text
.type truth_fiber_entry,@function
truth_fiber_entry:
  .cfi_startproc
  .cfi_undefined rip
  movq %r12, %rdi
  xorl %ebp, %ebp
  call *%rbx
  ud2
  .cfi_endproc
.size truth_fiber_entry,.-truth_fiber_entry
)");
extern "C" void truth_fiber_entry();

namespace truth {

namespace {

constexpr std::size_t pool_slots = 16;
char* pool_base() {
  static char* base = static_cast<char*>(
      mmap(nullptr, pool_slots * fiber_stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  return base;
}
constinit bool pool_taken[pool_slots];

void* first_sp(void* stack_lo) {
  auto top = reinterpret_cast<std::uintptr_t>(stack_lo) + fiber_stack_size - 512;
  return reinterpret_cast<void**>(top & ~std::uintptr_t{15}) - 7;
}

// What the fiber needs lies on its own stack, so that nothing else leads there.
struct run {
  void (*body)(void*);
  void* arg;
  void* caller = nullptr;  // sp
  void* dead = nullptr;
};
void run_own(void* arg) {
  run* r = static_cast<run*>(arg);
  r->body(r->arg);
  stack_switch(&r->dead, r->caller);
}

struct swap_run {
  void (*body)(void*);
  void* arg;
  ucontext_t here, there;
};
void run_swapped(unsigned lo, unsigned hi) {
  auto* r = reinterpret_cast<swap_run*>(static_cast<std::uintptr_t>(hi) << 32 | lo);
  r->body(r->arg);
}

// While the fiber runs, nothing on the stack that was left may lead to it: neither a frame nor what earlier calls left below. So what is known
// of it is masked, and unmasked last, in registers that a call does not keep.
constexpr std::uintptr_t key = 0x5a5a'0000'a5a5'0000;
constexpr std::size_t run_at = fiber_stack_size - 256, swap_run_at = fiber_stack_size - 4096;

[[gnu::noinline]] std::uintptr_t prepare(memory m, bool swap, void (*body)(void*), void* arg) {
  char* stack = static_cast<char*>(take_stack(m));
  if (!swap) {
    fiber_begin(stack, run_own, new (stack + run_at) run{body, arg});
  } else {
    auto* r = new (stack + swap_run_at) swap_run{body, arg, {}, {}};
    getcontext(&r->there);
    r->there.uc_stack.ss_sp = stack;
    r->there.uc_stack.ss_size = swap_run_at;
    r->there.uc_link = &r->here;
    auto at = reinterpret_cast<std::uintptr_t>(r);
    makecontext(&r->there, reinterpret_cast<void (*)()>(run_swapped), 2, static_cast<unsigned>(at),
                static_cast<unsigned>(at >> 32));
  }
  return reinterpret_cast<std::uintptr_t>(stack) ^ key;
}
[[gnu::noinline]] void enter(std::uintptr_t masked) {
  char* stack = reinterpret_cast<char*>(masked ^ key);
  return stack_switch(&reinterpret_cast<run*>(stack + run_at)->caller, first_sp(stack));
}
[[gnu::noinline]] void enter_swapped(std::uintptr_t masked) {
  auto* r = reinterpret_cast<swap_run*>((masked ^ key) + swap_run_at);
  swapcontext(&r->here, &r->there);
}

}  // namespace

void* take_stack(memory m) {
  if (m == memory::heap) return std::malloc(fiber_stack_size);
  if (m == memory::mapping) {
    return mmap(nullptr, fiber_stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  for (;;) {
    for (std::size_t i = 0; i < pool_slots; i++) {
      if (!__atomic_exchange_n(&pool_taken[i], true, __ATOMIC_ACQUIRE)) return pool_base() + i * fiber_stack_size;
    }
  }
}

void give_stack(memory m, void* lo) noexcept {
  if (m == memory::heap) {
    std::free(lo);
  } else if (m == memory::mapping) {
    munmap(lo, fiber_stack_size);
  } else {
    __atomic_store_n(&pool_taken[(static_cast<char*>(lo) - pool_base()) / fiber_stack_size], false, __ATOMIC_RELEASE);
  }
}

void* fiber_begin(void* stack_lo, void (*body)(void*), void* arg) {
  auto** sp = static_cast<void**>(first_sp(stack_lo)) + 7;
  *--sp = reinterpret_cast<void*>(&truth_fiber_entry);  // ret
  *--sp = nullptr;                                      // rbp
  *--sp = reinterpret_cast<void*>(body);                // rbx
  *--sp = arg;                                          // r12
  for (int i = 0; i < 3; i++) *--sp = nullptr;          // r13 to r15
  return sp;
}

void on_fiber(memory m, bool swap, void (*body)(void*), void* arg) {
  volatile std::uintptr_t masked = prepare(m, swap, body, arg);
  scrub();
  if (swap) {
    enter_swapped(masked);
  } else {
    enter(masked);
  }
  give_stack(m, reinterpret_cast<void*>(masked ^ key));
}

}  // namespace truth
