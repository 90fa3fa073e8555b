//! One call of a plugin as its author asks for it on the command line, without a server: what `run`
//! does once and `bench` as often as it can.

mod credential;
mod delivery;
mod history;
mod sample;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::print::note;
use crate::config::Environment;
use crate::domain::duration::parse_duration;
use crate::domain::{
    Channel, CheckJob, Credential, DeliveryError, History, LOCAL, Message, MeterFigure, MeterSpan,
    Observation, Origin, PluginKind, Probe, Receipt, Reception, Service, Status, UnixMillis,
    VendorMeter, Verdict, Webhook, WebhookRequest, meter_spans, now_ms, slug,
};
use crate::local;
use crate::plugin_host::{
    LocalPlugin, MeterCall, PluginEntry, PluginError, PluginHost, ReceiveError, RuleCall,
    WebhookCall,
};

/// Arguments of the call.
#[derive(Debug, Args)]
pub(super) struct Given {
    /// Settings as JSON, or `@FILE` with them; `${VARIABLE}` in a text is replaced as in
    /// `services.yaml`. Default: `{}`.
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    /// Probe, meter: base URL of the service to check, or of the vendor. What is named here may be reached, private
    /// addresses too.
    #[arg(long)]
    pub(super) url: Option<String>,
    /// Probe, meter: a credential of the service, `[NAME=]bearer:TOKEN`, `[NAME=]basic:USER:PASSWORD`,
    /// `[NAME=]header:HEADER:VALUE` or `[NAME=]query:PARAMETER:VALUE`; NAME is `default` if
    /// not given. The secret itself as `$VARIABLE` or `@FILE`, in single quotes, so that it
    /// stays out of the shell's history.
    #[arg(long, value_name = "CREDENTIAL")]
    pub(super) auth: Vec<String>,
    /// Probe, meter: another host that it may reach, if it wants it: `name`, `name:port`, `*.name`.
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// Probe: the run is cut off after this.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Rule: the service's history, a JSON file: a list of runs, or what the API's
    /// `/services/SLUG/observations` answers.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Rule: time between two runs of the history.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    interval: Duration,
    #[command(flatten)]
    delivery: delivery::GivenDelivery,
    /// Notifier: send a sample message for real, without asking.
    #[arg(long)]
    pub(super) send: bool,
    /// Notifier: the message that all is well again, in place of the one that something is wrong.
    #[arg(long)]
    resolved: bool,
}

/// Ready to be made, as often as one likes.
pub(super) enum Call {
    Probe {
        service: Service,
        probe: Probe,
    },
    Rule {
        settings: Value,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    },
    Notifier {
        channel: Channel,
        message: Message,
    },
    Webhook {
        service: Service,
        webhook: Webhook,
        request: WebhookRequest,
    },
    Meter {
        service: Service,
        meter: VendorMeter,
        span: MeterSpan,
    },
}

pub(super) enum Answer {
    Probe(Box<Observation>),
    Rule(Result<Verdict, PluginError>),
    Notifier(Result<Receipt, DeliveryError>),
    Webhook(Result<Reception, ReceiveError>),
    Meter(Result<Vec<MeterFigure>, PluginError>),
}

/// A component that takes longer than a blink to compile.
const NOTED_BYTES: usize = 1 << 20;

/// Notes why nothing happens for a while.
pub(super) fn note_compiling(bytes: usize) {
    if bytes >= NOTED_BYTES {
        let mebibytes = bytes as f64 / f64::from(1 << 20);
        note(&format!(
            "compiling {mebibytes:.1} MiB to machine code, once for each version…"
        ));
    }
}

/// A component file, loaded as the server loads it.
pub(super) async fn load(file: &Path) -> Result<LocalPlugin> {
    let bytes = std::fs::read(file).with_context(|| format!("reading `{}`", file.display()))?;
    local::load_plugin(bytes.into(), note_compiling)
        .await
        .with_context(|| format!("`{}` is not a plugin", file.display()))
}

impl Given {
    /// Fails when the settings are refused, or when something is given that the plugin's kind has
    /// no use for.
    pub(super) async fn call(&self, plugin: &LocalPlugin) -> Result<Call> {
        let entry = plugin.entry();
        self.check_fits(entry.kind)?;
        plugin
            .allow_hosts(&self.allow_host)
            .context("reading `--allow-host`")?;
        let settings = self.settings()?;
        check_settings(plugin.host(), entry, &settings).await?;
        match entry.kind {
            PluginKind::Probe => self.probe(entry, settings),
            PluginKind::Rule => self.rule(plugin, settings).await,
            PluginKind::Notifier => Ok(self.notifier(entry, settings)),
            PluginKind::Webhook => self.webhook(entry, settings),
            PluginKind::Meter => self.meter(entry, settings),
        }
    }

