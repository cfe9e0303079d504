# Refuses what cannot work, with what to do instead.
if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(FATAL_ERROR "stray runs on Linux with glibc only; this is ${CMAKE_SYSTEM_NAME}.")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "stray needs g++ 12 or later; this is ${CMAKE_CXX_COMPILER_VERSION}. Set CMAKE_CXX_COMPILER.")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 16)
  message(FATAL_ERROR "stray needs clang 16 or later (14 cannot capture structured bindings); this is "
                      "${CMAKE_CXX_COMPILER_VERSION}. Debian 12: apt install clang-16, CMAKE_CXX_COMPILER=clang++-16.")
endif()
if(NOT STRAY_SANITIZE MATCHES "^(address|thread)?$")
  message(FATAL_ERROR "STRAY_SANITIZE is '${STRAY_SANITIZE}'; it may be address, thread or empty.")
endif()
