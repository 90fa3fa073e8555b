//! Incidents that vendors claim on status pages which a probe reads. A run knows all that a page has
//! open: what is new begins an incident, what is gone ends it. A page that can't be read changes
//! nothing.

use std::collections::{BTreeMap, HashMap};

use super::vendor::{Update, applied};
use crate::domain::{IncidentFacts, IncidentOutcome, IncidentSource, UnixMillis, VendorClaim};

/// What references of claims begin with; those of webhooks begin with the name of the webhook.
const PREFIX: &str = "probe:";

/// Service and probe.
type Page = (String, String);

#[derive(Debug, Default)]
pub(super) struct Claims {
    pages: HashMap<Page, PageState>,
}

/// What is known of a page.
#[derive(Debug, Default)]
struct PageState {
    /// Plugin that read it; none: it was read before the start.
    plugin: Option<String>,
    /// Id of the last run that read it. Runs end in another order than they begin.
    last_run: i64,
    /// Incidents that it has open, by their references.
    open: BTreeMap<String, IncidentFacts>,
}

/// A run of a probe.
#[derive(Debug, Clone, Copy)]
pub(in crate::monitoring) struct PageRun<'a> {
    pub(in crate::monitoring) service: &'a str,
    pub(in crate::monitoring) probe: &'a str,
    pub(in crate::monitoring) plugin: &'a str,
    pub(in crate::monitoring) run_id: i64,
    pub(in crate::monitoring) ts_ms: UnixMillis,
}

impl Claims {
    /// Takes over an incident of before the start.
    pub(super) fn adopt(&mut self, facts: IncidentFacts) {
        let Some(probe) = facts.probe.clone().filter(|_| is_claim(&facts)) else {
            return;
        };
        let page = (facts.service.clone(), probe);
        let state = self.pages.entry(page).or_default();
        state.open.insert(facts.reference.clone(), facts);
    }

    /// Takes in all that a page has open, and returns the incidents that changed. Of claims under one
    /// id the first one counts.
    pub(super) fn note(&mut self, run: PageRun<'_>, claims: &[VendorClaim]) -> Vec<IncidentFacts> {
        let page = (run.service.to_owned(), run.probe.to_owned());
        let state = self.pages.entry(page).or_default();
        if run.run_id < state.last_run {
            return Vec::new();
        }
        state.last_run = run.run_id;
        state.plugin = Some(run.plugin.to_owned());
        let mut before = std::mem::take(&mut state.open);
        let mut open = BTreeMap::new();
        let mut changed = Vec::new();
        for claim in claims {
            let reference = format!("{PREFIX}{}:{}", run.probe, claim.id);
            if open.contains_key(&reference) {
                continue;
            }
            let known = before.remove(&reference);
            let after = claimed(run, claim, known.clone(), &reference);
            if let Some(facts) = &after {
                changed.push(facts.clone());
            }
            if let Some(facts) = after.or(known) {
                open.insert(reference, facts);
            }
        }
        let gone = before.into_values();
        changed.extend(gone.map(|facts| ended(facts, run.ts_ms, IncidentOutcome::Recovered)));
        state.open = open;
        changed
    }

    /// Takes in a run that found all well and read no page: its probe is another one by now.
    pub(super) fn note_no_page(&mut self, run: PageRun<'_>) -> Vec<IncidentFacts> {
        if self.pages.is_empty() {
            return Vec::new();
        }
        let page = (run.service.to_owned(), run.probe.to_owned());
        let is_before = |state: &PageState| state.last_run <= run.run_id;
        if !self.pages.get(&page).is_some_and(is_before) {
            return Vec::new();
        }
        all_ended(self.pages.remove_entry(&page).into_iter(), run.ts_ms)
    }

    /// Ends the incidents of pages that are no longer read.
    pub(super) fn retain(
        &mut self,
        is_read: impl Fn(&str, &str, Option<&str>) -> bool,
        now_ms: UnixMillis,
    ) -> Vec<IncidentFacts> {
        let gone = self.pages.extract_if(|(service, probe), state| {
            !is_read(service, probe, state.plugin.as_deref())
        });
        all_ended(gone, now_ms)
    }
}

fn all_ended(
    pages: impl Iterator<Item = (Page, PageState)>,
    now_ms: UnixMillis,
) -> Vec<IncidentFacts> {
    pages
        .flat_map(|(_, state)| state.open.into_values())
        .map(|facts| ended(facts, now_ms, IncidentOutcome::Removed))
        .collect()
}

pub(super) fn is_claim(facts: &IncidentFacts) -> bool {
    facts.source == IncidentSource::Vendor && facts.reference.starts_with(PREFIX)
}

/// Returns the incident if the claim says something new about it.
fn claimed(
    run: PageRun<'_>,
    claim: &VendorClaim,
    known: Option<IncidentFacts>,
    reference: &str,
) -> Option<IncidentFacts> {
    let PageRun { ts_ms, .. } = run;
    let update = Update {
        service: run.service,
        reporter: run.probe,
        status: &claim.status,
        impact: &claim.impact,
        kind: claim.kind,
        summary: claim.summary(),
        ts_ms,
    };
    if known.as_ref().is_some_and(|known| update.is_known(known)) {
        return None;
    }
    let is_new = known.is_none();
    let mut facts = applied(known, &update, reference.to_owned())?;
    if is_new {
        // A moment to come is a mistake of the vendor.
        facts.started_ms = claim.started_ms.unwrap_or(ts_ms).min(ts_ms);
    }
    Some(facts)
}

