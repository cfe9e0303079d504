// The source for an allocator that nobody here understands: nothing is a block, so every page of it is a root.
#include "trace/heap_source.h"
#include "trace/image.h"

namespace stray::trace {

void walk_unknown(image& in, const heap_facts& facts, slice<const std::uintptr_t>) noexcept {
  in.heap_known = false;
  text line = in.notes->add();
  line << "tracer blind: allocator unknown";
  if (facts.allocator[0] != 0) line << " (" << facts.allocator << ")";
}

}  // namespace stray::trace
