//! Compiles a report, for files and API alike. Those that come with the program are data in
//! `runtime/reports/`.

use std::sync::{Arc, LazyLock};

use chrono_tz::Tz;

use crate::domain::fault::{FaultReport, child, suggest};
use crate::domain::{
    Channel, CronSchedule, ReportContent, ReportDefinition, ReportFormat, ReportSchedule,
    ReportSection, ReportSpan, ReportSql,
};
use crate::spec::{ReportSectionSpec, ReportSpec};

const MAX_NAME_CHARS: usize = 64;
const MAX_TITLE_CHARS: usize = 200;
const MAX_CHANNELS: usize = 32;
const MAX_SECTIONS: usize = 30;
/// Bytes of a statement or a text; a template is bounded again where it is rendered.
const MAX_SOURCE_BYTES: usize = 16 * 1_024;
const DEFAULT_AT: &str = "08:00";
const CRON_EXAMPLE: &str = "0 8 * * 1";

/// Notifiers that call people to work: a report is none.
const PAGERS: [&str; 2] = ["pagerduty", "sms"];

static BUNDLED: LazyLock<Vec<ReportSpec>> = LazyLock::new(|| {
    [
        include_str!("../../../reports/weekly-vendors.json"),
        include_str!("../../../reports/cost.json"),
        include_str!("../../../reports/sla-claim.json"),
        include_str!("../../../reports/alert-noise.json"),
    ]
    .into_iter()
    .map(|text| serde_json::from_str(text).expect("a test reads each of them"))
    .collect()
});

/// Returns the names of the reports that come with the program.
pub fn bundled_reports() -> impl Iterator<Item = &'static str> {
    BUNDLED.iter().map(|bundled| bundled.name.as_str())
}

/// Checks a report. The answer is only good while `report` has no faults.
pub fn report_compile<'c>(
    written: &ReportSpec,
    channels: impl Iterator<Item = &'c Arc<Channel>>,
    at: &str,
    report: &mut FaultReport,
) -> Option<ReportDefinition> {
    let spec = completed(written, at, report)?;
    name_check(&spec.name, at, report);
    let title = spec.title.clone().unwrap_or_else(|| spec.name.clone());
    line_check(&title, &child(at, "title"), report);
    let zone = zone(&spec, at, report);
    let schedule = schedule(&spec, at, report);
    let known: Vec<&Channel> = channels.map(Arc::as_ref).collect();
    channels_check(&spec.channels, &known, at, report);
    let sections = sections(&spec.sections, at, report);
    Some(ReportDefinition {
        title,
        schedule,
        zone: zone?,
        span: spec.span.unwrap_or(match spec.schedule.as_deref() {
            Some("daily") => ReportSpan::Day,
            Some("monthly") => ReportSpan::Month,
            _ => ReportSpan::Week,
        }),
        formats: spec
            .formats
            .unwrap_or_else(|| vec![ReportFormat::Html, ReportFormat::Pdf]),
        channels: spec.channels,
        sections,
        name: spec.name,
        spec: serde_json::to_value(written).unwrap_or_default(),
    })
}

/// Returns the report with what the bundled one has in place of what is not written.
fn completed(spec: &ReportSpec, at: &str, report: &mut FaultReport) -> Option<ReportSpec> {
    let find = |name: &str| BUNDLED.iter().find(|bundled| bundled.name == name);
    let bundled = match &spec.bundled {
        Some(name) => {
            let found = find(name);
            if found.is_none() {
                let hint = suggest(name, BUNDLED.iter().map(|it| it.name.as_str()));
                let message = format!("there is no bundled report `{name}`{hint}");
                report.fault(child(at, "bundled"), message);
            }
            Some(found?)
        }
        None if spec.sections.is_empty() => find(&spec.name),
        None => None,
    };
    let Some(bundled) = bundled else {
        return Some(spec.clone());
    };
    let mut completed = spec.clone();
    completed.title = completed.title.or_else(|| bundled.title.clone());
    if completed.schedule.is_none() {
        completed.schedule.clone_from(&bundled.schedule);
        completed.at = completed.at.or_else(|| bundled.at.clone());
        // Another schedule has its own.
        completed.span = completed.span.or(bundled.span);
    }
    completed.formats = completed.formats.or_else(|| bundled.formats.clone());
    if completed.sections.is_empty() {
        completed.sections.clone_from(&bundled.sections);
    }
    Some(completed)
}

