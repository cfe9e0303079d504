// A module that calls back (../creators.cpp); it does not know stray. ROOM: bytes that its frame has, so that two of them differ.
#if !defined(ROOM)
#define ROOM 1
#endif

extern "C" [[gnu::visibility("default")]] void module_calls(void (*f)()) {
  char room[ROOM];
  asm volatile("" ::"r"(room) : "memory");
  f();
  asm volatile("" ::"r"(room) : "memory");
}
