# The target `stray`: one object library a folder, so that unit tests of a low floor link that floor and what lies below it only.
include(CheckCXXCompilerFlag)

set(STRAY_FOLDERS base runtime trace profile sync leak serve)

# What every user of stray gets too.
set(STRAY_PUBLIC_OPTIONS)
if(STRAY_STACK_PROBES)
  list(APPEND STRAY_PUBLIC_OPTIONS -fstack-clash-protection)
endif()
if(STRAY_SANITIZE STREQUAL "address")
  set(STRAY_SANITIZE_OPTIONS -fsanitize=address,undefined -fno-omit-frame-pointer)
elseif(STRAY_SANITIZE STREQUAL "thread")
  set(STRAY_SANITIZE_OPTIONS -fsanitize=thread)
endif()
list(APPEND STRAY_PUBLIC_OPTIONS ${STRAY_SANITIZE_OPTIONS})

# For our own objects only, not for users' (SECURITY.md). A sanitizer replaces the functions that _FORTIFY_SOURCE would check.
set(STRAY_HARDENED_OPTIONS)
set(STRAY_HARDENED_LINK)
set(hot_folders runtime sync)  # a protector there is 5 % of a round trip over channels
if(STRAY_HARDENING)
  list(APPEND STRAY_HARDENED_OPTIONS -fstack-protector-strong)
  if(NOT STRAY_SANITIZE)
    list(APPEND STRAY_HARDENED_OPTIONS -U_FORTIFY_SOURCE $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-D_FORTIFY_SOURCE=2>)
  endif()
  set(STRAY_HARDENED_LINK LINKER:-z,relro,-z,now,-z,noexecstack)
endif()

# Warnings for our own code, tests included. Not -Wpedantic: __int128 and asm labels are meant.
add_library(stray_warnings INTERFACE)
if(STRAY_DEVELOPER)
  target_compile_options(stray_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wnon-virtual-dtor
                                                  -Woverloaded-virtual>)
endif()
if(STRAY_WERROR)
  target_compile_options(stray_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()

# Takes the target; keyword PUBLIC or PRIVATE says how far the public part travels.
function(stray_target_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS ON CXX_VISIBILITY_PRESET hidden)  # what the public headers declare is default
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                              $<INSTALL_INTERFACE:include>)
  if(STRAY_PUBLIC_OPTIONS)
    target_compile_options(${target} PUBLIC "$<$<COMPILE_LANGUAGE:C,CXX>:${STRAY_PUBLIC_OPTIONS}>")
  endif()
  target_link_options(${target} PUBLIC ${STRAY_SANITIZE_OPTIONS})
  target_link_libraries(${target} PUBLIC Threads::Threads PRIVATE $<BUILD_INTERFACE:stray_warnings>)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-semantic-interposition>)  # inlines as without PIC
endfunction()