fn name_check(name: &str, at: &str, report: &mut FaultReport) {
    let is_name = (1..=MAX_NAME_CHARS).contains(&name.len())
        && !name.starts_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_name {
        let message = format!(
            "must be 1 to {MAX_NAME_CHARS} lower-case letters, digits and `-`, e.g. `weekly-vendors`"
        );
        report.fault(child(at, "name"), message);
    }
}

fn line_check(text: &str, at: &str, report: &mut FaultReport) {
    let is_line = !text.trim().is_empty()
        && text.chars().count() <= MAX_TITLE_CHARS
        && !text.chars().any(char::is_control);
    if !is_line {
        let message = format!("must be one line of 1 to {MAX_TITLE_CHARS} characters");
        report.fault(at, message);
    }
}

fn zone(spec: &ReportSpec, at: &str, report: &mut FaultReport) -> Option<Tz> {
    let Some(name) = &spec.timezone else {
        return Some(Tz::UTC);
    };
    let zone = name.parse().ok();
    // A schedule reports it, too.
    if zone.is_none() && spec.schedule.is_none() {
        let message = format!("`{name}` is not a time zone; write e.g. `UTC` or `Europe/Berlin`");
        report.fault(child(at, "timezone"), message);
    }
    zone
}

fn schedule(spec: &ReportSpec, at: &str, report: &mut FaultReport) -> Option<ReportSchedule> {
    let Some(text) = &spec.schedule else {
        if spec.at.is_some() {
            let message = "is the time of a schedule; add e.g. `schedule: weekly`";
            report.fault(child(at, "at"), message);
        }
        return None;
    };
    let time = spec.at.as_deref().unwrap_or(DEFAULT_AT);
    let Some((hour, minute)) = clock(time) else {
        let message = format!("`{time}` is not a time of day; write e.g. `08:00`");
        report.fault(child(at, "at"), message);
        return None;
    };
    let cron = match text.as_str() {
        "daily" => format!("{minute} {hour} * * *"),
        "weekly" => format!("{minute} {hour} * * 1"),
        "monthly" => format!("{minute} {hour} 1 * *"),
        fields if spec.at.is_none() => fields.to_owned(),
        _ => {
            let message = "is allowed with `daily`, `weekly` and `monthly` only; a cron schedule has its time in its fields";
            report.fault(child(at, "at"), message);
            return None;
        }
    };
    let zone = spec.timezone.as_deref().unwrap_or("UTC");
    match CronSchedule::parse(&cron, zone, CRON_EXAMPLE) {
        Ok(parsed) => Some(ReportSchedule {
            text: format!("{cron} {zone}"),
            cron: parsed,
        }),
        Err(mut fault) => {
            if fault.pointer == "/cron" {
                fault.pointer = "/schedule".to_owned();
                fault
                    .message
                    .push_str(", or one of `daily`, `weekly` and `monthly`");
            }
            report.add(fault.under(at));
            None
        }
    }
}

/// Hour and minute of `07:30`.
fn clock(text: &str) -> Option<(u8, u8)> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str, most: u8| {
        let is_short =
            (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let number: u8 = digits.parse().ok().filter(|_| is_short)?;
        (number <= most).then_some(number)
    };
    Some((number(hour, 23)?, number(minute, 59)?))
}

fn channels_check(names: &[String], known: &[&Channel], at: &str, report: &mut FaultReport) {
    let at = child(at, "channels");
    if names.len() > MAX_CHANNELS {
        report.fault(&at, format!("must have at most {MAX_CHANNELS} entries"));
    }
    for (index, name) in names.iter().enumerate().take(MAX_CHANNELS) {
        let found = known.iter().find(|channel| channel.name == *name);
        match found {
            None => {
                let hint = suggest(name, known.iter().map(|channel| channel.name.as_str()));
                let message = format!("there is no channel with the name `{name}`{hint}");
                report.fault(child(&at, index), message);
            }
            Some(channel) if PAGERS.contains(&channel.plugin.as_str()) => {
                let message =
                    format!("`{name}` calls people to work; a report goes to mail or chat");
                report.fault(child(&at, index), message);
            }
            Some(_) if names[..index].contains(name) => {
                report.fault(child(&at, index), format!("names `{name}` again"));
            }
            Some(_) => {}
        }
    }
}

