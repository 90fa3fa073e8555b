//! When a credential ends, and which of them end soon.

use super::{Catalog, UnixMillis};

/// Days before its end from which a credential is reported.
pub const EXPIRY_WARNING_DAYS: i64 = 14;

const DAY_MS: i64 = 86_400_000;

/// A credential that ends soon, or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingCredential {
    /// Slug.
    pub service: String,
    pub name: String,
    pub at_ms: UnixMillis,
}

/// Returns the credentials that end within the days of warning, the next one first.
pub fn credentials_ending(catalog: &Catalog, now_ms: UnixMillis) -> Vec<EndingCredential> {
    let until_ms = now_ms.saturating_add(EXPIRY_WARNING_DAYS * DAY_MS);
    let mut ending: Vec<EndingCredential> = catalog
        .services
        .values()
        .flat_map(|service| {
            let credentials = service.credentials.iter();
            credentials.map(move |credential| (service, credential))
        })
        .filter_map(|(service, credential)| {
            let at_ms = credential.expiry?.at_ms;
            (at_ms <= until_ms).then(|| EndingCredential {
                service: service.slug.clone(),
                name: credential.name.clone(),
                at_ms,
            })
        })
        .collect();
    ending.sort_by(|a, b| (a.at_ms, &a.service, &a.name).cmp(&(b.at_ms, &b.service, &b.name)));
    ending
}

/// Returns a text about the credentials that end soon; none: none of them does.
pub fn credentials_ending_text(ending: &[EndingCredential], now_ms: UnixMillis) -> Option<String> {
    let first = ending.first()?;
    let left_ms = first.at_ms.saturating_sub(now_ms);
    let when = match left_ms.div_euclid(DAY_MS) {
        days if days < 0 => "has ended".to_owned(),
        0 => "ends within a day".to_owned(),
        1 => "ends in 1 day".to_owned(),
        days => format!("ends in {days} days"),
    };
    let others = match ending.len() - 1 {
        0 => String::new(),
        1 => ", and 1 other ends soon".to_owned(),
        count => format!(", and {count} others end soon"),
    };
    Some(format!(
        "credential `{}` of `{}` {when}{others}",
        first.name, first.service
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_next_end_and_counts_the_others() {
        let ending = |days: i64| EndingCredential {
            service: "shop".to_owned(),
            name: "default".to_owned(),
            at_ms: days * DAY_MS + 5,
        };
        let text = |ending: &[EndingCredential]| credentials_ending_text(ending, 0);
        assert_eq!(text(&[]), None);
        for (days, wanted) in [
            (-1, "has ended"),
            (0, "ends within a day"),
            (1, "ends in 1 day"),
            (9, "ends in 9 days"),
        ] {
            let wanted = format!("credential `default` of `shop` {wanted}");
            assert_eq!(text(&[ending(days)]).unwrap(), wanted);
        }
        let two = text(&[ending(3), ending(4)]).unwrap();
        assert!(
            two.ends_with("ends in 3 days, and 1 other ends soon"),
            "{two}"
        );
    }
}
