//! The program beside others that people would take: Prometheus with blackbox_exporter, and `check_http` of
//! monitoring-plugins, started for each check. Each does the same number of HTTP checks a second of
//! the same nginx, one system after the other, at several rates, so that what is fixed and what
//! grows are apart. Prometheus and the program have a rule over each check. nginx counts what was
//! done.
//!
//! `EXTRACK_BENCH_RATES` (checks a second, with commas) and `EXTRACK_BENCH_SECONDS` (of each measurement)
//! ask for something else.

#[path = "common/process.rs"]
mod process;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use extrack_tests::ports::{free_address, is_open};
use extrack_tests::process::terminate;
use extrack_tests::{PATIENCE, TargetServer, TestRuntime, wait_for};
use process::{Lag, Usage, cpu_seconds, lag};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const RATES: &str = "100,500,1500";
const SECONDS: u64 = 30;
const SETTLING: Duration = Duration::from_secs(10);
/// Targets are checked once a second each, so that their number is the rate.
const CHECK_TIMEOUT_MS: u64 = 900;
/// Runs of `check_http` at once.
const STARTERS: u32 = 32;
/// Longer than `check_http` takes before it gives up by itself.
const CHECK_HTTP_PATIENCE: Duration = Duration::from_secs(30);
/// Looks at memory in a second: runs of `check_http` are short.
const LOOKS: u64 = 10;
/// Share of the wanted checks below which a system does not keep the rate.
const KEPT: f64 = 0.98;
/// Time of ended children in `/proc/PID/stat`, behind the name: cutime and cstime.
const OF_CHILDREN: [usize; 2] = [13, 14];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure());
}

fn rates() -> Vec<u64> {
    let text = std::env::var("EXTRACK_BENCH_RATES").unwrap_or_else(|_| RATES.to_owned());
    let rates = text.split(',').map(|rate| rate.trim().parse::<u64>());
    let rates: Result<Vec<u64>, _> = rates.collect();
    let rates = rates.expect("EXTRACK_BENCH_RATES has whole numbers with commas between them");
    assert!(!rates.contains(&0), "EXTRACK_BENCH_RATES are above 0");
    rates
}

fn seconds() -> u64 {
    let seconds = std::env::var("EXTRACK_BENCH_SECONDS").map_or(SECONDS, |text| {
        text.parse()
            .expect("EXTRACK_BENCH_SECONDS is a whole number")
    });
    assert!(seconds > 0, "EXTRACK_BENCH_SECONDS is above 0");
    seconds
}

async fn measure() {
    let (rates, seconds) = (rates(), seconds());
    let nginx = TargetServer::start_counted().await;
    println!(
        "peers: HTTP checks of nginx on loopback, each target once a second, {seconds} s each after {} s of settling, one system after the other; \
         checks are counted by nginx, CPU and memory are those of all processes of a system",
        SETTLING.as_secs()
    );
    let prometheus = Prometheus::find();
    if let Some(found) = &prometheus {
        println!(
            "  {}; {}: one alerting rule over all targets, every second",
            version(&found.prometheus, "--version").await,
            version(&found.exporter, "--version").await
        );
    }
    let check_http = find("check_http", "monitoring-plugins-basic");
    if let Some(program) = &check_http {
        println!(
            "  {}: no rule; CPU is that of its processes alone, without what a scheduler needs to start them",
            version(program, "-V").await
        );
    }
    for rate in rates {
        let title = format!("{rate} checks a second");
        println!(
            "  {title:<34}{:>12}{:>11}{:>22}{:>16}",
            "CPU s/s", "checks/s", "checks/CPU second", "memory, most"
        );
        let mut others = Vec::new();
        if let Some(found) = &prometheus {
            let measured = found.measure(&nginx, rate, seconds).await;
            others.push(("Prometheus, blackbox_exporter", measured));
        }
        if let Some(program) = &check_http {
            let measured = measure_check_http(program, &nginx, rate, seconds).await;
            others.push(("check_http", measured));
        }
        let (ours, late) = measure_program(&nginx, rate, seconds).await;
        report(&ours, &late, &others, rate);
    }
}

