#include "runner.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace truth {

namespace {

constexpr double time_limit = 60;  // of a scene, seconds: they take less than one, but on a machine with much else to do

std::string kind_of_end(int status, const std::string& output) {
  std::size_t at = output.find("FAIL ");
  if (at != std::string::npos) return output.substr(at + 5, output.find('\n', at) - at - 5);
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  int code = WEXITSTATUS(status);
  return code == 0 ? "" : "status " + std::to_string(code);
}

}  // namespace

double now_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

result run(const scene& s) {
  std::string text = print(s, ";"), procs = std::to_string(s.procs);
  const char* argv[] = {"/proc/self/exe", "--play", text.c_str(), nullptr};
  std::vector<char*> environment;
  std::string setting = "STRAY_MAXPROCS=" + procs;
  for (char** e = environ; *e != nullptr; e++) {
    if (std::string(*e).rfind("STRAY_MAXPROCS=", 0) != 0) environment.push_back(*e);
  }
  environment.push_back(setting.data());
  environment.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
  double began = now_seconds();
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    execve(argv[0], const_cast<char**>(argv), environment.data());
    _exit(127);
  }
  close(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  result r;
  int status = 0;
  bool hung = false;
  auto drain = [&] {
    char buffer[4096];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) r.output.append(buffer, static_cast<std::size_t>(n));
  };
  for (;;) {
    pollfd wait{ends[0], POLLIN, 0};
    poll(&wait, 1, 20);
    drain();
    if (waitpid(child, &status, WNOHANG) == child) break;
    if (now_seconds() - began > time_limit) {
      hung = true;
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      break;
    }
  }
  drain();
  close(ends[0]);
  r.seconds = now_seconds() - began;
  r.failure = hung ? "hang" : kind_of_end(status, r.output);
  return r;
}

result run_often(const scene& s, unsigned tries, const std::string& kind) {
  result r;
  for (unsigned i = 0; i < tries; i++) {
    r = run(s);
    if (!r.failure.empty() && (kind.empty() || r.failure == kind)) return r;
  }
  if (!kind.empty() && r.failure != kind) r.failure.clear();
  return r;
}

scene shrink(const scene& given, const std::string& kind, double seconds) {
  constexpr unsigned tries = 5;
  double end = now_seconds() + seconds;
  scene best = given;
  auto keep = [&](const scene& smaller) {
    if (now_seconds() > end || print(smaller) == print(best)) return false;
    if (run_often(smaller, tries, kind).failure.empty()) return false;
    best = smaller;
    return true;
  };
  auto with = [&](const std::function<void(scene&)>& change) {
    scene s = best;
    change(s);
    return keep(s);
  };
  for (bool changed = true; changed && now_seconds() < end;) {
    changed = false;
    for (std::size_t i = best.items.size(); i-- > 0 && best.items.size() > 1;) {
      changed |= with([&](scene& s) { s.items.erase(s.items.begin() + static_cast<long>(i)); });
    }
    for (std::size_t i = best.noises.size(); i-- > 0;) {
      changed |= with([&](scene& s) { s.noises.erase(s.noises.begin() + static_cast<long>(i)); });
    }
    for (std::size_t i = best.askers.size(); i-- > 0 && best.askers.size() > 1;) {
      changed |= with([&](scene& s) { s.askers.erase(s.askers.begin() + static_cast<long>(i)); });
    }
    for (std::size_t i = 0; i < best.items.size(); i++) {
      for (std::size_t v = best.items[i].via.size(); v-- > 0 && best.items[i].via.size() > 1;) {
        changed |= with([&](scene& s) { s.items[i].via.erase(s.items[i].via.begin() + static_cast<long>(v)); });
      }
      changed |= with([&](scene& s) {
        s.items[i].links = 0;
        s.items[i].packed = false;
      });
      changed |= with([&](scene& s) { s.items[i].packed = false; });
      changed |= with([&](scene& s) { s.items[i].leak = 0; });
      changed |= with([&](scene& s) { s.items[i].where = "go"; });
      changed |= with([&](scene& s) { s.items[i].mover = "thread"; });
      changed |= with([&](scene& s) { s.items[i].at = s.items[i].at == "frame" ? "frame" : "malloc"; });
    }
    for (std::size_t i = 0; i < best.askers.size(); i++) {
      changed |= with([&](scene& s) { s.askers[i] = {"find", "thread", 500}; });
    }
  }
  return best;
}

}  // namespace truth
