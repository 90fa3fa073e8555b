//! Admission of calls to one service: places among those in flight and calls of the quotas are
//! taken in one step, so that no two calls get the last one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::{Consumer, GatewaySettings, Quota, QuotaScope, QuotaWindow, UnixMillis};

/// Consumer id of what all consumers used together.
const EVERYONE: i64 = 0;

/// Counters of one service. They outlive changes of its settings.
#[derive(Debug, Default)]
pub(super) struct Admission {
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    in_flight: usize,
    /// At most four windows for each consumer, of whom there is a limited number.
    used: HashMap<Key, Used>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    consumer_id: i64,
    window: QuotaWindow,
}

#[derive(Debug, Clone, Copy, Default)]
struct Used {
    start_ms: UnixMillis,
    calls: u64,
    /// Not stored yet.
    is_new: bool,
}

/// Calls of one window, as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowUse {
    /// 0: all consumers together.
    pub(super) consumer_id: i64,
    pub(super) window: QuotaWindow,
    pub(super) start_ms: UnixMillis,
    pub(super) calls: u64,
}

/// A limit that refuses a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// As many calls as there may be are in flight.
    InFlight { limit: usize },
    Quota {
        quota: Quota,
        /// Until the window ends.
        reset_ms: i64,
    },
}

/// A place in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    /// Whether it is among those in flight.
    has_place: bool,
    taken: Vec<(Key, UnixMillis)>,
}

impl Admission {
    /// Takes a place and a call of each quota, or nothing at all.
    pub(super) fn admit(
        self: &Arc<Self>,
        settings: &GatewaySettings,
        consumer: &Consumer,
        now_ms: UnixMillis,
    ) -> Result<Admitted, Denied> {
        self.take(settings, consumer, now_ms, true)
    }

    /// Takes a call of the consumer's quotas alone: the vendor is not asked.
    pub(super) fn admit_kept(
        self: &Arc<Self>,
        settings: &GatewaySettings,
        consumer: &Consumer,
        now_ms: UnixMillis,
    ) -> Result<Admitted, Denied> {
        self.take(settings, consumer, now_ms, false)
    }

    fn take(
        self: &Arc<Self>,
        settings: &GatewaySettings,
        consumer: &Consumer,
        now_ms: UnixMillis,
        is_sent: bool,
    ) -> Result<Admitted, Denied> {
        let mut counters = self.counters();
        if is_sent && counters.in_flight >= settings.max_in_flight {
            return Err(Denied::InFlight {
                limit: settings.max_in_flight,
            });
        }
        let mut taken = Vec::with_capacity(settings.quotas.len());
        let counts = |quota: &&Quota| is_sent || quota.scope == QuotaScope::Consumer;
        for quota in settings.quotas.iter().filter(counts) {
            let key = Key {
                consumer_id: match quota.scope {
                    QuotaScope::Consumer => consumer.id,
                    QuotaScope::Service => EVERYONE,
                },
                window: quota.window,
            };
            let (start_ms, end_ms) = quota.window.around(now_ms);
            let used = counters.used.get(&key);
            let calls = used
                .filter(|used| used.start_ms >= start_ms)
                .map_or(0, |used| used.calls);
            if calls >= quota.calls {
                return Err(Denied::Quota {
                    quota: *quota,
                    reset_ms: end_ms.saturating_sub(now_ms).max(1),
                });
            }
            taken.push((key, start_ms));
        }
        for (key, start_ms) in &taken {
            let used = counters.used.entry(*key).or_default();
            if used.start_ms < *start_ms {
                (used.start_ms, used.calls) = (*start_ms, 0);
            }
            used.calls = used.calls.saturating_add(1);
            used.is_new = true;
        }
        counters.in_flight += usize::from(is_sent);
        Ok(Admitted {
            admission: self.clone(),
            has_place: is_sent,
            taken,
        })
    }

    /// Sets what was used before a start.
    pub(super) fn restore(&self, before: &[WindowUse]) {
        let mut counters = self.counters();
        for usage in before {
            let key = Key {
                consumer_id: usage.consumer_id,
                window: usage.window,
            };
            let used = counters.used.entry(key).or_default();
            if used.start_ms < usage.start_ms {
                (used.start_ms, used.calls) = (usage.start_ms, 0);
            }
            if used.start_ms == usage.start_ms {
                used.calls = used.calls.saturating_add(usage.calls);
            }
        }
    }

    /// Returns what changed since it was last asked, and forgets windows that are over.
    pub(super) fn take_new(&self, now_ms: UnixMillis) -> Vec<WindowUse> {
        let mut counters = self.counters();
        let mut new = Vec::new();
        counters.used.retain(|key, used| {
            if std::mem::take(&mut used.is_new) {
                new.push(WindowUse {
                    consumer_id: key.consumer_id,
                    window: key.window,
                    start_ms: used.start_ms,
                    calls: used.calls,
                });
            }
            used.start_ms >= key.window.around(now_ms).0
        });
        new
    }

    /// Has what could not be stored returned again.
    pub(super) fn put_back(&self, uses: &[WindowUse]) {
        let mut counters = self.counters();
        for usage in uses {
            let key = Key {
                consumer_id: usage.consumer_id,
                window: usage.window,
            };
            if let Some(used) = counters.used.get_mut(&key) {
                used.is_new = true;
            }
        }
    }

