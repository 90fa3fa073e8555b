//! `kill -9` a thousand times: 0 transitions or messages lost, 0 out of order, none twice under two
//! keys. It takes the better part of an hour.
//!
//! `EXTRACK_BENCH_KILLS` and `EXTRACK_BENCH_SECONDS` ask for something else, `EXTRACK_TEST_SEED`
//! repeats a run.

use std::time::Duration;

use extrack_tests::kill_often;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a whole number"))
    })
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let kills = usize::try_from(setting("EXTRACK_BENCH_KILLS", 1_000)).expect("kills fit");
    runtime.block_on(kill_often(
        kills,
        Duration::from_secs(setting("EXTRACK_BENCH_SECONDS", 5_400)),
    ));
}
