#include "base/switch_setting.h"

#include <initializer_list>
#include <strings.h>

#include "base/check.h"
#include "base/environment.h"

namespace stray::base {

bool switch_setting(const char* name, bool usual, bool unclear) noexcept {
  const char* text = environment(name);
  if (text == nullptr || (*text == '\0' && usual == unclear)) return usual;
  for (const char* off : {"off", "0", "no", "false", "none"})
    if (strcasecmp(text, off) == 0) return false;
  for (const char* on : {"on", "1", "yes", "true"})
    if (strcasecmp(text, on) == 0) return true;
  say("stray: %s=%s is neither on nor off; it counts as %s", name, text, unclear ? "on" : "off");
  return unclear;
}

}  // namespace stray::base
