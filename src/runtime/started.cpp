#include "runtime/started.h"

namespace stray::runtime {

constinit std::atomic<phase> now_in{phase::not_started};

}  // namespace stray::runtime
