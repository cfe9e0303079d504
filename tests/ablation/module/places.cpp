// A library that is loaded while the program runs: its variables are places where the only pointer may lie.
extern "C" {
void* place_in_data[4] = {&place_in_data, nullptr, nullptr, nullptr};
void* place_in_bss[1 << 16];
}
