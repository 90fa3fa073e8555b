//! `kill -9` at random moments: what was committed is kept, and every notification that was due has
//! been sent.

use std::time::Duration;

use extrack_tests::kill_often;

const KILLS: usize = 100;

/// A machine that is too slow for all of them has shown enough by then.
const WITHIN: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_committed_is_lost_however_often_the_program_is_killed() {
    kill_often(KILLS, WITHIN).await;
}
