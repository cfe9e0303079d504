// The variables of a library that was loaded after the runtime had started.
#include <dlfcn.h>

#include "scene.hpp"

namespace {

using namespace ablation;

void in_module(unsigned off, const char* name, int index) {
  void* library = dlopen(STRAY_TEST_MODULE, RTLD_NOW);
  ASSERT_NE(library, nullptr) << dlerror();
  auto* place = static_cast<holder**>(dlsym(library, name)) + index;
  expect_root(
      off, [&](holder* h) { *place = h; }, [&] { return std::exchange(*place, nullptr); });
  dlclose(library);
}
TEST(ablation_module, data) { in_module(bit(root::data), "place_in_data", 2); }
TEST(ablation_module, bss) { in_module(bit(root::anonymous), "place_in_bss", 1 << 15); }

}  // namespace