fn sections(specs: &[ReportSectionSpec], at: &str, report: &mut FaultReport) -> Vec<ReportSection> {
    let at = child(at, "sections");
    if specs.is_empty() {
        let message = "is missing: write e.g. `sections: [{numbers: [availability, incidents]}, {table: services}]`";
        report.fault(&at, message);
    }
    if specs.len() > MAX_SECTIONS {
        report.fault(&at, format!("must have at most {MAX_SECTIONS} entries"));
    }
    let sections = specs.iter().take(MAX_SECTIONS).enumerate();
    sections
        .filter_map(|(index, spec)| section(spec, &child(&at, index), report))
        .collect()
}

fn section(spec: &ReportSectionSpec, at: &str, report: &mut FaultReport) -> Option<ReportSection> {
    for (key, source) in [("sql", &spec.sql), ("text", &spec.text)] {
        if source
            .as_ref()
            .is_some_and(|it| it.len() > MAX_SOURCE_BYTES)
        {
            let message = format!("must be at most {} KiB", MAX_SOURCE_BYTES / 1_024);
            report.fault(child(at, key), message);
        }
    }
    let is_chart = spec.bars;
    let sql = |source| ReportContent::Sql { source, is_chart };
    let contents = [
        spec.numbers.clone().map(ReportContent::Numbers),
        spec.chart.map(ReportContent::Chart),
        spec.table.map(ReportContent::Table),
        spec.sql.clone().map(|text| sql(ReportSql::Text(text))),
        spec.query.clone().map(|name| sql(ReportSql::Saved(name))),
        spec.text.clone().map(ReportContent::Text),
    ];
    let mut contents: Vec<ReportContent> = contents.into_iter().flatten().collect();
    let content = contents.pop().filter(|_| contents.is_empty());
    let Some(content) = content else {
        let message = "must have one of `numbers`, `chart`, `table`, `sql`, `query` and `text`";
        report.fault(at, message);
        return None;
    };
    if spec.bars && !matches!(content, ReportContent::Sql { .. }) {
        let message = "goes with `sql` and `query`";
        report.fault(child(at, "bars"), message);
    }
    if let Some(title) = &spec.title {
        line_check(title, &child(at, "title"), report);
    }
    let title = spec.title.clone().unwrap_or_else(|| heading(&content));
    Some(ReportSection { title, content })
}

