use wasmtime::ResourceLimiterAsync;

use super::*;

const MIB: usize = 1 << 20;

fn memory(mebibytes: usize) -> Arc<RunMemory> {
    Arc::new(RunMemory::new((mebibytes * MIB) as u64))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// A run that has nothing so far.
async fn run(memory: &Arc<RunMemory>, budget_mebibytes: usize) -> MemoryLimiter {
    let reservation = memory.reserve(0, soon()).await.unwrap();
    MemoryLimiter::new((budget_mebibytes * MIB) as u64, reservation, soon())
}

#[tokio::test(start_paused = true)]
async fn all_memories_of_a_store_are_counted_together() {
    let memory = memory(64);
    let mut limiter = run(&memory, 4).await;
    assert!(limiter.memory_growing(0, 2 * MIB, None).await.unwrap());
    assert!(limiter.memory_growing(0, 2 * MIB, None).await.unwrap());
    assert!(
        !limiter
            .memory_growing(2 * MIB, 2 * MIB + 65_536, None)
            .await
            .unwrap()
    );
    assert!(limiter.refused);
    assert_eq!(limiter.peak, 4 << 20);
    assert_eq!(memory.in_use().reserved_bytes, 4 << 20);
    drop(limiter);
    assert_eq!(
        memory.in_use(),
        RunMemoryUse {
            limit_bytes: 64 << 20,
            reserved_bytes: 0
        }
    );
}

#[tokio::test(start_paused = true)]
async fn runs_together_get_no_more_than_there_is_and_one_that_has_memory_ends_after_a_bounded_wait()
{
    let memory = memory(32);
    let (mut first, mut second) = (run(&memory, 64).await, run(&memory, 64).await);
    assert!(first.memory_growing(0, 8 * MIB, None).await.unwrap());
    assert!(second.memory_growing(0, 8 * MIB, None).await.unwrap());
    // Both hold what the other waits for.
    let start = Instant::now();
    let ended = tokio::join!(
        first.memory_growing(8 * MIB, 12 * MIB, None),
        second.memory_growing(8 * MIB, 12 * MIB, None)
    );
    assert!(ended.0.is_err() && ended.1.is_err());
    assert!(first.exhausted && second.exhausted && !first.refused);
    assert_eq!(start.elapsed(), GROWTH_WAIT);
    assert_eq!(memory.in_use().reserved_bytes, 16 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_new_run_waits_for_memory_that_another_gives_back() {
    let memory = memory(32);
    let held = memory.reserve(16 << 20, soon()).await.unwrap();
    let waiting = tokio::spawn({
        let memory = memory.clone();
        async move { memory.reserve(10 << 20, soon()).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(held);
    let got = waiting.await.unwrap().unwrap();
    assert_eq!(memory.in_use().reserved_bytes, 10 << 20);
    drop(got);
    let held = memory.reserve(16 << 20, soon()).await.unwrap();
    assert_eq!(
        memory.reserve(10 << 20, soon()).await.unwrap_err(),
        NoMemory,
        "and not beyond its deadline"
    );
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn large_runs_leave_small_ones_their_half() {
    let memory = memory(32);
    let mut large = Vec::new();
    while let Ok(reservation) = memory.reserve(4 << 20, Instant::now()).await {
        large.push(reservation);
    }
    assert_eq!(large.len(), 4);
    let mut small = run(&memory, 64).await;
    assert!(small.memory_growing(0, MIB, None).await.unwrap());
    // It turns out to be a large one.
    assert!(small.memory_growing(MIB, 3 * MIB, None).await.is_err());
    large.pop();
    assert!(small.memory_growing(MIB, 3 * MIB, None).await.unwrap());
    drop(large);
    assert_eq!(memory.in_use().reserved_bytes, 3 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_can_never_have_so_much_ends_at_once() {
    let memory = memory(32);
    let mut limiter = run(&memory, 64).await;
    let start = Instant::now();
    assert!(limiter.memory_growing(0, 17 * MIB, None).await.is_err());
    assert_eq!(start.elapsed(), Duration::ZERO);
    // What is merely expected is cut to what there is.
    assert!(memory.reserve(100 << 20, soon()).await.is_ok());
}

#[test]
fn buffers_of_the_host_count_and_are_refused_beyond_the_limit() {
    let memory = memory(2);
    let mut held = HostMemory::default();
    assert!(held.grow(&memory, MIB / 2) && held.grow(&memory, MIB));
    assert!(!held.grow(&memory, MIB + 1), "half of it is for small runs");
    assert_eq!(memory.in_use().reserved_bytes, 1 << 20);
    held.shrink(MIB / 2);
    assert_eq!(memory.in_use().reserved_bytes, 512 << 10);
    held.shrink(MIB);
    drop(held);
    assert_eq!(memory.in_use().reserved_bytes, 0);
}

#[test]
fn bytes_for_a_run_that_has_not_begun_count_and_are_refused_beyond_the_limit() {
    let memory = memory(2);
    let mut inbound = InboundMemory::of(&memory);
    assert!(inbound.grow(UNCOUNTED_BYTES));
    assert_eq!(memory.in_use().reserved_bytes, 0);
    assert!(inbound.grow(MIB) && !inbound.grow(MIB + 1));
    assert_eq!(memory.in_use().reserved_bytes, 1 << 20);
    drop(inbound);
    assert_eq!(memory.in_use().reserved_bytes, 0);
    assert!(InboundMemory::default().grow(usize::MAX));
}

#[test]
fn what_a_plugin_needed_is_expected_again_and_forgotten_little_by_little() {
    let expected = ExpectedMemory::default();
    expected.note(80);
    assert_eq!(expected.bytes(), 80);
    expected.note(0);
    assert_eq!(expected.bytes(), 70);
    for _ in 0..100 {
        expected.note(8);
    }
    assert_eq!(expected.bytes(), 8);
}

#[test]
fn the_default_follows_from_the_machine() {
    assert_eq!(
        machine_bytes("MemTotal:       8388608 kB\nMemFree: 1 kB\n"),
        Some(8 << 30)
    );
    assert_eq!(machine_bytes("MemFree: 1 kB\n"), None);
    assert!(default_bytes() >= LEAST_BYTES);
}
