//! Steps of one service, with crashes and failing commits, and the events and messages they lead to.

use super::*;

enum Step {
    Healthy,
    Degraded,
    Unhealthy,
    /// The rule fails.
    Broken,
    Pass(u64),
    Crash,
    CommitsFail(usize),
    CommitsDoubtful(usize),
}

/// A timeline: its name, the rule's duration in seconds, what happens, the events and the outbox afterwards.
type Timeline = (
    &'static str,
    u64,
    Vec<Step>,
    Vec<&'static str>,
    Vec<&'static str>,
);

#[tokio::test(start_paused = true)]
async fn timelines() {
    use Step::*;
    let cases: Vec<Timeline> = vec![
        (
            "one alert while the service stays down",
            0,
            vec![
                Unhealthy,
                Pass(30),
                Unhealthy,
                Pass(30),
                Unhealthy,
                Pass(30),
                Healthy,
                Healthy,
            ],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "pending goes on over a crash",
            60,
            vec![Unhealthy, Pass(40), Crash, Unhealthy, Pass(20), Unhealthy],
            vec!["1:pending", "1:firing"],
            vec!["slack-1:firing"],
        ),
        (
            "firing goes on over a crash and is resolved after it",
            0,
            vec![Unhealthy, Crash, Unhealthy, Crash, Healthy],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "a flapping service that stays below the duration disturbs nobody",
            60,
            vec![
                Unhealthy,
                Pass(30),
                Healthy,
                Pass(30),
                Unhealthy,
                Pass(30),
                Healthy,
            ],
            vec!["1:pending", "1:resolved", "2:pending", "2:resolved"],
            vec![],
        ),
        (
            "no opinion and a failing rule change nothing",
            0,
            vec![
                Degraded,
                Broken,
                Unhealthy,
                Degraded,
                Broken,
                Pass(600),
                Broken,
            ],
            vec!["1:firing"],
            vec!["slack-1:firing"],
        ),
        (
            "a failed commit is made up for without another observation",
            0,
            vec![CommitsFail(3), Unhealthy, Pass(20)],
            vec!["1:firing"],
            vec!["slack-1:firing"],
        ),
        (
            "a failed commit is made up for by the next observation",
            0,
            vec![Unhealthy, CommitsFail(1), Healthy, Healthy],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "a commit that failed before a crash comes up again",
            0,
            vec![CommitsFail(1), Unhealthy, Crash, Unhealthy],
            vec!["1:firing"],
            vec!["slack-1:firing"],
        ),
        (
            "a breach that could not be committed is told although it is over",
            0,
            vec![CommitsFail(1), Unhealthy, Healthy],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "a breach that could not be committed until it was over is told, and its end behind it",
            0,
            vec![CommitsFail(2), Unhealthy, Healthy, Pass(60)],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "commits that fail for long lose neither a breach nor its end, nor the time that it has lasted",
            60,
            vec![
                CommitsFail(8),
                Unhealthy,
                Pass(1),
                Unhealthy,
                Pass(1),
                Unhealthy,
                Pass(70),
                Unhealthy,
                Healthy,
                Pass(300),
            ],
            vec!["1:pending", "1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "a commit that was done although it answered with an error is not done twice",
            0,
            vec![
                CommitsDoubtful(1),
                Unhealthy,
                Pass(20),
                Unhealthy,
                CommitsDoubtful(1),
                Healthy,
                Pass(20),
                Healthy,
            ],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
    ];
    for (name, duration_s, steps, story, outbox) in cases {
        let mut world = World::new(&[lasting(duration_s)]).await;
        for step in steps {
            match step {
                Healthy => world.observe("shop-api", Status::Healthy).await,
                Degraded => world.observe("shop-api", Status::Degraded).await,
                Unhealthy => world.observe("shop-api", Status::Unhealthy).await,
                Broken => world.observe("shop-api", Status::Error).await,
                Pass(seconds) => pass(seconds).await,
                Crash => world.crash().await,
                CommitsFail(count) => world.store.fail_commits(count),
                CommitsDoubtful(count) => world.store.fail_commits_afterwards(count),
            }
        }
        assert_eq!(world.store.story(), story, "{name}");
        assert_eq!(world.outbox(), outbox, "{name}");
    }
}