fn report(ours: &Measured, late: &Lag, others: &[(&str, Measured)], rate: u64) {
    for (name, measured) in others {
        measured.print(name, rate);
    }
    ours.print("extrack", rate);
    println!("    start lag of extrack: {late}");
    for (name, theirs) in others {
        println!(
            "    extrack : {name}: checks per CPU second {:.2} : 1, memory {:.2} : 1",
            ours.per_cpu_second() / theirs.per_cpu_second(),
            ours.cost.rss_mib / theirs.cost.rss_mib
        );
    }
}

/// Program of Debian, installed or unpacked by `runtime/setup.sh bench`.
fn find(name: &str, package: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from);
    let unpacked = home.join(".cache/extrack/peers").join(package);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([
            PathBuf::from("/usr/lib/nagios/plugins"),
            unpacked.join("usr/bin"),
        ])
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    if found.is_none() {
        println!(
            "  left out: `{name}` of Debian's {package} is not here; `runtime/setup.sh bench` fetches it"
        );
    }
    found
}

/// First line of what a program prints about itself, up to the details of its build.
async fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let output = timeout(PATIENCE, output)
        .await
        .expect("a program prints its version at once")
        .expect("a program that is there can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    line.split(" (").next().unwrap_or_default().to_owned()
}

/// Cost of a system up to now; memory is that of now.
#[derive(Clone, Copy)]
struct Cost {
    cpu_seconds: f64,
    rss_mib: f64,
    peak_mib: f64,
}

/// Processes that a system consists of.
enum Processes {
    /// Running ones, with all that they start.
    Running(Vec<u32>),
    /// Short ones of this name, started by this process.
    Started(&'static str),
}

impl Processes {
    fn cost(&self) -> Cost {
        match self {
            Self::Running(pids) => pids
                .iter()
                .map(|pid| cost_of(*pid))
                .reduce(Cost::and)
                .expect("a system has a process"),
            Self::Started(name) => {
                let comm = format!("{name}\n");
                let rss_mib: f64 = children(std::process::id())
                    .into_iter()
                    .filter(|pid| {
                        std::fs::read_to_string(format!("/proc/{pid}/comm"))
                            .is_ok_and(|found| found == comm)
                    })
                    .filter_map(Usage::while_it_lives)
                    .map(|usage| usage.rss_mib)
                    .sum();
                Cost {
                    cpu_seconds: cpu_seconds(std::process::id(), OF_CHILDREN)
                        .expect("this process lives"),
                    rss_mib,
                    peak_mib: rss_mib,
                }
            }
        }
    }
}

impl Cost {
    fn and(self, other: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            rss_mib: self.rss_mib + other.rss_mib,
            peak_mib: self.peak_mib + other.peak_mib,
        }
    }
}

/// Cost of a process, of those it started and of theirs. The time of an ended one is that of its parent.
fn cost_of(pid: u32) -> Cost {
    let with_ended = |pid, usage: Usage| Cost {
        cpu_seconds: usage.cpu_seconds + cpu_seconds(pid, OF_CHILDREN).unwrap_or(0.0),
        rss_mib: usage.rss_mib,
        peak_mib: usage.peak_mib,
    };
    let mut cost = with_ended(pid, Usage::of(pid));
    let mut below = children(pid);
    while let Some(child) = below.pop() {
        if let Some(usage) = Usage::while_it_lives(child) {
            cost = cost.and(with_ended(child, usage));
            below.extend(children(child));
        }
    }
    cost
}

fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let mut children = Vec::new();
    for thread in threads.into_iter().flatten().flatten() {
        let listed = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(
            listed
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    children
}

struct Measured {
    checks: u64,
    seconds: f64,
    /// CPU time of the measured time; mean of the memory and the most of it.
    cost: Cost,
}

impl Measured {
    /// Measures a system that runs and has settled.
    async fn of(processes: &Processes, nginx: &TargetServer, seconds: u64) -> Self {
        let requests = nginx.requests().await;
        let (began, before) = (Instant::now(), processes.cost());
        let mut now = before;
        let (mut rss_mib, mut peak_mib) = (0.0, before.peak_mib);
        let looks = seconds * LOOKS;
        for look in 1..=looks {
            sleep_until(began + Duration::from_millis(look * 1_000 / LOOKS)).await;
            now = processes.cost();
            rss_mib += now.rss_mib / looks as f64;
            peak_mib = now.peak_mib.max(peak_mib);
        }
        let elapsed = began.elapsed();
        Self {
            // Without the second question.
            checks: nginx.requests().await - requests - 1,
            seconds: elapsed.as_secs_f64(),
            cost: Cost {
                cpu_seconds: now.cpu_seconds - before.cpu_seconds,
                rss_mib,
                peak_mib,
            },
        }
    }

    fn per_cpu_second(&self) -> f64 {
        self.checks as f64 / self.cost.cpu_seconds
    }

    fn print(&self, name: &str, rate: u64) {
        let had = self.checks as f64 / self.seconds;
        println!(
            "    {name:<32}{:>12.3}{had:>11.0}{:>22.0}{:>12.0}, {:.0} MiB",
            self.cost.cpu_seconds / self.seconds,
            self.per_cpu_second(),
            self.cost.rss_mib,
            self.cost.peak_mib
        );
        if had < rate as f64 * KEPT {
            println!("      does not keep the rate: {had:.0} checks a second of {rate}");
        }
    }
}

/// Prometheus and the exporter that checks for it.
struct Prometheus {
    prometheus: PathBuf,
    exporter: PathBuf,
}

impl Prometheus {
    fn find() -> Option<Self> {
        let [prometheus, exporter] =
            ["prometheus", "prometheus-blackbox-exporter"].map(|name| find(name, name));
        Some(Self {
            prometheus: prometheus?,
            exporter: exporter?,
        })
    }

    async fn measure(&self, nginx: &TargetServer, rate: u64, seconds: u64) -> Measured {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (address, exporter_address) = (free_address(), free_address());
        let files = [
            (
                "exporter.yml",
                "modules: {http_2xx: {prober: http, http: {preferred_ip_protocol: ip4}}}\n"
                    .to_owned(),
            ),
            (
                "rules.yml",
                "groups: [{name: checks, rules: [{alert: Down, expr: probe_success == 0}]}]\n"
                    .to_owned(),
            ),
            (
                "prometheus.yml",
                prometheus_yaml(nginx, exporter_address, rate),
            ),
        ];
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a fresh folder can be filled");
        }
        let exporter = ["--config.file=exporter.yml", "--log.level=error"];
        let mut exporter = start(&self.exporter, &exporter, exporter_address, &folder).await;
        let prometheus = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--log.level=warn",
        ];
        let mut prometheus = start(&self.prometheus, &prometheus, address, &folder).await;
        sleep(SETTLING).await;
        let pids = [&prometheus, &exporter].map(|child| child.id().expect("it runs"));
        let measured = Measured::of(&Processes::Running(pids.into()), nginx, seconds).await;
        terminate(&mut prometheus, PATIENCE).await;
        terminate(&mut exporter, PATIENCE).await;
        measured
    }
}

