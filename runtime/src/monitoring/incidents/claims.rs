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

/// The incidents that pages have open, by their references.
#[derive(Debug, Default)]
pub(super) struct Claims {
    open: HashMap<Page, BTreeMap<String, IncidentFacts>>,
}

impl Claims {
    /// Takes over an incident of before the start.
    pub(super) fn adopt(&mut self, facts: IncidentFacts) {
        let Some(probe) = facts.probe.clone().filter(|_| is_claim(&facts)) else {
            return;
        };
        let page = (facts.service.clone(), probe);
        let open = self.open.entry(page).or_default();
        open.insert(facts.reference.clone(), facts);
    }

    /// Takes in all that a page has open, and returns the incidents that changed.
    pub(super) fn note(
        &mut self,
        service: &str,
        probe: &str,
        ts_ms: UnixMillis,
        claims: &[VendorClaim],
    ) -> Vec<IncidentFacts> {
        let page = (service.to_owned(), probe.to_owned());
        let mut before = self.open.remove(&page).unwrap_or_default();
        let mut open = BTreeMap::new();
        let mut changed = Vec::new();
        for claim in claims {
            let reference = format!("{PREFIX}{probe}:{}", claim.id);
            let known = before.remove(&reference);
            let after = claimed(service, probe, ts_ms, claim, known.clone(), &reference);
            if let Some(facts) = &after {
                changed.push(facts.clone());
            }
            if let Some(facts) = after.or(known) {
                open.insert(reference, facts);
            }
        }
        let gone = before.into_values();
        changed.extend(gone.map(|facts| ended(facts, ts_ms, IncidentOutcome::Recovered)));
        if !open.is_empty() {
            self.open.insert(page, open);
        }
        changed
    }

    /// Ends the incidents of pages that are no longer read.
    pub(super) fn retain(
        &mut self,
        is_read: impl Fn(&str, &str) -> bool,
        now_ms: UnixMillis,
    ) -> Vec<IncidentFacts> {
        let gone = self
            .open
            .extract_if(|(service, probe), _| !is_read(service, probe));
        gone.flat_map(|(_, open)| open.into_values())
            .map(|facts| ended(facts, now_ms, IncidentOutcome::Removed))
            .collect()
    }
}

pub(super) fn is_claim(facts: &IncidentFacts) -> bool {
    facts.source == IncidentSource::Vendor && facts.reference.starts_with(PREFIX)
}

/// Returns the incident if the claim says something new about it.
fn claimed(
    service: &str,
    probe: &str,
    ts_ms: UnixMillis,
    claim: &VendorClaim,
    known: Option<IncidentFacts>,
    reference: &str,
) -> Option<IncidentFacts> {
    let update = Update {
        service,
        reporter: probe,
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
        let at = |minute: i64| T0 + minute * MINUTE;
        let begun = claims.note("shop", "page", at(0), &[minor("investigating")]);
        assert_eq!(shown(&begun), [("probe:page:i1", -30, None)]);
        assert_eq!(begun[0].cause, "Trouble i1: investigating, impact minor");
        assert_eq!(
            (begun[0].runs, begun[0].kind),
            (1, IncidentKind::Degradation)
        );
        let again = claims.note("shop", "page", at(5), &[minor("investigating")]);
        assert_eq!(shown(&again), [], "nothing is new");
        let graver = claim("i1", "identified", IncidentKind::Outage);
        let second = claim("i2", "identified", IncidentKind::Outage);
        let changed = claims.note("shop", "page", at(10), &[graver, second.clone()]);
        assert_eq!(
            shown(&changed),
            [("probe:page:i1", -30, None), ("probe:page:i2", -30, None)]
        );
        // An outage that gets better was one.
        let better = claims.note(
            "shop",
            "page",
            at(15),
            &[minor("monitoring"), second.clone()],
        );
        assert_eq!(better[0].kind, IncidentKind::Outage);
        let ended = claims.note("shop", "page", at(20), &[second]);
        assert_eq!(shown(&ended), [("probe:page:i1", -30, Some(20))]);
        assert_eq!(ended[0].outcome, Some(IncidentOutcome::Recovered));
        assert_eq!(shown(&claims.note("shop", "other", at(20), &[])), []);
    }

    #[test]
    fn claims_of_before_the_start_go_on_and_those_of_pages_that_are_gone_end() {
        let mut before = Claims::default();
        let minor = claim("i1", "investigating", IncidentKind::Degradation);
        let begun = before.note("shop", "page", T0, std::slice::from_ref(&minor));
        let mut after = Claims::default();
        after.adopt(begun[0].clone());
        after.adopt(IncidentFacts {
            reference: "hook:i9".to_owned(),
            ..begun[0].clone()
        });
        assert_eq!(
            shown(&after.note("shop", "page", T0 + MINUTE, &[minor])),
            []
        );
        assert_eq!(
            shown(&after.retain(|_, probe| probe == "page", T0 + MINUTE)),
            []
        );
        let ended = after.retain(|_, _| false, T0 + 2 * MINUTE);
        assert_eq!(shown(&ended), [("probe:page:i1", -30, Some(2))]);
        assert_eq!(ended[0].outcome, Some(IncidentOutcome::Removed));
    }
}