set(all_objects)
foreach(folder IN LISTS STRAY_FOLDERS)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "(_test|/test_stub)\\.cpp$")
  file(GLOB_RECURSE assembly CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*_${CMAKE_SYSTEM_PROCESSOR}.S)
  if(NOT sources AND NOT assembly)
    continue()
  endif()
  add_library(stray_${folder} OBJECT ${sources} ${assembly})
  stray_target_options(stray_${folder})
  target_link_libraries(stray_${folder} PUBLIC ${STRAY_LINK_LIBRARIES})
  # Also as a static library: it may end up in a shared one that a program loads (tests/interop/plugin/).
  set_target_properties(stray_${folder} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  set(hardened ${STRAY_HARDENED_OPTIONS})
  if(folder IN_LIST hot_folders)
    list(REMOVE_ITEM hardened -fstack-protector-strong)
  endif()
  target_compile_options(stray_${folder} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${hardened}>")
  list(APPEND all_objects $<TARGET_OBJECTS:stray_${folder}>)
endforeach()

file(GLOB top CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.cpp)
list(FILTER top EXCLUDE REGEX "(_test|/test_stub)\\.cpp$")
add_library(stray ${top} ${all_objects})
add_library(stray::stray ALIAS stray)
stray_target_options(stray)
target_compile_options(stray PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${STRAY_HARDENED_OPTIONS}>")
target_link_options(stray PRIVATE ${STRAY_HARDENED_LINK})
set_target_properties(stray PROPERTIES POSITION_INDEPENDENT_CODE ON)
# Threads of ours run its code for ever: a shared library that holds stray stays loaded after dlclose.
target_link_options(stray INTERFACE
  $<$<IN_LIST:$<TARGET_PROPERTY:TYPE>,SHARED_LIBRARY$<SEMICOLON>MODULE_LIBRARY>:LINKER:-z,nodelete>)
target_link_libraries(stray PRIVATE ${STRAY_LINK_LIBRARIES})
# Shared: no lazy binding inside a snapshot; and only our own names, none of the templates of libstdc++ that we use.
set(exports ${PROJECT_SOURCE_DIR}/cmake/stray-exports.map)
target_link_options(stray PRIVATE LINKER:-z,now,-z,nodelete,--version-script=${exports})
set_target_properties(stray PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

# The blocks of other allocators: `stray::malloc_map` becomes part of a program, the shared library is for LD_PRELOAD.
if(NOT STRAY_SANITIZE)
  set(map ${PROJECT_SOURCE_DIR}/src/malloc_map/malloc_map.cpp)
  set_property(SOURCE ${map} APPEND PROPERTY COMPILE_OPTIONS -fno-builtin)  # malloc and memset are not calloc here
  add_library(stray_malloc_map_objects OBJECT ${map})
  add_library(stray_malloc_map SHARED ${map})
  foreach(target stray_malloc_map_objects stray_malloc_map)
    stray_target_options(${target})
    target_link_libraries(${target} PUBLIC ${CMAKE_DL_LIBS})
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  endforeach()
  set_target_properties(stray_malloc_map_objects PROPERTIES EXPORT_NAME malloc_map)
  add_library(stray::malloc_map ALIAS stray_malloc_map_objects)
endif()

# A handler of ours may run in a thread whose fs register is the program's own, and a protector reads its word there.
set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/trace/stop.cpp APPEND PROPERTY COMPILE_OPTIONS -fno-stack-protector)

# Snapshot code runs in a bare clone of a frozen process: nothing may be called that the source does not name.
# Which files: snapshot_objects.txt of any folder below src/, one a line, relative to that folder or to the repository.
set(snapshot_options)
foreach(flag -fno-exceptions -fno-rtti -fno-stack-protector -fno-builtin -fno-tree-loop-distribute-patterns
             -fno-sanitize=all -fcf-protection=none -fno-plt -U_FORTIFY_SOURCE)
  string(MAKE_C_IDENTIFIER "STRAY_HAS${flag}" known)
  set(CMAKE_REQUIRED_FLAGS -Werror)
  check_cxx_compiler_flag(${flag} ${known})
  unset(CMAKE_REQUIRED_FLAGS)
  if(${known})
    list(APPEND snapshot_options ${flag})
  endif()
endforeach()
file(GLOB_RECURSE lists CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/snapshot_objects.txt)
foreach(list IN LISTS lists)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${list})
  cmake_path(GET list PARENT_PATH folder)
  file(STRINGS ${list} files REGEX "^[^#]")
  foreach(file IN LISTS files)
    string(STRIP "${file}" file)
    if(file STREQUAL "")
      continue()
    elseif(EXISTS ${folder}/${file})
      set(path ${folder}/${file})
    elseif(EXISTS ${PROJECT_SOURCE_DIR}/${file})
      set(path ${PROJECT_SOURCE_DIR}/${file})
    else()
      message(WARNING "${list} names ${file}, which does not exist")
      continue()
    endif()
    set_property(SOURCE ${path} APPEND PROPERTY COMPILE_OPTIONS ${snapshot_options})
  endforeach()
endforeach()
