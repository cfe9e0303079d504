// Everything but the adapters. Start with go.hpp and chan.hpp; leak.hpp is what the library is for.
#pragma once

#include <stray/barrier.hpp>
#include <stray/chan.hpp>
#include <stray/condition_variable.hpp>
#include <stray/context.hpp>
#include <stray/error_group.hpp>
#include <stray/go.hpp>
#include <stray/latch.hpp>
#include <stray/leak.hpp>
#include <stray/mutex.hpp>
#include <stray/once.hpp>
#include <stray/panic.hpp>
#include <stray/pprof.hpp>
#include <stray/select.hpp>
#include <stray/semaphore.hpp>
#include <stray/shared_mutex.hpp>
#include <stray/time.hpp>
#include <stray/version.hpp>
#include <stray/wait_group.hpp>
