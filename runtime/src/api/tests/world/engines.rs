//! The engines of the tests, and the program around them.

use super::*;
use crate::monitoring::{FiguresBySlug, HeartbeatStatus, PingError, ReplayError};
use crate::plugin_host::InboundMemory;
use crate::store::ControlError;

/// One webhook, `told` of `shop-api`, which does as the body asks.
impl Webhooks for World {
    fn has(&self, service: &str, webhook: &str) -> bool {
        (service, webhook) == ("shop-api", "told")
    }

    fn default_of(&self, service: &str) -> Option<String> {
        (service == "shop-api").then(|| "told".to_owned())
    }

    fn replay<'a>(
        &'a self,
        service: &'a str,
        id: i64,
    ) -> BoxFuture<'a, Result<Accepted, ReplayError>> {
        let service = service.to_owned();
        now(Err(ReplayError::UnknownDelivery { service, id }))
    }

    fn memory(&self) -> InboundMemory {
        InboundMemory::default()
    }

    fn receive<'a>(
        &'a self,
        _service: &'a str,
        _webhook: &'a str,
        request: WebhookRequest,
    ) -> BoxFuture<'a, Result<Accepted, ReceiveError>> {
        let accepted = Accepted {
            events: 1,
            repeated: 0,
            answer: None,
        };
        let secret = || "the secret is in /var/secret/path".to_owned();
        now(match request.body.as_slice() {
            b"stranger" => Err(ReceiveError::Unauthenticated(secret())),
            b"malformed" => Err(ReceiveError::Malformed(secret())),
            b"broken" => Err(ReceiveError::Broken(secret())),
            b"not stored" => Err(ReceiveError::NotStored(secret())),
            b"challenge" => {
                let answer = Answer {
                    content_type: AnswerType::Text,
                    body: b"<b>3eZb</b>".to_vec(),
                };
                Ok(Accepted {
                    answer: Some(answer),
                    ..accepted
                })
            }
            b"echo" => {
                let seen = format!(
                    "{} {} {} {:?}",
                    request.method, request.path, request.query, request.headers
                );
                Ok(Accepted {
                    answer: Some(Answer {
                        content_type: AnswerType::Text,
                        body: seen.into(),
                    }),
                    ..accepted
                })
            }
            _ => Ok(accepted),
        })
    }
}

/// Keeps every ping whose message is not `not kept`.
impl Heartbeats for World {
    fn status(&self, _service: &str) -> Option<HeartbeatStatus> {
        None
    }

    fn all(&self) -> Vec<HeartbeatStatus> {
        Vec::new()
    }

    fn service_of(&self, uuid: &str) -> Option<String> {
        (uuid == HEARTBEAT_ID).then(|| "shop-api".to_owned())
    }

    fn ping<'a>(
        &'a self,
        _uuid: &'a str,
        ping: Ping,
    ) -> BoxFuture<'a, Result<HeartbeatState, PingError>> {
        if ping.message.as_deref() == Some("not kept") {
            return now(Err(PingError::NotKept(ControlError::NoRoom)));
        }
        self.pings.lock().unwrap().push(ping);
        now(Ok(HeartbeatState::Up))
    }

    fn rotate<'a>(
        &'a self,
        _service: &'a str,
    ) -> BoxFuture<'a, Result<Option<HeartbeatStatus>, ControlError>> {
        now(Ok(None))
    }

    fn follow_catalog(&self) -> BoxFuture<'_, Result<(), ControlError>> {
        now(Ok(()))
    }
}

impl Monitor for World {
    fn status(&self, slug: &str) -> Option<CurrentStatus> {
        self.statuses.lock().unwrap().get(slug)?.status
    }

    fn service_status(&self, slug: &str) -> Option<ServiceStatus> {
        self.statuses.lock().unwrap().get(slug).cloned()
    }

    fn since_ms(&self, slug: &str) -> Option<UnixMillis> {
        self.statuses.lock().unwrap().get(slug)?.since_ms
    }

