#include "runtime/current.h"

namespace stray::runtime {

extern "C" {
constinit thread_local task* stray_tls_task = nullptr;
constinit thread_local worker* stray_tls_worker = nullptr;
}

}  // namespace stray::runtime
