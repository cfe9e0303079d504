include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/stray)

install(TARGETS stray stray_gtest_adapter EXPORT stray-targets)
install(FILES ${PROJECT_SOURCE_DIR}/src/adapters/gtest/gtest.cpp DESTINATION ${CMAKE_INSTALL_DATADIR}/stray)
if(TARGET stray_malloc_map)
  install(TARGETS stray_malloc_map stray_malloc_map_objects EXPORT stray-targets OBJECTS DESTINATION ${CMAKE_INSTALL_LIBDIR}/stray)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} OPTIONAL)
install(FILES ${PROJECT_SOURCE_DIR}/contrib/gdb/stray-gdb.py DESTINATION ${CMAKE_INSTALL_DATADIR}/stray/gdb)
install(EXPORT stray-targets NAMESPACE stray:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/stray-config.cmake.in ${PROJECT_BINARY_DIR}/stray-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/stray-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/stray-config.cmake ${PROJECT_BINARY_DIR}/stray-config-version.cmake
              ${CMAKE_CURRENT_LIST_DIR}/stray-dependencies.cmake
        DESTINATION ${package_dir})
