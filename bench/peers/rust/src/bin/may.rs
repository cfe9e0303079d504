//! may: stackful. Its channels are unbounded only: ping_pong is two of those, what needs a bound is left out. Its stacks are mappings of their
//! own, so a million of them does not fit a process's default limit of mappings.
use may::coroutine::{sleep, spawn as raw_spawn, yield_now};
use may::sync::{spsc, Mutex, RwLock, SyncFlag};
use peers::*;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn go<F: FnOnce() + Send + 'static>(f: F) {
    unsafe { raw_spawn(f) };
}
struct WaitGroup {
    left: AtomicUsize,
    open: SyncFlag,
}
impl WaitGroup {
    fn new(n: usize) -> Arc<WaitGroup> {
        Arc::new(WaitGroup { left: AtomicUsize::new(n), open: SyncFlag::new() })
    }
    fn done(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1 {
            self.open.fire();
        }
    }
    fn wait(&self) {
        self.open.wait()
    }
}
fn spawn_by(n: usize, batch: usize) -> f64 {
    let t = Instant::now();
    for _ in 0..n / batch {
        let all = WaitGroup::new(batch);
        for _ in 0..batch {
            let all = all.clone();
            go(move || all.done());
        }
        all.wait();
    }
    per(t, n)
}
fn spawn_large(n: usize) -> f64 {
    let sum = Arc::new(AtomicUsize::new(0));
    let mut bytes = [0u8; 100];
    bytes[99] = 1;
    let t = Instant::now();
    for _ in 0..n / 100 {
        let all = WaitGroup::new(100);
        for _ in 0..100 {
            let (all, sum, bytes) = (all.clone(), sum.clone(), std::hint::black_box(bytes));
            go(move || {
                sum.fetch_add(bytes[99] as usize, Relaxed);
                all.done()
            });
        }
        all.wait();
    }
    let ns = per(t, n);
    assert_eq!(sum.load(Relaxed), n);
    ns
}
fn yields(tasks: usize, n: usize) -> f64 {
    let all = WaitGroup::new(tasks);
    let t = Instant::now();
    for _ in 0..tasks {
        let all = all.clone();
        go(move || {
            for _ in 0..n / tasks {
                yield_now();
            }
            all.done();
        });
    }
    all.wait();
    per(t, n)
}
fn ping_pong(n: usize) -> f64 {
    let (to_a, a) = spsc::channel::<usize>();
    let (to_b, b) = spsc::channel::<usize>();
    let both = WaitGroup::new(2);
    let (one, other) = (both.clone(), both.clone());
    let t = Instant::now();
    go(move || {
        for _ in 0..n {
            let v = a.recv().unwrap();
            let _ = to_b.send(v);
        }
        one.done();
    });
    go(move || {
        for i in 0..n {
            to_a.send(i).unwrap();
            b.recv().unwrap();
        }
        other.done();
    });
    both.wait();
    per(t, n)
}
fn mutex(tasks: usize, n: usize) -> f64 {
    let m = Arc::new(Mutex::new(0usize));
    let all = WaitGroup::new(tasks);
    let t = Instant::now();
    for _ in 0..tasks {
        let (m, all) = (m.clone(), all.clone());
        go(move || {
            for _ in 0..n / tasks {
                *m.lock().unwrap() += 1;
            }
            all.done();
        });
    }
    all.wait();
    per(t, n)
}
fn read_mostly(n: usize) -> f64 {
    let m = Arc::new(RwLock::new(0usize));
    let all = WaitGroup::new(8);
    let t = Instant::now();
    for _ in 0..8 {
        let (m, all) = (m.clone(), all.clone());
        go(move || {
            let mut sum = 0;
            for k in 0..n / 8 {
                if k % 100 == 99 {
                    *m.write().unwrap() += 1;
                } else {
                    sum += *m.read().unwrap();
                }
            }
            std::hint::black_box(sum);
            all.done();
        });
    }
    all.wait();
    per(t, n)
}
fn sky_join(number: usize, size: usize) -> usize {
    if size == 1 {
        return number;
    }
    let parts: [_; 10] = std::array::from_fn(|i| unsafe { raw_spawn(move || sky_join(number + i * (size / 10), size / 10)) });
    parts.into_iter().map(|part| part.join().unwrap()).sum()
}
fn skynet_join(n: usize) -> f64 {
    let t = Instant::now();
    let sum = sky_join(0, n);
    let ns = per(t, n);
    assert_eq!(sum, n * (n - 1) / 2);
    ns
}
fn fib(n: usize) -> u64 {
    if n < 2 {
        return n as u64;
    }
    let a = unsafe { raw_spawn(move || fib(n - 1)) };
    let b = fib(n - 2);
    a.join().unwrap() + b
}
fn fibonacci(n: usize) -> f64 {
    let t = Instant::now();
    let f = fib(n);
    let ns = t.elapsed().as_nanos() as f64;
    let (right, tasks) = fib_and_tasks(n);
    assert_eq!(f, right);
    ns / tasks
}
fn place(n: usize, column: usize, b: Board) -> u64 {
    if column == n {
        return 1;
    }
    let parts: Vec<_> = free_rows(n, column, &b)
        .into_iter()
        .map(|r| {
            let mut next = b;
            next.row[column] = r;
            unsafe { raw_spawn(move || place(n, column + 1, next)) }
        })
        .collect();
    parts.into_iter().map(|part| part.join().unwrap()).sum()
}
fn parked(n: usize) {
    let before = resident_bytes();
    let (gate, started, all) = (WaitGroup::new(1), WaitGroup::new(n), WaitGroup::new(n));
    let t = Instant::now();
    for i in 0..n {
        let (gate, started, all) = (gate.clone(), started.clone(), all.clone());
        go(move || {
            started.done();
            gate.wait();
            all.done();
        });
        if i % 64 == 63 {
            yield_now();
        }
    }
    started.wait();
    out("create_ns", per(t, n));
    out("bytes", (resident_bytes() - before) / n as f64);
    let t = Instant::now();
    gate.done();
    all.wait();
    out("wake_ns", per(t, n));
}
fn sleepers(n: usize) {
    let all = WaitGroup::new(n);
    let cpu = cpu_ms();
    let t = Instant::now();
    for i in 0..n {
        let all = all.clone();
        go(move || {
            sleep(Duration::from_millis(100 + i as u64 % 100));
            all.done();
        });
    }
    all.wait();
    out("wall_ms", t.elapsed().as_secs_f64() * 1e3);
    out("cpu_ms", cpu_ms() - cpu);
}

