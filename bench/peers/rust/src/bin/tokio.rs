//! tokio's multi-thread runtime. Tasks have no stacks, so bytes of parked ones are not like for like. Its channels are neither unbuffered nor
//! for several receivers; flume's stand in for both.
use peers::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify, RwLock};
use tokio::task::{spawn, yield_now};

struct WaitGroup {
    left: AtomicUsize,
    open: AtomicBool,
    changed: Notify,
}
impl WaitGroup {
    fn new(n: usize) -> Arc<WaitGroup> {
        Arc::new(WaitGroup { left: AtomicUsize::new(n), open: AtomicBool::new(n == 0), changed: Notify::new() })
    }
    fn done(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1 {
            self.open.store(true, Release);
            self.changed.notify_waiters();
        }
    }
    async fn wait(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.open.load(Acquire) {
                return;
            }
            changed.await;
        }
    }
}

async fn spawn_all(n: usize) -> f64 {
    let all = WaitGroup::new(n);
    let t = Instant::now();
    for _ in 0..n {
        let all = all.clone();
        spawn(async move { all.done() });
    }
    all.wait().await;
    per(t, n)
}
async fn spawn_by(n: usize, batch: usize) -> f64 {
    let t = Instant::now();
    for _ in 0..n / batch {
        let all = WaitGroup::new(batch);
        for _ in 0..batch {
            let all = all.clone();
            spawn(async move { all.done() });
        }
        all.wait().await;
    }
    per(t, n)
}
async fn spawn_large(n: usize) -> f64 {
    let sum = Arc::new(AtomicUsize::new(0));
    let mut bytes = [0u8; 100];
    bytes[99] = 1;
    let t = Instant::now();
    for _ in 0..n / 100 {
        let all = WaitGroup::new(100);
        for _ in 0..100 {
            let (all, sum, bytes) = (all.clone(), sum.clone(), std::hint::black_box(bytes));
            spawn(async move {
                sum.fetch_add(bytes[99] as usize, Relaxed);
                all.done()
            });
        }
        all.wait().await;
    }
    let ns = per(t, n);
    assert_eq!(sum.load(Relaxed), n);
    ns
}
async fn yields(tasks: usize, n: usize) -> f64 {
    let all = WaitGroup::new(tasks);
    let t = Instant::now();
    for _ in 0..tasks {
        let all = all.clone();
        spawn(async move {
            for _ in 0..n / tasks {
                yield_now().await;
            }
            all.done();
        });
    }
    all.wait().await;
    per(t, n)
}
async fn ping_pong(n: usize) -> f64 {
    let (to_a, a) = flume::bounded::<usize>(0);
    let (to_b, b) = flume::bounded::<usize>(0);
    let both = WaitGroup::new(2);
    let (one, other) = (both.clone(), both.clone());
    let t = Instant::now();
    spawn(async move {
        for _ in 0..n {
            let v = a.recv_async().await.unwrap();
            to_b.send_async(v).await.unwrap();
        }
        one.done();
    });
    spawn(async move {
        for i in 0..n {
            to_a.send_async(i).await.unwrap();
            b.recv_async().await.unwrap();
        }
        other.done();
    });
    both.wait().await;
    per(t, n)
}
async fn buffered(n: usize, chans: usize, pairs: usize, capacity: usize) -> f64 {
    let all = WaitGroup::new(chans * pairs * 2);
    let t = Instant::now();
    for _ in 0..chans {
        let (to, from) = flume::bounded::<i32>(capacity);
        for _ in 0..pairs {
            let (to, from, one, other) = (to.clone(), from.clone(), all.clone(), all.clone());
            spawn(async move {
                for k in 0..n / chans / pairs {
                    to.send_async(k as i32).await.unwrap();
                }
                to.send_async(-1).await.unwrap();
                one.done();
            });
            spawn(async move {
                while from.recv_async().await.unwrap() >= 0 {}
                other.done();
            });
        }
    }
    all.wait().await;
    per(t, n)
}
async fn fan(n: usize) -> f64 {
    let (to_in, from_in) = flume::bounded::<usize>(0);
    let (to_out, from_out) = flume::bounded::<usize>(0);
    let all = WaitGroup::new(10);
    let t = Instant::now();
    for _ in 0..8 {
        let (from, to, all) = (from_in.clone(), to_out.clone(), all.clone());
        spawn(async move {
            for _ in 0..n / 8 {
                let v = from.recv_async().await.unwrap();
                to.send_async(v).await.unwrap();
            }
            all.done();
        });
    }
    let sender = all.clone();
    spawn(async move {
        for _ in 0..n / 8 * 8 {
            to_in.send_async(1).await.unwrap();
        }
        sender.done();
    });
    let receiver = all.clone();
    spawn(async move {
        let mut sum = 0;
        for _ in 0..n / 8 * 8 {
            sum += from_out.recv_async().await.unwrap();
        }
        assert_eq!(sum, n / 8 * 8);
        receiver.done();
    });
    all.wait().await;
    per(t, n)
}
async fn pipeline(n: usize, stages: usize) -> f64 {
    let all = WaitGroup::new(stages + 2);
    let (first, mut from) = flume::bounded::<usize>(0);
    let t = Instant::now();
    for _ in 0..stages {
        let (to, next) = flume::bounded::<usize>(0);
        let (source, all) = (from, all.clone());
        from = next;
        spawn(async move {
            for _ in 0..n {
                let v = source.recv_async().await.unwrap();
                to.send_async(v + 1).await.unwrap();
            }
            all.done();
        });
    }
    let sender = all.clone();
    spawn(async move {
        for _ in 0..n {
            first.send_async(0).await.unwrap();
        }
        sender.done();
    });
    let receiver = all.clone();
    spawn(async move {
        for _ in 0..n {
            assert_eq!(from.recv_async().await.unwrap(), stages);
        }
        receiver.done();
    });
    all.wait().await;
    per(t, n * stages)
}
fn senders(cases: usize, n: usize) -> Vec<flume::Receiver<usize>> {
    (0..cases)
        .map(|_| {
            let (to, from) = flume::bounded::<usize>(0);
            spawn(async move {
                for _ in 0..n / cases {
                    to.send_async(1).await.unwrap();
                }
                std::future::pending::<()>().await; // a closed channel would always be ready
            });
            from
        })
        .collect()
}
async fn select_4(n: usize) -> f64 {
    let t = Instant::now();
    let c = senders(4, n);
    let receiver = spawn(async move {
        let mut sum = 0;
        for _ in 0..n / 4 * 4 {
            sum += tokio::select! {
                v = c[0].recv_async() => v.unwrap(),
                v = c[1].recv_async() => v.unwrap(),
                v = c[2].recv_async() => v.unwrap(),
                v = c[3].recv_async() => v.unwrap(),
            };
        }
        sum
    });
    assert_eq!(receiver.await.unwrap(), n / 4 * 4);
    per(t, n)
}
async fn select_64(n: usize) -> f64 {
    let t = Instant::now();
    let c = senders(64, n);
    let receiver = spawn(async move {
        let mut sum = 0;
        for _ in 0..n / 64 * 64 {
            sum += tokio::select! {
                v = c[0].recv_async() => v.unwrap(),
                v = c[1].recv_async() => v.unwrap(),
                v = c[2].recv_async() => v.unwrap(),
                v = c[3].recv_async() => v.unwrap(),
                v = c[4].recv_async() => v.unwrap(),
                v = c[5].recv_async() => v.unwrap(),
                v = c[6].recv_async() => v.unwrap(),
                v = c[7].recv_async() => v.unwrap(),
                v = c[8].recv_async() => v.unwrap(),
                v = c[9].recv_async() => v.unwrap(),
                v = c[10].recv_async() => v.unwrap(),
                v = c[11].recv_async() => v.unwrap(),
                v = c[12].recv_async() => v.unwrap(),
                v = c[13].recv_async() => v.unwrap(),
                v = c[14].recv_async() => v.unwrap(),
                v = c[15].recv_async() => v.unwrap(),
                v = c[16].recv_async() => v.unwrap(),
                v = c[17].recv_async() => v.unwrap(),
                v = c[18].recv_async() => v.unwrap(),
                v = c[19].recv_async() => v.unwrap(),
                v = c[20].recv_async() => v.unwrap(),
                v = c[21].recv_async() => v.unwrap(),
                v = c[22].recv_async() => v.unwrap(),
                v = c[23].recv_async() => v.unwrap(),
                v = c[24].recv_async() => v.unwrap(),
                v = c[25].recv_async() => v.unwrap(),
                v = c[26].recv_async() => v.unwrap(),
                v = c[27].recv_async() => v.unwrap(),
                v = c[28].recv_async() => v.unwrap(),
                v = c[29].recv_async() => v.unwrap(),
                v = c[30].recv_async() => v.unwrap(),
                v = c[31].recv_async() => v.unwrap(),
                v = c[32].recv_async() => v.unwrap(),
                v = c[33].recv_async() => v.unwrap(),
                v = c[34].recv_async() => v.unwrap(),
                v = c[35].recv_async() => v.unwrap(),
                v = c[36].recv_async() => v.unwrap(),
                v = c[37].recv_async() => v.unwrap(),
                v = c[38].recv_async() => v.unwrap(),
                v = c[39].recv_async() => v.unwrap(),
                v = c[40].recv_async() => v.unwrap(),
                v = c[41].recv_async() => v.unwrap(),
                v = c[42].recv_async() => v.unwrap(),
                v = c[43].recv_async() => v.unwrap(),
                v = c[44].recv_async() => v.unwrap(),
                v = c[45].recv_async() => v.unwrap(),
                v = c[46].recv_async() => v.unwrap(),
                v = c[47].recv_async() => v.unwrap(),
                v = c[48].recv_async() => v.unwrap(),
                v = c[49].recv_async() => v.unwrap(),
                v = c[50].recv_async() => v.unwrap(),
                v = c[51].recv_async() => v.unwrap(),
                v = c[52].recv_async() => v.unwrap(),
                v = c[53].recv_async() => v.unwrap(),
                v = c[54].recv_async() => v.unwrap(),
                v = c[55].recv_async() => v.unwrap(),
                v = c[56].recv_async() => v.unwrap(),
                v = c[57].recv_async() => v.unwrap(),
                v = c[58].recv_async() => v.unwrap(),
                v = c[59].recv_async() => v.unwrap(),
                v = c[60].recv_async() => v.unwrap(),
                v = c[61].recv_async() => v.unwrap(),
                v = c[62].recv_async() => v.unwrap(),
                v = c[63].recv_async() => v.unwrap(),
            };
        }
        sum
    });
    assert_eq!(receiver.await.unwrap(), n / 64 * 64);
    per(t, n)
}
async fn mutex(tasks: usize, n: usize) -> f64 {
    let m = Arc::new(Mutex::new(0usize));
    let all = WaitGroup::new(tasks);
    let t = Instant::now();
    for _ in 0..tasks {
        let (m, all) = (m.clone(), all.clone());
        spawn(async move {
            for _ in 0..n / tasks {
                *m.lock().await += 1;
            }
            all.done();
        });
    }
    all.wait().await;
    per(t, n)
}
async fn read_mostly(n: usize) -> f64 {
    let m = Arc::new(RwLock::new(0usize));
    let all = WaitGroup::new(8);
    let t = Instant::now();
    for _ in 0..8 {
        let (m, all) = (m.clone(), all.clone());
        spawn(async move {
            let mut sum = 0;
            for k in 0..n / 8 {
                if k % 100 == 99 {
                    *m.write().await += 1;
                } else {
                    sum += *m.read().await;
                }
            }
            std::hint::black_box(sum);
            all.done();
        });
    }
    all.wait().await;
    let ns = per(t, n);
    assert_eq!(*m.read().await, n / 8 / 100 * 8);
    ns
}
fn sky(to: flume::Sender<usize>, number: usize, size: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if size == 1 {
            to.send_async(number).await.unwrap();
            return;
        }
        let (tx, from) = flume::bounded(0);
        for i in 0..10 {
            spawn(sky(tx.clone(), number + i * (size / 10), size / 10));
        }
        let mut sum = 0;
        for _ in 0..10 {
            sum += from.recv_async().await.unwrap();
        }
        to.send_async(sum).await.unwrap();
    })
}
async fn skynet(n: usize) -> f64 {
    let t = Instant::now();
    let (to, from) = flume::bounded(0);
    spawn(sky(to, 0, n));
    let sum = from.recv_async().await.unwrap();
    let ns = per(t, n);
    assert_eq!(sum, n * (n - 1) / 2);
    ns
}
fn sky_join(number: usize, size: usize) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    Box::pin(async move {
        if size == 1 {
            return number;
        }
        let mut parts = Vec::with_capacity(10);
        for i in 0..10 {
            parts.push(spawn(sky_join(number + i * (size / 10), size / 10)));
        }
        let mut sum = 0;
        for part in parts {
            sum += part.await.unwrap();
        }
        sum
    })
}
async fn skynet_join(n: usize) -> f64 {
    let t = Instant::now();
    let sum = spawn(sky_join(0, n)).await.unwrap();
    let ns = per(t, n);
    assert_eq!(sum, n * (n - 1) / 2);
    ns
}
fn fib(n: usize) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n as u64;
        }
        let a = spawn(fib(n - 1));
        let b = fib(n - 2).await;
        a.await.unwrap() + b
    })
}
async fn fibonacci(n: usize) -> f64 {
    let t = Instant::now();
    let f = fib(n).await;
    let ns = t.elapsed().as_nanos() as f64;
    let (right, tasks) = fib_and_tasks(n);
    assert_eq!(f, right);
    ns / tasks
}
fn place(n: usize, column: usize, b: Board) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if column == n {
            return 1;
        }
        let mut parts = Vec::with_capacity(n);
        for r in free_rows(n, column, &b) {
            let mut next = b;
            next.row[column] = r;
            parts.push(spawn(place(n, column + 1, next)));
        }
        let mut sum = 0;
        for part in parts {
            sum += part.await.unwrap();
        }
        sum
    })
}
async fn parked(n: usize) {
    let before = resident_bytes();
    let (gate, started, all) = (WaitGroup::new(1), WaitGroup::new(n), WaitGroup::new(n));
    let t = Instant::now();
    for i in 0..n {
        let (gate, started, all) = (gate.clone(), started.clone(), all.clone());
        spawn(async move {
            started.done();
            gate.wait().await;
            all.done();
        });
        if i % 64 == 63 {
            yield_now().await;
        }
    }
    started.wait().await;
    out("create_ns", per(t, n));
    out("bytes", (resident_bytes() - before) / n as f64);
    let t = Instant::now();
    gate.done();
    all.wait().await;
    out("wake_ns", per(t, n));
}
async fn sleepers(n: usize) {
    let all = WaitGroup::new(n);
    let cpu = cpu_ms();
    let t = Instant::now();
    for i in 0..n {
        let all = all.clone();
        spawn(async move {
            tokio::time::sleep(Duration::from_millis(100 + i as u64 % 100)).await;
            all.done();
        });
    }
    all.wait().await;
    out("wall_ms", t.elapsed().as_secs_f64() * 1e3);
    out("cpu_ms", cpu_ms() - cpu);
}
async fn late(talk: bool, n: usize) {
    let stop = Arc::new(AtomicBool::new(false));
    let busy = WaitGroup::new(4);
    for _ in 0..2 {
        if talk {
            let (to_a, a) = flume::bounded::<i32>(0);
            let (to_b, b) = flume::bounded::<i32>(0);
            let (one, other, stop) = (busy.clone(), busy.clone(), stop.clone());
            spawn(async move {
                loop {
                    let v = a.recv_async().await.unwrap();
                    to_b.send_async(v).await.unwrap();
                    if v < 0 {
                        break;
                    }
                }
                one.done();
            });
            spawn(async move {
                loop {
                    to_a.send_async(if stop.load(Relaxed) { -1 } else { 1 }).await.unwrap();
                    if b.recv_async().await.unwrap() < 0 {
                        break;
                    }
                }
                other.done();
            });
        } else {
            for _ in 0..2 {
                let (busy, stop) = (busy.clone(), stop.clone());
                spawn(async move {
                    while !stop.load(Relaxed) {}
                    busy.done();
                });
            }
        }
    }
    let timer = spawn(async move {
        let mut late = Vec::with_capacity(n);
        for _ in 0..n {
            let t = Instant::now();
            tokio::time::sleep(Duration::from_millis(1)).await;
            late.push(t.elapsed().as_nanos() as f64 / 1e3 - 1000.0);
        }
        late
    });
    let all = timer.await.unwrap();
    stop.store(true, Relaxed);
    busy.wait().await;
    lateness(all);
}

