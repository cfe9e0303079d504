// The top floor: what low floors call upwards, and the start of the endpoint by STRAY_PPROF.
#include "base/upcalls.h"

#include <exception>
#include <string>
#include <thread>
#include <vector>

#include <stray/pprof.hpp>
#include "base/check.h"
#include "base/environment.h"
#include "base/first_failure.h"
#include "base/write_all.h"
#include "leak/detect/detector.h"
#include "leak/detect/extra_roots.h"
#include "leak/detect/watch.h"
#include "leak/goroutines/dump.h"
#include "leak/model/findings.h"
#include "leak/model/wait_census.h"
#include "leak/report/history.h"
#include "profile/formats.h"
#include "profile/symbolize.h"
#include "profile/unwind.h"
#include "serve/dump_signal.h"
#include "serve/http.h"
#include "sync/chan_core.h"
#include "sync/parking_table.h"
#include "trace/snapshot.h"

namespace stray::upcall {

void dump_goroutines(int fd) noexcept {
  try {
    std::vector<profile::stack_entry> stacks = leak::all_stacks(nullptr, false, true);
    std::string text;
    std::thread([&] { text = profile::write_stacks(stacks); }).join();  // a goroutine's stack has no room for libdw
    base::write_all(fd, text, base::report_grows);
  } catch (const std::exception& e) {
    base::say("stray: the goroutines cannot be dumped: %s", e.what());
  }
}

void runtime_started() noexcept {
  leak::start_detector();
  leak::restart_watch();
  serve::http_server::take_over_all();
  serve::resume_dumps();
}

void runtime_forked() noexcept {
  sync::forget_waiters();
  sync::cores().free_in_child();
  trace::forget_snapshot();
  profile::forget_symbols();
  profile::forget_rules();
  leak::forget_detections();
  leak::forget_history();
  leak::forget_waits();
  leak::free_extra_roots();
  leak::forget_watch();
}

}  // namespace stray::upcall

namespace stray {

namespace {

// STRAY_PPROF=host:port serves without a change of code; it and STRAY_DUMP_SIGNAL are the only things of ours that start before main.
[[gnu::constructor]] void serve_by_environment() noexcept {
  serve::dump_by_environment();
  const char* address = base::environment("STRAY_PPROF");
  if (address == nullptr || *address == '\0') return;
  try {
    pprof::server server = pprof::serve(address);
    if (server.port() == 0) {
      base::say("stray: serving /debug/pprof/ on %s", address);
    } else {
      base::say("stray: serving http://localhost:%d/debug/pprof/", server.port());
    }
    server.detach();
  } catch (const std::exception& e) {
    base::say("%s", e.what());
  }
}

}  // namespace

}  // namespace stray
