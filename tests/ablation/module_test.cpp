// The variables of a library that was loaded after the runtime had started.
#include <dlfcn.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/mman.h>
#include <unistd.h>

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

// What reads symbols maps the file of a module once more, and much of it is on disk only: none of the program's pointers is there.
TEST(ablation_module, mapped_once_more_is_no_doubt) {
  constexpr std::size_t unread = std::size_t{1} << 20;
  const std::string path = std::filesystem::temp_directory_path() / ("stray_module_" + std::to_string(getpid()) + ".so");
  std::filesystem::copy_file(STRAY_TEST_MODULE, path);
  const std::size_t size = std::filesystem::file_size(path);
  std::ofstream(path, std::ios::app) << std::string(unread, '\0');
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  fsync(file);
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  void* library = dlopen(path.c_str(), RTLD_NOW);
  auto* far = reinterpret_cast<void*>(std::uintptr_t{1} << 44);  // not beside the module
  void* again = mmap(far, size + unread, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  close(file);
  ASSERT_NE(library, nullptr) << dlerror();
  ASSERT_NE(again, MAP_FAILED);
  unsigned char cached = 1;
  const bool on_disk =
      mincore(static_cast<char*>(again) + (size + unread / 2) / 4096 * 4096, 1, &cached) == 0 && (cached & 1) == 0;
  if (on_disk) {
    stray::go([] { stray::go([s = std::make_shared<stray::semaphore>(0)] { s->acquire(); }); });
    stray::testing::until_parked(1);
    clear_dead_stack();
    const stray::leak::report r = stray::leak::find();
    EXPECT_EQ(r.total(), 1U) << r;
  }
  munmap(again, size + unread);
  dlclose(library);
  std::filesystem::remove(path);
  if (!on_disk) GTEST_SKIP() << "the kernel keeps the file in memory";
}

}  // namespace
