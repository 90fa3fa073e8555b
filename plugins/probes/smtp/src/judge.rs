//! What a server offers and shows, held against the settings.

use extrack_plugin::prelude::*;
use extrack_plugin::stream::Session;

use super::Settings;
use super::reply::Reply;

pub(crate) fn judge(offers: &Reply, session: Option<&Session>, settings: &Settings) -> Observation {
    let offered = offers.words_after("AUTH");
    let is_offered = |wanted: &String| offered.iter().any(|one| one.eq_ignore_ascii_case(wanted));
    if let Some(missing) = settings.auth.iter().find(|wanted| !is_offered(wanted)) {
        let found = match offered.join(" ") {
            none if none.is_empty() => "none".to_owned(),
            found => format!("`{found}`"),
        };
        return Observation::unhealthy(format!(
            "offered for authentication is {found}, wanted `{missing}`"
        ));
    }
    if let Some(days) = session
        .and_then(Session::days_left)
        .filter(|days| *days < settings.warn_days)
    {
        return Observation::degraded(format!(
            "certificate has {days} days left, wanted at least {}",
            settings.warn_days
        ));
    }
    Observation::healthy()
}
