//! What both programs share: output, resident memory, CPU time, and what needs no runtime.
use std::time::Instant;

pub fn out(metric: &str, value: f64) {
    println!("{metric} {value:.3}");
}
pub fn per(t: Instant, n: usize) -> f64 {
    t.elapsed().as_nanos() as f64 / n as f64
}
pub fn resident_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}
pub fn cpu_ms() -> f64 {
    unsafe {
        let mut u: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut u);
        (u.ru_utime.tv_sec + u.ru_stime.tv_sec) as f64 * 1e3 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) as f64 / 1e3
    }
}
/// WORKERS SHAPE
pub fn arguments() -> (usize, String) {
    let a: Vec<String> = std::env::args().collect();
    (a[1].parse().unwrap(), a[2].clone())
}
pub fn stack_bytes() -> usize {
    std::env::var("BENCH_STACK").ok().and_then(|s| s.parse().ok()).unwrap_or(16384)
}
pub fn lateness(mut late: Vec<f64>) {
    late.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let at = |part: f64| late[(part * (late.len() - 1) as f64) as usize];
    out("p50_us", at(0.5));
    out("p99_us", at(0.99));
    out("p99.9_us", at(0.999));
}
/// fib(n), and the number of tasks that computing it takes.
pub fn fib_and_tasks(n: usize) -> (u64, f64) {
    let (mut a, mut b) = (0u64, 1u64);
    for _ in 0..n {
        (a, b) = (b, a + b);
    }
    (a, (b - 1) as f64)
}

#[derive(Clone, Copy)]
pub struct Board {
    pub row: [i8; 14],
}
/// The rows of the next column that no queen attacks.
pub fn free_rows(n: usize, column: usize, b: &Board) -> Vec<i8> {
    (0..n as i8)
        .filter(|&r| (0..column).all(|c| b.row[c] != r && (b.row[c] - r).unsigned_abs() as usize != column - c))
        .collect()
}