    fn figures(&self) -> Arc<FiguresBySlug> {
        let statuses = self.statuses.lock().unwrap();
        let counted = statuses.iter();
        Arc::new(
            counted
                .filter_map(|(slug, status)| Some((slug.clone(), status.figures.clone()?)))
                .collect(),
        )
    }

    fn check_now<'a>(
        &'a self,
        slug: &'a str,
        probe: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Observation>, CheckError>> {
        if self.registry.record(slug).is_none() {
            return now(Err(CheckError::UnknownService(slug.to_owned())));
        }
        let probe = probe.unwrap_or("http");
        if probe == "broken" {
            return now(Err(CheckError::NotStored(
                "/var/secret/path is gone".to_owned(),
            )));
        }
        if probe == "panics" {
            panic!("the fake was told to");
        }
        if probe != "http" {
            let (service, probe, known) = (slug.to_owned(), probe.to_owned(), "http".to_owned());
            return now(Err(CheckError::UnknownProbe {
                service,
                probe,
                known,
            }));
        }
        now(Ok(Arc::new(self.observation(
            slug,
            probe,
            7,
            Status::Unhealthy,
        ))))
    }
}

impl ProgramStatus for World {
    fn unready(&self) -> Vec<String> {
        self.unready.lock().unwrap().clone()
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn metrics(&self) -> String {
        "# TYPE extrack_up gauge\nextrack_up 1\n".to_owned()
    }
}

/// Takes every message that its title or template does not call refused.
impl Notifier for World {
    fn notify<'a>(
        &'a self,
        channel: &'a Channel,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<Receipt, DeliveryError>> {
        let title = message
            .texts
            .title
            .clone()
            .unwrap_or_else(|| message.title());
        let answer = match channel.plugin.as_str() {
            "refuses" => Err(DeliveryError::Permanent(format!("404 {title}"))),
            _ => Ok(Receipt {
                reference: Some("m-1".to_owned()),
                answer: format!("200 {title}"),
            }),
        };
        futures::future::ready(answer).boxed()
    }
}

/// Knows one rule, which never fired.
impl Backtests for World {
    fn backtest<'a>(
        &'a self,
        request: BacktestRequest,
        progress: &'a (dyn Fn(BacktestProgress) + Send + Sync),
    ) -> BoxFuture<'a, Result<BacktestReport, BacktestError>> {
        async move {
            let rule = match request.rule {
                RuleChoice::Named(name) if name == "Service Down" => name,
                RuleChoice::Named(name) if name == "Endless" => {
                    let _running = self.endless_backtests.clone();
                    return std::future::pending().await;
                }
                RuleChoice::Named(name) => return Err(BacktestError::UnknownRule(name)),
                RuleChoice::Spec(_) => {
                    let fault = Fault::new("/type", "there is no rule plugin `x`");
                    return Err(BacktestError::Invalid(vec![fault]));
                }
            };
            progress(BacktestProgress {
                observations: 5,
                of_observations: 10,
            });
            tokio::task::yield_now().await;
            let episode = Episode {
                started_ms: 0,
                fired_ms: 1_000,
                resolved_ms: Some(3_500),
                summary: "503".to_owned(),
                flapping: Vec::new(),
            };
            let outcome = BacktestOutcome {
                evaluations: 10,
                episodes: vec![episode.clone()],
                ..BacktestOutcome::default()
            };
            let service = ServiceBacktest {
                service: "shop-api".to_owned(),
                outcome,
                suppressed_by: BTreeMap::from([(0, "silence 3".to_owned())]),
                really: vec![episode],
                with_really: Compared {
                    both: vec![(0, 0)],
                    ..Compared::default()
                },
                current: None,
                with_current: None,
            };
            Ok(BacktestReport {
                rule,
                plugin: "condition".to_owned(),
                plugin_version: "0.1.0".to_owned(),
                digest: "ab".to_owned(),
                since_ms: request.since_ms,
                until_ms: request.until_ms,
                services: vec![service],
                messages: BTreeMap::from([("ops".to_owned(), 2)]),
                messages_cut: false,
                took: Duration::from_millis(1),
            })
        }
        .boxed()
    }
}