    fn check_fits(&self, kind: PluginKind) -> Result<()> {
        // A meter takes what a probe takes.
        let taken = match kind {
            PluginKind::Meter => PluginKind::Probe,
            kind => kind,
        };
        let given = [
            ("--url", self.url.is_some(), PluginKind::Probe),
            ("--auth", !self.auth.is_empty(), PluginKind::Probe),
            (
                "--allow-host",
                !self.allow_host.is_empty(),
                PluginKind::Probe,
            ),
            (
                "--body, --header, --query, --sign, --unsigned",
                self.delivery.is_given(),
                PluginKind::Webhook,
            ),
            ("--history", self.history.is_some(), PluginKind::Rule),
            ("--send", self.send, PluginKind::Notifier),
            ("--resolved", self.resolved, PluginKind::Notifier),
        ];
        match given
            .iter()
            .find(|(_, is_given, of)| *is_given && *of != taken)
        {
            Some((name, _, of)) => bail!(
                "`{name}` is for a {}, and this is a {}",
                of.as_str(),
                kind.as_str()
            ),
            None => Ok(()),
        }
    }

    fn settings(&self) -> Result<Value> {
        let Some(given) = &self.settings else {
            return Ok(json!({}));
        };
        let (text, place) = match given.strip_prefix('@') {
            Some(file) => (
                std::fs::read_to_string(file).with_context(|| format!("reading `{file}`"))?,
                file,
            ),
            None => (given.clone(), "--settings"),
        };
        let mut settings: Value = serde_json::from_str(&text)
            .with_context(|| format!("`{place}` is not JSON; write e.g. '{{\"path\": \"/\"}}'"))?;
        let variables = Environment::read(Path::new("."));
        variables
            .expand_in(&mut settings)
            .map_err(|fault| anyhow!("reading `{place}`: {fault}"))?;
        if !settings.is_object() {
            bail!("`{place}` is no JSON object; settings are written {{\"name\": value}}");
        }
        Ok(settings)
    }

    fn probe(&self, entry: &PluginEntry, settings: Value) -> Result<Call> {
        let Some(base_url) = self.url.clone() else {
            bail!(
                "a probe needs something to check: `--url https://api.example.com`, or `--url host:port`"
            );
        };
        let probe = Probe {
            name: entry.name.clone(),
            plugin: entry.name.clone(),
            settings,
            interval: self.interval,
            timeout: self.timeout,
            retry: None,
        };
        let service = Service {
            credentials: self.credentials()?,
            probes: vec![probe.clone()],
            ..service(base_url)
        };
        Ok(Call::Probe { service, probe })
    }

    fn credentials(&self) -> Result<Vec<Credential>> {
        let texts = self.auth.iter();
        texts.map(|text| credential::parse(text)).collect()
    }

    /// Reads the month of which the last day that is over is part.
    fn meter(&self, entry: &PluginEntry, settings: Value) -> Result<Call> {
        let Some(base_url) = self.url.clone() else {
            bail!("a meter needs the address of the vendor: `--url https://api.example.com`");
        };
        let span = meter_spans(now_ms()).pop();
        let span = span.context("the clock is not within the times that are known")?;
        let meter = VendorMeter {
            name: entry.name.clone(),
            plugin: entry.name.clone(),
            settings,
            interval: self.interval,
        };
        let service = Service {
            credentials: self.credentials()?,
            meters: vec![meter.clone()],
            ..service(base_url)
        };
        Ok(Call::Meter {
            service,
            meter,
            span,
        })
    }

    async fn rule(&self, plugin: &LocalPlugin, settings: Value) -> Result<Call> {
        let look_back = plugin
            .host()
            .look_back(&plugin.entry().name, &settings)
            .await?;
        let observations = match &self.history {
            Some(file) => history::read(file, self.interval)?,
            None => bail!(
                "a rule needs a history to judge: `--history runs.json`, e.g. \
                 '[{{\"status\": \"healthy\", \"latencyMs\": 80}}, {{\"status\": \"error\"}}]'"
            ),
        };
        let (history, now_ms) = local::history_of(observations, look_back, self.interval);
        Ok(Call::Rule {
            settings,
            history,
            now_ms,
        })
    }

    fn webhook(&self, entry: &PluginEntry, settings: Value) -> Result<Call> {
        let webhook = Webhook {
            name: entry.name.clone(),
            plugin: entry.name.clone(),
            settings,
            unsigned: self.delivery.unsigned,
        };
        let service = Service {
            webhooks: vec![webhook.clone()],
            ..service("https://sample-service.invalid".to_owned())
        };
        Ok(Call::Webhook {
            service,
            webhook,
            request: self.delivery.request()?,
        })
    }

    fn notifier(&self, entry: &PluginEntry, settings: Value) -> Call {
        Call::Notifier {
            channel: sample::channel(entry, settings),
            message: sample::message(self.resolved),
        }
    }
}