fn run(shape: &str) {
    let ns = match shape {
        "spawn" => (spawn_by(100_000, 100_000), spawn_by(1_000_000, 1_000_000)).1,
        "spawn_100" => (spawn_by(100_000, 100), spawn_by(1_000_000, 100)).1,
        "spawn_large" => (spawn_large(100_000), spawn_large(1_000_000)).1,
        "spawn_one" => (spawn_by(10_000, 1), spawn_by(500_000, 1)).1,
        "yield_2" => (yields(2, 100_000), yields(2, 4_000_000)).1,
        "yield_1000" => (yields(1000, 100_000), yields(1000, 4_000_000)).1,
        "ping_pong" => (ping_pong(10_000), ping_pong(1_000_000)).1,
        "mutex_1" => (mutex(1, 200_000), mutex(1, 20_000_000)).1,
        "mutex_8" => (mutex(8, 80_000), mutex(8, 8_000_000)).1,
        "read_mostly" => (read_mostly(80_000), read_mostly(8_000_000)).1,
        "skynet_join" => (skynet_join(1000), skynet_join(1_000_000)).1,
        "fib_25" => (fibonacci(15), fibonacci(25)).1,
        "queens_10" => {
            let t = Instant::now();
            assert_eq!(place(10, 0, Board { row: [0; 14] }), 724);
            return out("ms", t.elapsed().as_secs_f64() * 1e3);
        }
        "parked" => return parked(1_000_000),
        "sleepers" => return sleepers(100_000),
        _ => return,
    };
    out("ns", ns);
}

fn main() {
    let (workers, shape) = arguments();
    may::config().set_workers(workers).set_stack_size(stack_bytes() / 8); // in words
    let task = unsafe {
        raw_spawn(move || {
            run(&shape);
            std::process::exit(0)
        })
    };
    let _: Result<(), _> = task.join();
}