fn ended(facts: IncidentFacts, ts_ms: UnixMillis, outcome: IncidentOutcome) -> IncidentFacts {
    IncidentFacts {
        ended_ms: Some(ts_ms.max(facts.started_ms)),
        outcome: Some(outcome),
        decided_ms: ts_ms,
        ..facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::IncidentKind;

    const T0: UnixMillis = 1_795_996_800_000;
    const MINUTE: i64 = 60_000;

    fn claim(id: &str, status: &str, kind: IncidentKind) -> VendorClaim {
        VendorClaim {
            id: id.to_owned(),
            name: format!("Trouble {id}"),
            status: status.to_owned(),
            impact: "minor".to_owned(),
            kind,
            started_ms: Some(T0 - 30 * MINUTE),
        }
    }

    /// A run at a minute.
    fn run(probe: &str, minute: i64) -> PageRun<'_> {
        PageRun {
            service: "shop",
            probe,
            plugin: "status-page",
            run_id: 100 + minute,
            ts_ms: T0 + minute * MINUTE,
        }
    }

    /// References and minutes of the begin and of the end.
    fn shown(changed: &[IncidentFacts]) -> Vec<(&str, i64, Option<i64>)> {
        let minute = |ms: UnixMillis| (ms - T0) / MINUTE;
        let facts = changed.iter().map(|facts| {
            let end = facts.ended_ms.map(minute);
            (facts.reference.as_str(), minute(facts.started_ms), end)
        });
        facts.collect()
    }

    #[test]
    fn a_claim_lasts_while_the_page_has_it_open() {
        let mut claims = Claims::default();
        let minor = |status| claim("i1", status, IncidentKind::Degradation);
        let at = |minute: i64| run("page", minute);
        let begun = claims.note(at(0), &[minor("investigating")]);
        assert_eq!(shown(&begun), [("probe:page:i1", -30, None)]);
        assert_eq!(begun[0].cause, "Trouble i1: investigating, impact minor");
        assert_eq!(
            (begun[0].runs, begun[0].kind),
            (1, IncidentKind::Degradation)
        );
        let again = claims.note(at(5), &[minor("investigating")]);
        assert_eq!(shown(&again), [], "nothing is new");
        let graver = claim("i1", "identified", IncidentKind::Outage);
        let second = claim("i2", "identified", IncidentKind::Outage);
        let changed = claims.note(at(10), &[graver, second.clone()]);
        assert_eq!(
            shown(&changed),
            [("probe:page:i1", -30, None), ("probe:page:i2", -30, None)]
        );
        // An outage that gets better was one.
        let better = claims.note(at(15), &[minor("monitoring"), second.clone()]);
        assert_eq!(better[0].kind, IncidentKind::Outage);
        let ended = claims.note(at(20), &[second]);
        assert_eq!(shown(&ended), [("probe:page:i1", -30, Some(20))]);
        assert_eq!(ended[0].outcome, Some(IncidentOutcome::Recovered));
        assert_eq!(shown(&claims.note(run("other", 20), &[])), []);
    }

    #[test]
    fn claims_of_before_the_start_go_on_and_those_of_pages_that_are_gone_end() {
        let mut before = Claims::default();
        let minor = claim("i1", "investigating", IncidentKind::Degradation);
        let begun = before.note(run("page", 0), std::slice::from_ref(&minor));
        let mut after = Claims::default();
        after.adopt(begun[0].clone());
        after.adopt(IncidentFacts {
            reference: "hook:i9".to_owned(),
            ..begun[0].clone()
        });
        assert_eq!(shown(&after.note(run("page", 1), &[minor])), []);
        let is_read = |_: &str, probe: &str, plugin: Option<&str>| {
            probe == "page" && plugin == Some("status-page")
        };
        assert_eq!(shown(&after.retain(is_read, T0 + MINUTE)), []);
        // The probe of that name has another plugin.
        let is_read = |_: &str, _: &str, plugin: Option<&str>| plugin == Some("http");
        let ended = after.retain(is_read, T0 + 2 * MINUTE);
        assert_eq!(shown(&ended), [("probe:page:i1", -30, Some(2))]);
        assert_eq!(ended[0].outcome, Some(IncidentOutcome::Removed));
    }

    #[test]
    fn claims_under_one_id_are_one_and_do_not_change_with_each_run() {
        let mut claims = Claims::default();
        let both = [
            claim("same", "investigating", IncidentKind::Degradation),
            claim("same", "identified", IncidentKind::Outage),
        ];
        let begun = claims.note(run("page", 0), &both);
        assert_eq!(shown(&begun), [("probe:page:same", -30, None)]);
        for minute in 1..4 {
            assert_eq!(shown(&claims.note(run("page", minute), &both)), []);
        }
    }

    #[test]
    fn a_run_that_ends_late_does_not_bring_back_what_it_saw() {
        let mut claims = Claims::default();
        let open = claim("i1", "investigating", IncidentKind::Degradation);
        claims.note(run("page", 0), std::slice::from_ref(&open));
        assert_eq!(claims.note(run("page", 2), &[]).len(), 1);
        assert_eq!(shown(&claims.note(run("page", 1), &[open])), []);
    }

    #[test]
    fn a_probe_that_reads_no_page_any_more_ends_what_its_page_claimed() {
        let open = claim("i1", "investigating", IncidentKind::Degradation);
        let begun = Claims::default().note(run("page", 0), &[open]);
        // Which plugin read it is not known after a start.
        let mut claims = Claims::default();
        claims.adopt(begun[0].clone());
        assert_eq!(shown(&claims.note_no_page(run("other", 1))), []);
        let ended = claims.note_no_page(run("page", 1));
        assert_eq!(shown(&ended), [("probe:page:i1", -30, Some(1))]);
        assert_eq!(ended[0].outcome, Some(IncidentOutcome::Removed));
    }
}
