#include "base/control_groups.h"

#include <cstdio>
#include <cstring>

#include "base/read_file.h"

namespace stray::base {

namespace {

constexpr std::size_t path_max = 4096;

void upwards(const char* root, const char* group, group_visitor f, void* arg) noexcept {
  char folder[path_max];
  if (std::snprintf(folder, sizeof folder, "%s%s", root, group) >= static_cast<int>(sizeof folder)) return;
  for (char* slash = folder; slash != nullptr;) {
    f(arg, folder);
    slash = std::strrchr(folder + std::strlen(root), '/');
    if (slash != nullptr) *slash = '\0';
  }
}

bool lists(const char* controllers, const char* one) noexcept {
  std::size_t n = std::strlen(one);
  for (const char* at = controllers; (at = std::strstr(at, one)) != nullptr; at += n) {
    if ((at == controllers || at[-1] == ',') && (at[n] == ',' || at[n] == '\0')) return true;
  }
  return false;
}

}  // namespace

bool read_file_in(const char* folder, const char* name, char* text, std::size_t n) noexcept {
  char path[path_max + 32];
  std::snprintf(path, sizeof path, "%s/%s", folder, name);
  return read_file(path, text, n);
}

void each_control_group(const char* list, const char* mount, const char* controller, group_visitor f, void* arg) noexcept {
  char text[8192];
  if (!read_file(list, text, sizeof text)) return;
  char* rest = nullptr;
  for (char* line = strtok_r(text, "\n", &rest); line != nullptr;
       line = strtok_r(nullptr, "\n", &rest)) {  // ID:CONTROLLERS:PATH
    char* controllers = std::strchr(line, ':');
    char* path = controllers == nullptr ? nullptr : std::strchr(controllers + 1, ':');
    if (path == nullptr) continue;
    *path++ = '\0';
    controllers++;
    char root[path_max];
    if (*controllers == '\0') {
      std::snprintf(root, sizeof root, "%s", mount);
    } else if (lists(controllers, controller)) {
      std::snprintf(root, sizeof root, "%s/%s", mount, controller);
    } else {
      continue;
    }
    upwards(root, std::strcmp(path, "/") == 0 ? "" : path, f, arg);
  }
}

}  // namespace stray::base
