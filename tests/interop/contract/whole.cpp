// Nothing of its own: the whole archive of libstray, linked as BUILD_SHARED_LIBS=ON links it.
