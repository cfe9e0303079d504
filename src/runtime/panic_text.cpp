#include "runtime/panic_text.h"

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cxxabi.h>
#include <exception>
#include <iterator>
#include <new>
#include <string>
#include <typeinfo>
#include <unistd.h>

#include "base/check.h"
#include "base/first_failure.h"
#include "base/printable.h"
#include "runtime/current.h"

namespace stray::runtime {

namespace {

const char* type_name = "";  // known before what() runs: what it has broken may be the heap

void say_that_there_is_no_text() noexcept { base::say("panic: an exception of type %s; its what() gave no text\n", type_name); }

void on_fault(int, siginfo_t*, void* context) {
  if (base::is_reporter()) {
    if (worker* w = current_worker()) w->fault_context = context;
    base::finish_report();
  }
  base::wait_for_failure();
  _exit(2);
}

// Around what() and the first look at what it returns.
class guarded {
 public:
  guarded() noexcept {
    struct sigaction ours {};
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&ours.sa_mask);
    for (std::size_t i = 0; i < std::size(faults); i++) sigaction(faults[i], &ours, &before_[i]);
    base::set_last_words(say_that_there_is_no_text);
  }
  ~guarded() {
    base::set_last_words(nullptr);
    for (std::size_t i = 0; i < std::size(faults); i++) sigaction(faults[i], &before_[i], nullptr);
  }
  guarded(const guarded&) = delete;
  guarded& operator=(const guarded&) = delete;

 private:
  static constexpr int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
  struct sigaction before_[std::size(faults)];
};

// text: may hold what a client has sent.
void indent(const char* text, std::string& out) {
  for (char c : base::printable_lines(text)) {
    out += c;
    if (c == '\n') out += '\t';
  }
}

template <class Text>
void print_text(Text text) noexcept {
  std::string shown;
  bool found = false, memory = true;
  {
    guarded now;
    try {
      const char* told = text();
      found = told != nullptr;
      if (found) indent(told, shown);
    } catch (const std::bad_alloc&) {
      memory = false;
    }
  }
  if (!memory) {
    base::say("panic: there is no memory for its text\n");
  } else if (!found) {
    say_that_there_is_no_text();
  } else {
    base::say("panic: %s\n", shown.c_str());
  }
}

}  // namespace

void print_panic() noexcept {
  std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    base::say("panic: std::terminate without an exception\n");
    return;
  }
  int status = 0;
  char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  type_name = name != nullptr ? name : type->name();
  try {
    throw;
  } catch (const std::exception& e) {
    print_text([&] { return e.what(); });
  } catch (const char* text) {
    print_text([&] { return text; });
  } catch (...) {
    base::say("panic: an exception of type %s\n", type_name);
  }
}

}  // namespace stray::runtime
