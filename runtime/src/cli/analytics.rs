//! `extrack analytics trends|slo|noise|honesty|comparison`

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, Server, query};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, table};
use crate::api_types::analytics::{
    AdviceBody, AnalyticsBody, ComparisonBody, HonestyBody, NoiseBody, PackBody, SloBody, TrendBody,
};

#[derive(Debug, Subcommand)]
pub(super) enum Analytics {
    /// Changes, seasons of a day and a week, and the last week beside the one before.
    ///
    /// Example: extrack analytics trends --service shop-api --zone Europe/Berlin
    Trends(Trends),
    /// Objectives with what is left of their budgets.
    ///
    /// Example: extrack analytics slo
    Slo(Slo),
    /// Rules by how often they fired; with `--advise`, what other options would have done.
    ///
    /// Example: extrack analytics noise --advise "shop-api/Service Down"
    Noise(Noise),
    /// Vendors' words beside what was measured; with `--pack`, the evidence for a credit.
    ///
    /// Example: extrack analytics honesty --pack stripe --month 2026-11
    Honesty(Honesty),
    /// Services side by side, or one with the span before.
    ///
    /// Example: extrack analytics comparison --services shop-api,mail
    Comparison(Comparison),
}

#[derive(Debug, Args)]
struct Span {
    /// Beginning, e.g. `2026-11-01T00:00:00+01:00`; 30 days ago if not given.
    #[arg(long)]
    from: Option<String>,
    /// First moment that does not count; now if not given.
    #[arg(long)]
    to: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Trends {
    #[command(flatten)]
    span: Span,
    /// Slug of a service; all services if not given.
    #[arg(long)]
    service: Option<String>,
    /// Time zone of hours and days.
    #[arg(long, default_value = "UTC")]
    zone: String,
}

#[derive(Debug, Args)]
pub(super) struct Slo {
    /// Slug of a service; all services if not given.
    #[arg(long)]
    service: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Noise {
    #[command(flatten)]
    span: Span,
    /// Slug of a service; all services if not given.
    #[arg(long)]
    service: Option<String>,
    /// Time zone of the nights.
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// Key of a rule, `SERVICE/NAME`, whose options are played over the stored history.
    #[arg(long)]
    advise: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Honesty {
    #[command(flatten)]
    span: Span,
    /// Slug of a service: its evidence for a credit in `--month`.
    #[arg(long, requires = "month")]
    pack: Option<String>,
    /// Month of UTC, e.g. `2026-11`.
    #[arg(long, requires = "pack")]
    month: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Comparison {
    #[command(flatten)]
    span: Span,
    /// Slugs joined by commas; all services if not given.
    #[arg(long)]
    services: Option<String>,
}

impl Analytics {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Analytics::Trends(options) => trends(&client, &options).await,
            Analytics::Slo(options) => slo(&client, &options).await,
            Analytics::Noise(options) => noise(&client, &options).await,
            Analytics::Honesty(options) => honesty(&client, &options).await,
            Analytics::Comparison(options) => comparison(&client, &options).await,
        }
    }
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3} %"))
}

fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
}

