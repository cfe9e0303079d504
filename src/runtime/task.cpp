#include "runtime/task.h"

#include <new>

namespace stray::runtime {

namespace {

constinit base::slab<task> task_slab(std::size_t{8} << 20);

// Runs of wait nodes for selects and condition variables, in powers of four up to 65,536 cases. Each slab has 4 GiB of addresses.
template <std::size_t N>
struct node_block {
  wait_node nodes[N];
};
template <std::size_t N>
constinit base::slab<node_block<N>> node_slab((std::size_t{4} << 30) / sizeof(node_block<N>));

template <std::size_t N = 1>
void free_node_locks() noexcept {
  node_slab<N>.free_in_child();
  if constexpr (N < 65536) free_node_locks<N * 4>();
}

// f is called with the slab of the smallest block that holds n nodes.
template <std::size_t N = 1, class F>
auto with_node_slab(std::size_t n, F f) {
  if constexpr (N < 65536) {
    if (n > N) return with_node_slab<N * 4>(n, f);
  }
  return f(node_slab<N>);
}

}  // namespace

base::slab<task>& tasks() noexcept { return task_slab; }

const char* text_of(wait_reason r) noexcept {
  static constexpr const char* table[] = {
#define REASON(name, text, eligible, rule) text,
#include "runtime/wait_reasons.inc"
#undef REASON
  };
  return table[static_cast<std::size_t>(r)];
}

void forget_task_locks() noexcept {
  task_slab.free_in_child();
  free_node_locks();
}

wait_node* alloc_nodes(std::size_t n) {
  if (n > 65536) throw std::bad_alloc();
  return with_node_slab(n, [](auto& slab) {
    auto* block = slab.alloc();
    if (block == nullptr) throw std::bad_alloc();
    return block->nodes;
  });
}

void free_nodes(wait_node* nodes, std::size_t n) noexcept {
  with_node_slab(
      n, [nodes]<std::size_t N>(base::slab<node_block<N>>& slab) { slab.release(reinterpret_cast<node_block<N>*>(nodes)); });
}

}  // namespace stray::runtime
