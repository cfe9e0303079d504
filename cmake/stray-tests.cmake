# What all test executables share.
include(GoogleTest)

# What asks the tracer for verdicts is left out under sanitizers, by name and with this reason (global property STRAY_SKIPPED).
if(STRAY_SANITIZE STREQUAL "address")
  set(STRAY_BLIND "tracer blind under ASan: allocator unknown")
elseif(STRAY_SANITIZE STREQUAL "thread")
  set(STRAY_BLIND "tracer blind under TSan: allocator unknown")
endif()

# Debian's libgtest is not instrumented, so sanitizer builds compile it from its source package.
if(NOT STRAY_SANITIZE)
  find_package(GTest QUIET)
endif()
if(NOT GTest_FOUND)
  if(NOT EXISTS /usr/src/googletest/CMakeLists.txt)
    message(FATAL_ERROR "GoogleTest is missing. Run ./dev setup, or: apt-get install googletest libgtest-dev")
  endif()
  set(BUILD_GMOCK OFF)
  set(INSTALL_GTEST OFF)
  add_subdirectory(/usr/src/googletest ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL SYSTEM)
  if(STRAY_SANITIZE)
    target_compile_options(gtest PRIVATE ${STRAY_SANITIZE_OPTIONS})
    target_compile_options(gtest_main PRIVATE ${STRAY_SANITIZE_OPTIONS})
  endif()
  if(NOT TARGET GTest::gtest_main)
    add_library(GTest::gtest_main ALIAS gtest_main)
  endif()
endif()

# 3 s of each test's compilation, done once for all of them.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/gtest_precompiled.cpp CONTENT "int gtest_precompiled;\n")
add_library(gtest_precompiled OBJECT ${PROJECT_BINARY_DIR}/gtest_precompiled.cpp)
target_compile_features(gtest_precompiled PRIVATE cxx_std_20)
target_compile_options(gtest_precompiled PRIVATE ${STRAY_PUBLIC_OPTIONS})
target_link_libraries(gtest_precompiled PRIVATE stray_warnings GTest::gtest_main)
target_precompile_headers(gtest_precompiled PRIVATE <gtest/gtest.h>)

# stray_gtest(target label timeout sources...): one ctest a TEST; the caller links what is tested.
function(stray_gtest target label timeout)
  add_executable(${target} ${ARGN})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE stray_warnings GTest::gtest_main)
  target_precompile_headers(${target} REUSE_FROM gtest_precompiled)
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 TEST_PREFIX ${target}.
                       WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                       PROPERTIES LABELS ${label} TIMEOUT ${timeout})
endfunction()
