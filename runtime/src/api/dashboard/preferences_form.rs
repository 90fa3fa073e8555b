//! The form for theme and time zone, in the header of every page.

use chrono_tz::Tz;
use maud::{Markup, html};

use crate::api::http::viewer::{Theme, Viewer};

/// Offered beside the one that is chosen and that of the browser; any other of the IANA is taken.
const ZONES: [Tz; 24] = [
    Tz::UTC,
    Tz::Africa__Cairo,
    Tz::Africa__Johannesburg,
    Tz::Africa__Lagos,
    Tz::America__Chicago,
    Tz::America__Denver,
    Tz::America__Los_Angeles,
    Tz::America__Mexico_City,
    Tz::America__New_York,
    Tz::America__Sao_Paulo,
    Tz::America__Toronto,
    Tz::Asia__Dubai,
    Tz::Asia__Hong_Kong,
    Tz::Asia__Jakarta,
    Tz::Asia__Kolkata,
    Tz::Asia__Seoul,
    Tz::Asia__Shanghai,
    Tz::Asia__Singapore,
    Tz::Asia__Tokyo,
    Tz::Australia__Sydney,
    Tz::Europe__Berlin,
    Tz::Europe__London,
    Tz::Europe__Paris,
    Tz::Pacific__Auckland,
];

pub(super) fn preferences_form(viewer: &Viewer) -> Markup {
    let is_offered = ZONES.contains(&viewer.zone);
    html! {
        form method="post" action="/preferences" {
            label for="preferred-theme" { "Theme" }
            select #preferred-theme name="theme" {
                @for theme in Theme::ALL {
                    option value=(theme.as_str()) selected[theme == viewer.theme] { (title(theme)) }
                }
            }
            label for="preferred-zone" { "Time zone" }
            select #preferred-zone name="zone" {
                @if !is_offered { option value=(viewer.zone.name()) selected { (viewer.zone.name()) } }
                @for zone in ZONES {
                    option value=(zone.name()) selected[zone == viewer.zone] { (zone.name()) }
                }
            }
            input type="hidden" name="back" value=(viewer.address);
            button type="submit" { "Save" }
        }
    }
}

fn title(theme: Theme) -> &'static str {
    match theme {
        Theme::Auto => "As the browser",
        Theme::Light => "Light",
        Theme::Dark => "Dark",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_is_not_offered_stays_chosen() {
        let viewer = Viewer {
            zone: Tz::America__St_Johns,
            ..Viewer::default()
        };
        let form = preferences_form(&viewer).into_string();
        assert_eq!(form.matches(" selected").count(), 2, "{form}");
        assert!(
            form.contains(r#"<option value="America/St_Johns" selected>"#),
            "{form}"
        );
    }
}
