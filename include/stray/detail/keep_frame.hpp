// A blocking call must never be the last thing a function does: it would become a jump, and the caller's frame, which a report has to name,
// would be gone. Stands after the call, in an inline function.
#pragma once

#define STRAY_KEEP_FRAME asm volatile("")