async fn trends(client: &Client, options: &Trends) -> Outcome {
    let parameters = query(&[
        ("service", options.service.as_deref()),
        ("zone", Some(&options.zone)),
        ("from", options.span.from.as_deref()),
        ("to", options.span.to.as_deref()),
    ]);
    let answer = client
        .list(&format!("/analytics/trends{parameters}"))
        .await?;
    if options.span.json {
        print_json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let found: Vec<TrendBody> = answer.read()?;
    let mut rows = Vec::new();
    for trend in &found {
        let (last, before) = trend
            .week
            .as_ref()
            .map_or((None, None), |week| (week.last.p95_ms, week.before.p95_ms));
        let changes = trend.p95.changes.iter().chain(&trend.availability.changes);
        let texts: Vec<&str> = changes.map(|change| change.text.as_str()).collect();
        rows.push(vec![
            cell(&trend.service),
            ms(last),
            ms(before),
            cell(&trend.p95.daily_season),
            cell(&trend.p95.weekly_season),
            cell(&trend.slowest_phase.as_ref().map(|phase| &phase.phase)),
            cell(&texts.join("; ")),
        ]);
    }
    let header = [
        "SERVICE",
        "P95 MS",
        "WEEK BEFORE",
        "DAILY",
        "WEEKLY",
        "SLOWEST",
        "CHANGES",
    ];
    table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

async fn slo(client: &Client, options: &Slo) -> Outcome {
    let parameters = query(&[("service", options.service.as_deref())]);
    let answer = client.list(&format!("/analytics/slo{parameters}")).await?;
    if options.json {
        print_json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let found: Vec<SloBody> = answer.read()?;
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|slo| {
            vec![
                cell(&slo.service),
                format!("{} % {} d", slo.target, slo.days),
                percent(slo.availability),
                percent(slo.coverage),
                cell(&slo.met),
                format!("{:.1}", slo.left_minutes),
                percent(slo.left_percent),
                cell(&slo.burn_rate_1h),
                cell(&slo.burn_rate_1d),
            ]
        })
        .collect();
    let header = [
        "SERVICE",
        "TARGET",
        "AVAILABLE",
        "COVERAGE",
        "MET",
        "MINUTES LEFT",
        "LEFT",
        "BURN 1H",
        "BURN 1D",
    ];
    table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

async fn noise(client: &Client, options: &Noise) -> Outcome {
    let parameters = query(&[
        ("service", options.service.as_deref()),
        ("zone", Some(&options.zone)),
        ("from", options.span.from.as_deref()),
        ("to", options.span.to.as_deref()),
        ("advise", options.advise.as_deref()),
    ]);
    let path = format!("/analytics/noise{parameters}");
    if options.advise.is_some() {
        let answer = client.get(&path).await?;
        if options.span.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let found: AnalyticsBody<NoiseBody> = answer.read()?;
        if let Some(advice) = found.items.iter().find_map(|row| row.advice.as_ref()) {
            print_advice(advice);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let answer = client.list(&path).await?;
    if options.span.json {
        print_json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let found: Vec<NoiseBody> = answer.read()?;
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|row| {
            vec![
                cell(&row.rule),
                cell(&row.severity),
                cell(&row.fired),
                cell(&row.not_acted_on),
                cell(&row.refired),
                cell(&row.asleep),
                cell(&row.acknowledge_p50_seconds),
                cell(&row.resolve_p50_seconds),
                cell(&row.resolve_p90_seconds),
            ]
        })
        .collect();
    let header = [
        "RULE",
        "SEVERITY",
        "FIRED",
        "NOT ACTED ON",
        "AGAIN 24H",
        "NIGHT",
        "ACK P50 S",
        "RESOLVE P50 S",
        "P90 S",
    ];
    table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

fn print_advice(advice: &AdviceBody) {
    line(&match &advice.text {
        Some(text) => cell(text),
        None => {
            "no option that was tried would have fired less without missing an outage".to_owned()
        }
    });
    line(&format!(
        "as it is: {} alerts, {} outages notified of\n",
        advice.fired, advice.outages
    ));
    let rows: Vec<Vec<String>> = advice
        .variants
        .iter()
        .map(|variant| {
            vec![
                format!("{}: {}", cell(&variant.option), cell(&variant.value)),
                cell(&variant.fired),
                cell(&variant.missed_outages),
                cell(&variant.later_seconds),
            ]
        })
        .collect();
    table(
        &["OPTION", "WOULD HAVE FIRED", "OUTAGES MISSED", "LATER BY S"],
        &rows,
    );
    if let Some(yaml) = &advice.yaml {
        line("");
        yaml.lines().for_each(|text| line(&cell(text)));
    }
}

async fn honesty(client: &Client, options: &Honesty) -> Outcome {
    if let (Some(service), Some(month)) = (&options.pack, &options.month) {
        let parameters = query(&[("pack", Some(service)), ("month", Some(month))]);
        let answer = client
            .get(&format!("/analytics/honesty{parameters}"))
            .await?;
        if options.span.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        print_pack(&answer.read()?);
        return Ok(ExitCode::SUCCESS);
    }
    let parameters = query(&[
        ("from", options.span.from.as_deref()),
        ("to", options.span.to.as_deref()),
    ]);
    let answer = client
        .list(&format!("/analytics/honesty{parameters}"))
        .await?;
    if options.span.json {
        print_json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let found: Vec<HonestyBody> = answer.read()?;
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|row| {
            vec![
                cell(&row.service),
                cell(&row.our_incidents),
                cell(&row.vendor_incidents),
                cell(&row.we_first),
                cell(&row.vendor_first),
                cell(&row.undeclared),
                cell(&row.lag_p50_seconds),
                cell(&row.our_minutes),
                cell(&row.vendor_minutes),
                cell(&row.sla),
            ]
        })
        .collect();
    let header = [
        "SERVICE",
        "OURS",
        "THEIRS",
        "WE FIRST",
        "THEY FIRST",
        "UNDECLARED",
        "LAG S",
        "OUR MINUTES",
        "THEIR MINUTES",
        "SLA",
    ];
    table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

fn print_pack(pack: &PackBody) {
    let sla = pack.sla.map_or_else(
        || "no contract is configured".to_owned(),
        |sla| format!("{sla} % promised"),
    );
    line(&format!(
        "{} in {}: {} available, {sla}",
        cell(&pack.service),
        cell(&pack.month),
        percent(pack.availability)
    ));
    line(&format!(
        "minutes: {} by our clock, {} by the vendor's; claim by {}",
        pack.our_minutes,
        pack.vendor_minutes,
        cell(&pack.claim_by)
    ));
    line(&format!("runs: {}\n", cell(&pack.runs)));
    let rows: Vec<Vec<String>> = pack
        .incidents
        .iter()
        .map(|incident| {
            vec![
                cell(&incident.id),
                cell(&incident.source),
                cell(&incident.started_at),
                cell(&incident.ended_at),
                cell(&incident.seconds),
                cell(&incident.cause),
            ]
        })
        .collect();
    table(
        &["ID", "SOURCE", "STARTED", "ENDED", "SECONDS", "CAUSE"],
        &rows,
    );
}

async fn comparison(client: &Client, options: &Comparison) -> Outcome {
    let parameters = query(&[
        ("services", options.services.as_deref()),
        ("from", options.span.from.as_deref()),
        ("to", options.span.to.as_deref()),
    ]);
    let answer = client
        .list(&format!("/analytics/comparison{parameters}"))
        .await?;
    if options.span.json {
        print_json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let found: Vec<ComparisonBody> = answer.read()?;
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|row| {
            let cost = row.cost_at_most.as_ref().zip(row.currency.as_ref());
            let cost = cost.map(|(most, currency)| format!("{most} {currency}"));
            vec![
                cell(&row.service),
                cell(&row.from),
                percent(row.availability),
                ms(row.p50_ms),
                ms(row.p95_ms),
                ms(row.p99_ms),
                cell(&row.incidents),
                cell(&row.calls),
                cell(&cost),
            ]
        })
        .collect();
    let header = [
        "SERVICE",
        "FROM",
        "AVAILABLE",
        "P50 MS",
        "P95 MS",
        "P99 MS",
        "INCIDENTS",
        "CALLS",
        "COST",
    ];
    table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}
