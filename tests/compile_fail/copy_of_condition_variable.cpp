// A copy would have waiters of its own that nobody notifies.
// expect: (use of deleted function|call to deleted constructor).*condition_variable
#include <stray/condition_variable.hpp>

stray::condition_variable copy(const stray::condition_variable& cv) { return cv; }