/// Starts one of the two and waits until it listens.
async fn start(program: &Path, arguments: &[&str], address: SocketAddr, folder: &TempDir) -> Child {
    let log = folder.path().join(format!("log-{}", address.port()));
    let child = Command::new(program)
        .args(arguments)
        .arg(format!("--web.listen-address={address}"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a fresh folder can be filled"))
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("`{}` can't be started: {error}", program.display()));
    wait_for(
        &format!("`{}` to listen", program.display()),
        PATIENCE,
        async || {
            if is_open(address).await {
                Ok(())
            } else {
                Err(std::fs::read_to_string(&log).unwrap_or_default())
            }
        },
    )
    .await;
    child
}

/// Targets differ by a query that nginx ignores: equal ones would be one.
fn prometheus_yaml(nginx: &TargetServer, exporter: SocketAddr, rate: u64) -> String {
    let url = nginx.url();
    let targets: Vec<String> = (0..rate)
        .map(|index| format!("\"{url}/health?check={index}\""))
        .collect();
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: {CHECK_TIMEOUT_MS}ms, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: checks
    metrics_path: /probe
    params: {{module: [http_2xx]}}
    static_configs: [{{targets: [{}]}}]
    relabel_configs:
      - {{source_labels: [__address__], target_label: __param_target}}
      - {{source_labels: [__param_target], target_label: instance}}
      - {{target_label: __address__, replacement: \"{exporter}\"}}
",
        targets.join(", ")
    )
}

async fn measure_check_http(
    program: &Path,
    nginx: &TargetServer,
    rate: u64,
    seconds: u64,
) -> Measured {
    let begin = Instant::now();
    let each = Duration::from_secs(1).mul_f64(f64::from(STARTERS) / rate as f64);
    // Beyond the measured time, which a busy machine makes longer.
    let end = begin + SETTLING + Duration::from_secs(2 * seconds) + PATIENCE;
    let mut starters = JoinSet::new();
    for place in 0..STARTERS {
        let due = begin + each.mul_f64(f64::from(place) / f64::from(STARTERS));
        starters.spawn(run_check_http(
            program.to_owned(),
            nginx.port(),
            due,
            each,
            end,
        ));
    }
    sleep(SETTLING).await;
    let measured = Measured::of(&Processes::Started("check_http"), nginx, seconds).await;
    // Checks under way are killed with them.
    starters.shutdown().await;
    measured
}

/// Starts one check after the other. Those that are late follow at once.
async fn run_check_http(
    program: PathBuf,
    port: u16,
    mut due: Instant,
    each: Duration,
    end: Instant,
) {
    let port = port.to_string();
    while Instant::now() < end {
        sleep_until(due).await;
        let check = Command::new(&program)
            .args(["-I", "127.0.0.1", "-u", "/health", "-t", "2", "-p", &port])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        // Whether it was done is counted by nginx.
        timeout(CHECK_HTTP_PATIENCE, check)
            .await
            .expect("check_http gives up by itself")
            .expect("check_http can be started");
        due += each;
    }
}

/// Returns how late checks started as well.
async fn measure_program(nginx: &TargetServer, rate: u64, seconds: u64) -> (Measured, Lag) {
    let url = nginx.url();
    let service = |index: u64| {
        format!(
            "\n  - {{name: \"s{index}\", baseUrl: \"{url}\", healthEndpoint: /health, monitoring: {{interval: 1, timeout: {CHECK_TIMEOUT_MS}}}}}"
        )
    };
    let services: String = (0..rate).map(service).collect();
    let mut program = TestRuntime::builder()
        .services(format!("services:{services}\n"))
        // Nothing listens on the discard port, and nothing fails.
        .alerts(
            "notifications: [{channel: webhook, url: \"http://127.0.0.1:9/\"}]\n\
             alerts: [{name: Down, condition: \"status != 'healthy'\"}]\n",
        )
        .env("EXTRACK_LOG", "warn")
        .start()
        .await;
    let api = program.api();
    sleep(SETTLING).await;
    let before = lag(&api).await;
    let processes = Processes::Running(vec![program.pid()]);
    let measured = Measured::of(&processes, nginx, seconds).await;
    let late = Lag::between(&before, &lag(&api).await);
    program.stop().await;
    (measured, late)
}