impl Call {
    pub(super) async fn make(&self, host: &PluginHost, plugin: &str) -> Answer {
        match self {
            Call::Probe { service, probe } => {
                let job = CheckJob {
                    run_id: host.next_run_id(),
                    ts_ms: now_ms(),
                    location: LOCAL.to_owned(),
                    service: Arc::new(service.clone()),
                    probe: probe.clone(),
                    previous: None,
                };
                let done = host.check(&job).await;
                host.check_done(&job, &done);
                Answer::Probe(Box::new(done.into_observation()))
            }
            Call::Rule {
                settings,
                history,
                now_ms,
            } => {
                let history = history.clone();
                let call = RuleCall {
                    plugin,
                    service: history::SERVICE,
                    settings,
                    now_ms: *now_ms,
                    history,
                };
                Answer::Rule(host.evaluate(call).await)
            }
            Call::Notifier { channel, message } => {
                Answer::Notifier(host.notify(channel, message).await)
            }
            Call::Webhook {
                service,
                webhook,
                request,
            } => {
                let call = WebhookCall {
                    service,
                    webhook,
                    request: request.clone(),
                    is_proven: false,
                };
                Answer::Webhook(host.receive(call).await.result)
            }
            Call::Meter {
                service,
                meter,
                span,
            } => {
                let call = MeterCall {
                    service,
                    meter,
                    span,
                };
                Answer::Meter(host.read_meter(call).await)
            }
        }
    }

    /// How long a run may take.
    pub(super) fn timeout(&self) -> Option<Duration> {
        match self {
            Call::Probe { probe, .. } => Some(probe.timeout),
            _ => None,
        }
    }
}

impl Answer {
    /// The service is well, the rule is not breached, the message has left.
    pub(super) fn is_good(&self) -> bool {
        match self {
            Answer::Probe(observation) => {
                matches!(observation.status, Status::Healthy | Status::Degraded)
            }
            Answer::Rule(verdict) => matches!(verdict, Ok(Verdict::Ok(_) | Verdict::NoOpinion(_))),
            Answer::Notifier(receipt) => receipt.is_ok(),
            Answer::Webhook(reception) => reception.is_ok(),
            Answer::Meter(figures) => figures.is_ok(),
        }
    }
}

impl Answer {
    /// Returns the kind it is counted under, and an example in words. `is_failure`: nothing was
    /// measured.
    pub(super) fn outcome(&self) -> Outcome {
        let outcome = |name: String, is_failure, message: String| Outcome {
            name,
            is_failure,
            message,
        };
        match self {
            Answer::Probe(observation) => {
                let status = observation.status.as_str();
                let is_error = observation.status == Status::Error;
                match &observation.failure {
                    Some(failure) => outcome(
                        format!("{status} ({})", failure.kind.as_str()),
                        is_error,
                        failure.message.clone(),
                    ),
                    None => outcome(status.to_owned(), is_error, String::new()),
                }
            }
            Answer::Rule(Ok(Verdict::Ok(found))) => {
                outcome("ok".to_owned(), false, found.summary.clone())
            }
            Answer::Rule(Ok(Verdict::Breached(found))) => {
                outcome("breached".to_owned(), false, found.summary.clone())
            }
            Answer::Rule(Ok(Verdict::NoOpinion(why))) => {
                outcome("no opinion".to_owned(), false, why.clone())
            }
            Answer::Rule(Err(error)) => outcome("broken".to_owned(), true, error.to_string()),
            Answer::Notifier(Ok(receipt)) => {
                outcome("sent".to_owned(), false, receipt.answer.clone())
            }
            Answer::Notifier(Err(error)) => outcome("not sent".to_owned(), true, error.to_string()),
            Answer::Webhook(Ok(reception)) => outcome(
                "taken".to_owned(),
                false,
                format!("{} events", reception.events.len()),
            ),
            Answer::Webhook(Err(error)) => {
                outcome("turned away".to_owned(), true, error.to_string())
            }
            Answer::Meter(Ok(figures)) => outcome(
                "read".to_owned(),
                false,
                format!("{} figures", figures.len()),
            ),
            Answer::Meter(Err(error)) => outcome("not read".to_owned(), true, error.to_string()),
        }
    }
}

/// An answer in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) is_failure: bool,
    pub(super) message: String,
}

/// One that only the command line knows.
fn service(base_url: String) -> Service {
    let host = url::Url::parse(&base_url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let name = host.unwrap_or_else(|| base_url.clone());
    Service {
        slug: slug(&name),
        name,
        kind: "own".to_owned(),
        base_url,
        health_endpoint: None,
        tags: Vec::new(),
        labels: Default::default(),
        depends_on: Vec::new(),
        owner: None,
        description: None,
        profile: Default::default(),
        slo: None,
        rate_limits: Default::default(),
        origin: Origin::File,
        // A typed address is meant.
        hosts: Vec::new(),
        private: crate::domain::PrivateReach::Open,
        credentials: Vec::new(),
        probes: Vec::new(),
        webhooks: Vec::new(),
        meters: Vec::new(),
        gateway: None,
    }
}

/// All faults at once.
async fn check_settings(host: &PluginHost, entry: &PluginEntry, settings: &Value) -> Result<()> {
    let Err(faults) = host
        .check_settings(entry.kind, &entry.name, settings, None)
        .await
    else {
        return Ok(());
    };
    let faults: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
    bail!(
        "`{}` does not accept these settings:\n{}",
        entry.name,
        faults.join("\n")
    )
}