async fn run(shape: &str) {
    let ns = match shape {
        "spawn" => (spawn_all(100_000).await, spawn_all(1_000_000).await).1,
        "spawn_100" => (spawn_by(100_000, 100).await, spawn_by(1_000_000, 100).await).1,
        "spawn_large" => (spawn_large(100_000).await, spawn_large(1_000_000).await).1,
        "spawn_one" => (spawn_by(10_000, 1).await, spawn_by(500_000, 1).await).1,
        "yield_2" => (yields(2, 100_000).await, yields(2, 4_000_000).await).1,
        "yield_1000" => (yields(1000, 100_000).await, yields(1000, 4_000_000).await).1,
        "ping_pong" => (ping_pong(10_000).await, ping_pong(1_000_000).await).1,
        "buffered" => (buffered(10_000, 1, 4, 128).await, buffered(4_000_000, 1, 4, 128).await).1,
        "channels_8" => (buffered(10_000, 8, 1, 16).await, buffered(4_000_000, 8, 1, 16).await).1,
        "fan" => (fan(10_000).await, fan(1_000_000).await).1,
        "pipeline" => (pipeline(100, 100).await, pipeline(20_000, 100).await).1,
        "select_4" => (select_4(10_000).await, select_4(2_000_000).await).1,
        "select_64" => (select_64(6400).await, select_64(200_000).await).1,
        "mutex_1" => (mutex(1, 200_000).await, mutex(1, 20_000_000).await).1,
        "mutex_8" => (mutex(8, 80_000).await, mutex(8, 8_000_000).await).1,
        "read_mostly" => (read_mostly(80_000).await, read_mostly(8_000_000).await).1,
        "skynet" => (skynet(1000).await, skynet(1_000_000).await).1,
        "skynet_join" => (skynet_join(1000).await, skynet_join(1_000_000).await).1,
        "fib_25" => (fibonacci(15).await, fibonacci(25).await).1,
        "queens_10" => {
            let t = Instant::now();
            assert_eq!(place(10, 0, Board { row: [0; 14] }).await, 724);
            return out("ms", t.elapsed().as_secs_f64() * 1e3);
        }
        "parked" => return parked(1_000_000).await,
        "sleepers" => return sleepers(100_000).await,
        "late_talking" => return late(true, 2000).await,
        // Two tasks that never await keep both workers: the timer would not run at all.
        _ => return,
    };
    out("ns", ns);
}

fn main() {
    let (workers, shape) = arguments();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    runtime.block_on(async move { spawn(async move { run(&shape).await }).await.unwrap() });
    std::process::exit(0);
}
