// Start-up and settings.
//
// 1. The runtime starts at the first go, make_chan or park, never in a static constructor. maxprocs workers and one watcher thread exist
//    from then on (and the detector's thread, started by the upcall).
// 2. This unit stands above all others of runtime/. What is below and may be the first to need the runtime calls ensure_started (started.h).