    #[cfg(test)]
    fn in_flight(&self) -> usize {
        self.counters().in_flight
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Gives the calls back to the quotas: nothing was sent to the vendor.
    pub(super) fn refund(&mut self) {
        let mut counters = self.admission.counters();
        for (key, start_ms) in self.taken.drain(..) {
            if let Some(used) = counters.used.get_mut(&key)
                && used.start_ms == start_ms
            {
                used.calls = used.calls.saturating_sub(1);
                used.is_new = true;
            }
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.counters().in_flight -= usize::from(self.has_place);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{OnCancel, UnitRules, VendorHttp};

    fn settings(quotas: &[Quota], max_in_flight: usize) -> GatewaySettings {
        GatewaySettings {
            methods: vec!["GET".to_owned()],
            paths: vec!["/*".to_owned()],
            credential: None,
            host: None,
            timeout: Duration::from_secs(1),
            max_in_flight,
            retries: 0,
            on_cancel: OnCancel::Cut,
            http: VendorHttp::Negotiated,
            quotas: quotas.to_vec(),
            units: UnitRules::None,
            cache: None,
        }
    }

    fn consumer(id: i64) -> Consumer {
        Consumer {
            id,
            name: format!("c{id}").into(),
            services: vec!["*".to_owned()],
            created_ms: 0,
            created_by: String::new(),
        }
    }

    fn quota(scope: QuotaScope, window: QuotaWindow, calls: u64) -> Quota {
        Quota {
            scope,
            window,
            calls,
        }
    }

    #[test]
    fn threads_at_once_get_exactly_what_there_is() {
        let admission = Arc::new(Admission::default());
        let settings = settings(
            &[quota(QuotaScope::Consumer, QuotaWindow::Minute, 100)],
            10_000,
        );
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..125)
                            .filter(|_| admission.admit(&settings, &consumer(1), 5).is_ok())
                            .count()
                    })
                })
                .collect();
            threads.into_iter().map(|it| it.join().unwrap()).sum()
        });
        assert_eq!(admitted, 100);
        assert_eq!(admission.in_flight(), 0);
        assert!(admission.admit(&settings, &consumer(2), 5).is_ok());
    }

    #[test]
    fn a_call_takes_of_all_quotas_or_of_none() {
        let admission = Arc::new(Admission::default());
        let settings = settings(
            &[
                quota(QuotaScope::Consumer, QuotaWindow::Day, 3),
                quota(QuotaScope::Service, QuotaWindow::Minute, 1),
            ],
            10,
        );
        assert!(admission.admit(&settings, &consumer(1), 1_000).is_ok());
        for _ in 0..5 {
            let denied = admission.admit(&settings, &consumer(1), 2_000).unwrap_err();
            assert_eq!(
                denied,
                Denied::Quota {
                    quota: settings.quotas[1],
                    reset_ms: 58_000
                }
            );
        }
        for minute in 1..3 {
            let now_ms = minute * 60_000;
            assert!(admission.admit(&settings, &consumer(1), now_ms).is_ok());
        }
        assert!(admission.admit(&settings, &consumer(1), 180_000).is_err());
    }

    #[test]
    fn what_was_not_sent_is_given_back_and_a_place_is_free_again() {
        let admission = Arc::new(Admission::default());
        let settings = settings(&[quota(QuotaScope::Service, QuotaWindow::Hour, 1)], 1);
        let mut first = admission.admit(&settings, &consumer(1), 1).unwrap();
        assert_eq!(
            admission.admit(&settings, &consumer(1), 1).unwrap_err(),
            Denied::InFlight { limit: 1 }
        );
        first.refund();
        drop(first);
        assert!(admission.admit(&settings, &consumer(1), 1).is_ok());
        assert!(admission.admit(&settings, &consumer(1), 1).is_err());
    }

    #[test]
    fn a_kept_answer_is_of_the_consumers_quota_alone() {
        let admission = Arc::new(Admission::default());
        let settings = settings(
            &[
                quota(QuotaScope::Consumer, QuotaWindow::Day, 2),
                quota(QuotaScope::Service, QuotaWindow::Day, 1),
            ],
            1,
        );
        let sent = admission.admit(&settings, &consumer(1), 5).unwrap();
        let kept = admission.admit_kept(&settings, &consumer(1), 5).unwrap();
        assert_eq!(admission.in_flight(), 1);
        drop(kept);
        assert_eq!(admission.in_flight(), 1);
        drop(sent);
        let denied = admission
            .admit_kept(&settings, &consumer(1), 5)
            .unwrap_err();
        assert!(matches!(denied, Denied::Quota { quota, .. } if quota.calls == 2));
        assert!(admission.admit_kept(&settings, &consumer(2), 5).is_ok());
    }

    #[test]
    fn a_restart_goes_on_counting_where_it_was() {
        let settings = settings(&[quota(QuotaScope::Consumer, QuotaWindow::Month, 2)], 9);
        let before = Arc::new(Admission::default());
        assert!(before.admit(&settings, &consumer(1), 10).is_ok());
        let stored = before.take_new(10);
        assert_eq!(stored.len(), 1);
        assert!(before.take_new(10).is_empty());
        let after = Arc::new(Admission::default());
        after.restore(&stored);
        assert!(after.admit(&settings, &consumer(1), 10).is_ok());
        assert!(after.admit(&settings, &consumer(1), 10).is_err());
    }
}
