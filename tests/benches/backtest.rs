//! How fast a backtest is: 30 days of one service's observations, one every 30 s, played to bundled
//! rules in a row, beside the same evaluations in a fresh instance each, as they run live.

/// Of which this one needs the start alone.
#[path = "common/host.rs"]
#[allow(dead_code)]
mod host;

use std::sync::Arc;
use std::time::{Duration, Instant};

use extrack::alerts::history::{Reach, ServiceHistory};
use extrack::backtest::{BacktestRun, PAGE, pages, simulate};
use extrack::domain::{
    AlertRule, History, LOCAL, Observation, Phases, Severity, Status, UnixMillis,
};
use extrack::plugin_host::{PluginHost, RuleCall};
use serde_json::{Value, json};

const START_MS: UnixMillis = 1_795_000_000_000;
const EVERY_MS: i64 = 30_000;
const RUNS: i64 = 30 * 24 * 120;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let host = host::start_host(folder.path()).await;
    let observations: Vec<Observation> = (1..=RUNS).map(observation).collect();
    println!("backtest: {RUNS} observations of one service, one core");
    for (plugin, settings) in [
        (
            "condition",
            json!({"condition": "status in ['unhealthy', 'error']"}),
        ),
        ("availability", json!({"threshold": 99.5, "window": "10m"})),
        ("response_time", json!({"threshold": 800, "window": "10m"})),
    ] {
        let version = host.rule_version(plugin).expect("it is bundled");
        let rule = Arc::new(rule(plugin, settings));
        let look_back = host
            .look_back_of_version(&version, &rule.settings)
            .await
            .expect("it says how far it looks");
        let run = BacktestRun {
            rule: rule.clone(),
            look_back,
            interval: Duration::from_millis(EVERY_MS as u64),
            retries: Default::default(),
            tick: Duration::from_secs(15),
            ticks: version.ticks(),
            no_data_after: Some(Duration::from_secs(300)),
            since_ms: START_MS,
            until_ms: i64::MAX,
        };
        let mut session = host.rule_session(&version, &rule.service, &rule.settings);
        // Runs are numbered from 1.
        let stored = pages(|after_run| {
            let from = usize::try_from(after_run).unwrap_or(0).min(RUNS as usize);
            let page = observations[from..].iter().take(PAGE).cloned().collect();
            std::future::ready(Ok(page))
        });
        let start = Instant::now();
        let outcome = simulate(&run, stored, &mut session, &|_| {})
            .await
            .expect("it can be played");
        let in_a_row = outcome.evaluations as f64 / start.elapsed().as_secs_f64();
        let fresh = fresh(&host, &rule, &observations[..2_000]).await;
        println!(
            "  {plugin:<14} {in_a_row:>9.0} evaluations/s, {} alerts; in a fresh instance each {fresh:>9.0}/s, 1 : {:.1}",
            outcome.episodes.len(),
            in_a_row / fresh,
        );
        assert!(!outcome.is_impure && outcome.failures == 0, "{outcome:?}");
    }
}

async fn fresh(host: &PluginHost, rule: &AlertRule, observations: &[Observation]) -> f64 {
    let interval = Duration::from_millis(EVERY_MS as u64);
    let mut history = ServiceHistory::new(Reach {
        look_back: Duration::from_secs(600),
        interval,
    });
    let start = Instant::now();
    for observation in observations {
        history.push(Arc::new(observation.clone()));
        let history: Arc<dyn History> = Arc::new(history.clone());
        let call = RuleCall {
            plugin: &rule.plugin,
            service: &rule.service,
            settings: &rule.settings,
            now_ms: observation.ts_ms,
            history,
        };
        host.evaluate(call).await.expect("it has a verdict");
    }
    observations.len() as f64 / start.elapsed().as_secs_f64()
}

fn rule(plugin: &str, settings: Value) -> AlertRule {
    AlertRule {
        key: format!("shop-api/{plugin}"),
        name: plugin.to_owned(),
        service: "shop-api".to_owned(),
        plugin: plugin.to_owned(),
        settings,
        probes: None,
        duration: Duration::from_secs(60),
        severity: Severity::Critical,
        channels: Vec::new(),
        is_routed: false,
        options: Default::default(),
        escalation: None,
    }
}

/// Down for ten minutes in every six hours.
fn observation(run: i64) -> Observation {
    let is_down = run % 720 < 20;
    Observation {
        ts_ms: START_MS + run * EVERY_MS,
        service: "shop-api".to_owned(),
        probe: "http".to_owned(),
        location: LOCAL.to_owned(),
        status: if is_down {
            Status::Unhealthy
        } else {
            Status::Healthy
        },
        latency_us: Some(80_000 + (run as u64 * 7_919) % 40_000),
        phases: Phases::default(),
        http_status: Some(if is_down { 503 } else { 200 }),
        failure: None,
        bytes: 512,
        plugin: "http".to_owned(),
        plugin_version: "0.1.0".to_owned(),
        run_id: run,
        metrics: Vec::new(),
        excluded: None,
        rate_limits: Vec::new(),
        missed: false,
    }
}