/// Heading of a section that has none.
fn heading(content: &ReportContent) -> String {
    use crate::domain::{ReportChart, ReportTable};
    let text: &str = match content {
        ReportContent::Numbers(_) => "Overview",
        ReportContent::Chart(ReportChart::Downtime) => "Minutes of outages",
        ReportContent::Chart(ReportChart::Calls) => "Calls",
        ReportContent::Chart(ReportChart::Cost) => "Cost of calls",
        ReportContent::Chart(ReportChart::Alerts) => "Alerts that fired",
        ReportContent::Table(ReportTable::Services) => "Services, the worst first",
        ReportContent::Table(ReportTable::Incidents) => "Outages",
        ReportContent::Table(ReportTable::Vendors) => "What vendors claimed",
        ReportContent::Table(ReportTable::Cost) => "Cost by service",
        ReportContent::Table(ReportTable::Claims) => "Credits to claim",
        ReportContent::Table(ReportTable::Noise) => "Alerts by how often they fired",
        ReportContent::Sql {
            source: ReportSql::Saved(name),
            ..
        } => name,
        ReportContent::Sql { .. } => "Query",
        ReportContent::Text(_) => "",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{ChannelId, ChannelOptions, Origin};

    fn compiled(spec: Value) -> Result<ReportDefinition, Vec<String>> {
        let spec: ReportSpec = serde_json::from_value(spec).unwrap();
        let mut report = FaultReport::default();
        let definition = report_compile(&spec, std::iter::empty(), "/reports/0", &mut report);
        if report.faults.is_empty() {
            return Ok(definition.unwrap());
        }
        Err(report.faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_bundled_report_is_enabled_by_its_name_alone() {
        for bundled in BUNDLED.iter() {
            let definition = compiled(json!({ "name": bundled.name })).unwrap();
            assert!(!definition.sections.is_empty(), "{}", definition.name);
            assert!(definition.schedule.is_some(), "{}", definition.name);
        }
    }

    #[test]
    fn what_is_written_comes_before_what_is_bundled() {
        let definition = compiled(json!({
            "name": "mine", "bundled": "cost", "title": "Bills", "schedule": "daily", "at": "07:30",
            "timezone": "Europe/Berlin", "span": "day",
        }))
        .unwrap();
        assert_eq!(definition.title, "Bills");
        assert_eq!(
            definition.schedule.unwrap().text,
            "30 7 * * * Europe/Berlin"
        );
        assert_eq!(definition.span, ReportSpan::Day);
    }

    #[test]
    fn a_bundled_report_with_another_schedule_is_about_the_period_of_that() {
        for (spec, wanted) in [
            (json!({"name": "cost"}), ReportSpan::Month),
            (
                json!({"name": "cost", "schedule": "daily"}),
                ReportSpan::Day,
            ),
            (
                json!({"name": "weekly-vendors", "schedule": "monthly"}),
                ReportSpan::Month,
            ),
            (
                json!({"name": "cost", "schedule": "daily", "span": "week"}),
                ReportSpan::Week,
            ),
        ] {
            assert_eq!(compiled(spec.clone()).unwrap().span, wanted, "{spec}");
        }
    }

    #[test]
    fn a_channel_that_calls_people_to_work_gets_no_report() {
        let channel = |name: &str, plugin: &str| {
            Arc::new(Channel {
                id: ChannelId(name.to_owned()),
                name: name.to_owned(),
                plugin: plugin.to_owned(),
                settings: json!({}),
                origin: Origin::File,
                options: ChannelOptions::default(),
            })
        };
        let channels = [
            channel("ops", "email"),
            channel("pager", "pagerduty"),
            channel("phones", "sms"),
        ];
        let spec = json!({"name": "cost", "channels": ["ops", "pager", "phones"]});
        let spec: ReportSpec = serde_json::from_value(spec).unwrap();
        let mut report = FaultReport::default();
        report_compile(&spec, channels.iter(), "", &mut report);
        let pointers: Vec<&str> = report.faults.iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(pointers, ["/channels/1", "/channels/2"]);
    }

    #[test]
    fn faults_name_the_key_and_how_to_mend_it() {
        for (spec, wanted) in [
            (
                json!({"name": "A b", "sections": [{"table": "cost"}]}),
                "/reports/0/name: must be 1 to 64",
            ),
            (json!({"name": "a"}), "/reports/0/sections: is missing"),
            (
                json!({"name": "a", "bundled": "costs"}),
                "/reports/0/bundled: there is no bundled report `costs`; did you mean `cost`?",
            ),
            (
                json!({"name": "cost", "schedule": "weekly", "at": "25:00"}),
                "/reports/0/at: `25:00` is not a time of day",
            ),
            (
                json!({"name": "cost", "schedule": "yearly"}),
                "/reports/0/schedule: `yearly` is not a schedule",
            ),
            (
                json!({"name": "cost", "timezone": "Mars"}),
                "/reports/0/timezone: `Mars` is not a time zone",
            ),
            (
                json!({"name": "cost", "channels": ["ops"]}),
                "/reports/0/channels/0: there is no channel with the name `ops`",
            ),
            (
                json!({"name": "a", "sections": [{"title": "x"}]}),
                "/reports/0/sections/0: must have one of",
            ),
            (
                json!({"name": "a", "sections": [{"table": "cost", "text": "x"}]}),
                "/reports/0/sections/0: must have one of",
            ),
            (
                json!({"name": "a", "sections": [{"table": "cost", "bars": true}]}),
                "/reports/0/sections/0/bars: goes with",
            ),
        ] {
            let faults = compiled(spec.clone()).unwrap_err();
            assert!(faults[0].starts_with(wanted), "{spec}: {faults:?}");
        }
    }
}
