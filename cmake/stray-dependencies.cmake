# What libstray links. Also installed: find_package(stray) runs it again for a static stray, whose users link these themselves.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

macro(stray_require_module variable module debian_package)
  pkg_check_modules(${variable} QUIET IMPORTED_TARGET GLOBAL ${module})
  if(NOT ${variable}_FOUND)
    list(APPEND stray_missing ${debian_package})
  endif()
endmacro()

set(stray_missing)
stray_require_module(STRAY_DW libdw libdw-dev)
stray_require_module(STRAY_ZLIB zlib zlib1g-dev)
if(stray_missing)
  list(JOIN stray_missing " " stray_missing)
  message(FATAL_ERROR "stray: libraries are missing. On Debian or Ubuntu:\n  apt-get install ${stray_missing}\n"
                      "In a checkout of stray, ./dev setup installs everything.")
endif()

set(STRAY_LINK_LIBRARIES PkgConfig::STRAY_DW PkgConfig::STRAY_ZLIB)
