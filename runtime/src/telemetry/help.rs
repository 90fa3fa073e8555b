//! Meanings of the metrics, for `/metrics`: a scrape is read by people who have no other page at
//! hand; a list is easier to look through in one file. Each is a unit by its name, in base units; a test compares this list with the sources.

use Kind::{Counter, Gauge, Histogram};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Metrics by name.
const METRICS: &[(Kind, &str, &str)] = &[
    (
        Counter,
        "extrack_alert_channels_unknown_total",
        "Alerts whose channel is no longer configured",
    ),
    (
        Counter,
        "extrack_alert_commit_failures_total",
        "Transitions of alerts that the control store could not commit",
    ),
    (
        Counter,
        "extrack_alert_dispatch_failures_total",
        "Rounds of the dispatcher that ended with an error",
    ),
    (
        Counter,
        "extrack_alert_evaluations_coalesced_total",
        "Observations judged together with the next one of their service",
    ),
    (
        Counter,
        "extrack_alert_evaluations_total",
        "Evaluations of alert rules",
    ),
    (
        Counter,
        "extrack_alert_evaluations_withheld_total",
        "Evaluations not made because the history did not reach back far enough",
    ),
    (
        Gauge,
        "extrack_alert_histories_missing",
        "Services whose rules wait for a history that can not be read",
    ),
    (
        Counter,
        "extrack_alert_history_failures_total",
        "Histories of services that could not be read",
    ),
    (
        Counter,
        "extrack_alert_observations_dropped_total",
        "Observations that the alert engine had no room for",
    ),
    (
        Counter,
        "extrack_alert_rule_errors_total",
        "Evaluations that broke or answered with an error, by rule",
    ),
    (
        Gauge,
        "extrack_alert_rules_without_data",
        "Rules that have had no data for longer than they should",
    ),
    (
        Counter,
        "extrack_alert_rules_without_data_total",
        "Times that a rule was found to be without data",
    ),
    (
        Counter,
        "extrack_alert_transitions_total",
        "Transitions of alerts, by the state they went to",
    ),
    (
        Gauge,
        "extrack_alerting_overdue",
        "Things that alerting should have done by now, by what they are",
    ),
    (
        Counter,
        "extrack_alerting_overdue_total",
        "Things that alerting was late with, by what they are",
    ),
    (
        Counter,
        "extrack_alerts_unrecorded_dropped_total",
        "Alerts that could not be committed and found no room in memory",
    ),
    (
        Counter,
        "extrack_alerts_unrecorded_sent_total",
        "Messages sent from memory because nothing could be committed",
    ),
    (
        Gauge,
        "extrack_archive_bytes",
        "Size of the files of the archive",
    ),
    (
        Counter,
        "extrack_archive_failures_total",
        "Rounds of the archive that ended with an error",
    ),
    (
        Gauge,
        "extrack_archive_faulty_files",
        "Files of the archive that are damaged or gone",
    ),
    (
        Gauge,
        "extrack_archive_uncopied_files",
        "Files of the archive that wait to be copied to the object store",
    ),
    (
        Counter,
        "extrack_archived_days_total",
        "Days that became files of the archive, by table",
    ),
    (
        Counter,
        "extrack_backup_failures_total",
        "Scheduled backups that could not be made",
    ),
    (
        Gauge,
        "extrack_backup_last_success_timestamp_seconds",
        "Moment of the last scheduled backup since the start",
    ),
    (
        Gauge,
        "extrack_calls_difference",
        "Calls of the last hour by which rows and totals differ",
    ),
    (
        Counter,
        "extrack_calls_repeated_total",
        "Calls that were reported again, and left out",
    ),
    (
        Counter,
        "extrack_calls_total",
        "Calls that were taken, by `source`",
    ),
    (
        Counter,
        "extrack_calls_unlisted_total",
        "Calls that are in the totals, and have no row of their own",
    ),
    (
        Counter,
        "extrack_calls_unpriced_total",
        "Calls whose cost could not be computed although there is a price list",
    ),
    (
        Counter,
        "extrack_clock_jumps_total",
        "Jumps of the wall clock, by direction",
    ),
    (
        Gauge,
        "extrack_configuration_differs",
        "Reasons why the files differ from the configuration in use",
    ),
    (
        Gauge,
        "extrack_control_ballast_given_up",
        "1 while the room kept for alerts on a full disk is given up",
    ),
    (
        Counter,
        "extrack_control_ballast_given_up_total",
        "Times that the room kept for alerts on a full disk was given up",
    ),
    (
        Gauge,
        "extrack_control_unwritable",
        "1 while the control store can not be written",
    ),
    (
        Counter,
        "extrack_control_write_failures_total",
        "Writes to the control store that failed",
    ),
    (
        Gauge,
        "extrack_credentials_ending",
        "Credentials that end soon, or have ended",
    ),
    (
        Counter,
        "extrack_escalation_failures_total",
        "Steps of escalations that could not be taken",
    ),
    (
        Counter,
        "extrack_escalation_steps_total",
        "Steps of escalations that were taken",
    ),
    (
        Counter,
        "extrack_events_total",
        "Events received by webhooks",
    ),
    (
        Histogram,
        "extrack_gateway_call_duration_seconds",
        "Duration of calls through the gateway, with their bodies",
    ),
    (
        Counter,
        "extrack_gateway_calls_total",
        "Calls through the gateway, by how they ended",
    ),
    (
        Counter,
        "extrack_heartbeat_pings_total",
        "Pings of jobs that were kept, by signal",
    ),
    (
        Gauge,
        "extrack_http_connections",
        "Incoming connections that are open",
    ),
    (
        Counter,
        "extrack_http_connections_closed_total",
        "Incoming connections closed by the server, by reason",
    ),
    (
        Histogram,
        "extrack_http_request_duration_seconds",
        "Time from a request's headers to its answer, by route",
    ),
    (
        Counter,
        "extrack_http_requests_total",
        "Requests answered, by method, route and status",
    ),
    (
        Counter,
        "extrack_incidents_lost_total",
        "Incidents that were not kept because too many waited for the control store",
    ),
    (
        Counter,
        "extrack_message_template_failures_total",
        "Messages whose template could not be rendered, by template",
    ),
    (
        Counter,
        "extrack_meter_readings_total",
        "Readings of what vendors bill, by outcome",
    ),
    (
        Gauge,
        "extrack_monitor_offline",
        "1 while none of the offline targets can be reached",
    ),
    (
        Counter,
        "extrack_notification_attempts_total",
        "Attempts to deliver a message, by outcome",
    ),
    (
        Counter,
        "extrack_notification_digests_total",
        "Messages put together into a digest by a channel's rate limit",
    ),
    (
        Counter,
        "extrack_notifications_decided_total",
        "Messages that the dispatcher decided to send",
    ),
    (
        Counter,
        "extrack_observations_total",
        "Observations, by status and by whether the run was missed",
    ),
    (
        Counter,
        "extrack_otlp_spans_total",
        "Spans of OpenTelemetry, by `outcome`",
    ),
    (
        Gauge,
        "extrack_pg_connections",
        "Connections over the PostgreSQL protocol",
    ),
    (
        Counter,
        "extrack_pg_connections_refused_total",
        "Connections over the PostgreSQL protocol that were refused because there are too many",
    ),
    (
        Counter,
        "extrack_pg_errors_total",
        "Errors that were sent over the PostgreSQL protocol, by SQLSTATE",
    ),
    (
        Counter,
        "extrack_pg_queries_total",
        "Queries of results over the PostgreSQL protocol",
    ),
    (
        Histogram,
        "extrack_plugin_cpu_seconds",
        "CPU time of a run, by plugin and version",
    ),
    (
        Counter,
        "extrack_plugin_denials_total",
        "Host calls refused because the plugin was not granted them, by plugin",
    ),
    (
        Gauge,
        "extrack_plugin_failing",
        "1 while the last runs of the plugin all broke",
    ),
    (
        Gauge,
        "extrack_plugin_memory_peak_bytes",
        "Most memory that a run held, by plugin and version",
    ),
    (
        Histogram,
        "extrack_plugin_run_duration_seconds",
        "Duration of a run with its waiting, by plugin, version and outcome",
    ),
    (
        Counter,
        "extrack_plugin_runs_total",
        "Runs of plugins, by plugin, version and outcome",
    ),
    (
        Counter,
        "extrack_plugin_runs_unrecorded_total",
        "Accounts of runs that were dropped because the results store is behind",
    ),
    (
        Counter,
        "extrack_plugin_shadow_runs_total",
        "Runs of candidates beside the active version, by plugin and result",
    ),
    (
        Counter,
        "extrack_probe_retries_total",
        "Runs repeated because the one before failed",
    ),
    (
        Counter,
        "extrack_probe_runs_missed_total",
        "Runs that were due and not made, by reason",
    ),
    (
        Gauge,
        "extrack_probe_slots",
        "Checks that may be under way at once now",
    ),
    (
        Histogram,
        "extrack_probe_start_lag_seconds",
        "Time from the moment a check was due to its start",
    ),
    (
        Gauge,
        "extrack_probes_waiting",
        "Checks that are due and wait for a slot",
    ),
    (
        Counter,
        "extrack_recordings_dropped_total",
        "Recordings of runs that were not written",
    ),
    (
        Counter,
        "extrack_recordings_written_total",
        "Recordings of runs that were written",
    ),
    (
        Counter,
        "extrack_report_runs_total",
        "Runs of reports, by what became of them: `sent`, `late`, `incomplete`, `failed`",
    ),
    (
        Counter,
        "extrack_restore_failures_total",
        "Starts at which the last results could not be read",
    ),
    (
        Counter,
        "extrack_results_commits_total",
        "Batches committed to the results store",
    ),
    (
        Counter,
        "extrack_results_committed_rows_total",
        "Rows committed to the results store",
    ),
    (
        Counter,
        "extrack_results_dropped_rows_total",
        "Rows of best effort that were dropped",
    ),
    (
        Gauge,
        "extrack_results_lag_seconds",
        "Age of the oldest row that waits to be committed",
    ),
    (
        Counter,
        "extrack_results_lost_rows_total",
        "Rows that found no room anywhere",
    ),
    (
        Gauge,
        "extrack_results_queued_rows",
        "Rows that wait in memory to be committed",
    ),
    (
        Counter,
        "extrack_results_rows_removed_total",
        "Rows of the results that were no longer kept, by `table`",
    ),
    (
        Gauge,
        "extrack_results_spooled_bytes",
        "Size of the spool of rows that can not be committed",
    ),
    (
        Gauge,
        "extrack_results_spooled_rows",
        "Rows in the spool of those that can not be committed",
    ),
    (
        Gauge,
        "extrack_results_stalled",
        "1 while results are not committed",
    ),
    (
        Counter,
        "extrack_retention_rows_removed_total",
        "Rows removed from the control store because they are over and old, by what they were of",
    ),
    (
        Gauge,
        "extrack_runs_memory_bytes",
        "Memory that runs of plugins have reserved",
    ),
    (
        Gauge,
        "extrack_runs_memory_limit_bytes",
        "Memory that runs of plugins may have together",
    ),
    (
        Counter,
        "extrack_seal_failures_total",
        "Failed attempts to seal results for SQL",
    ),
    (
        Gauge,
        "extrack_sealed_bytes",
        "Size of the sealed files that SQL reads",
    ),
    (
        Counter,
        "extrack_sealed_damaged_files_total",
        "Sealed files that were damaged and are written anew",
    ),
    (Gauge, "extrack_sealed_files", "Sealed files that SQL reads"),
    (
        Gauge,
        "extrack_secret_commands_failing",
        "Commands for secrets whose last run failed, while the value before it stays in use",
    ),
    (Gauge, "extrack_services", "Services that are watched"),
    (
        Gauge,
        "extrack_services_by_status",
        "Services, by their status now",
    ),
    (
        Counter,
        "extrack_silences_ending_total",
        "Silences that were said to end soon",
    ),
    (
        Counter,
        "extrack_tier_failures_total",
        "Steps of counting the history that failed",
    ),
    (
        Gauge,
        "extrack_tier_lag_seconds",
        "Age of the oldest slot that a tier of history has to count, by tier",
    ),
    (
        Gauge,
        "extrack_unreadable_rows",
        "Stored rows that can not be read and are left out, by what they are",
    ),
    (
        Gauge,
        "extrack_watchdog_held",
        "1 while the watchdog's messages are held back",
    ),
    (
        Counter,
        "extrack_webhook_copies_lost_total",
        "Deliveries to webhooks that were handled, and not kept as they came: no room, or the store failed",
    ),
    (
        Counter,
        "extrack_webhook_deliveries_total",
        "Deliveries to webhooks, by outcome",
    ),
];

/// Hands every text to the recorder in use.
pub(super) fn describe() {
    for &(kind, name, help) in METRICS {
        match kind {
            Counter => metrics::describe_counter!(name, help),
            Gauge => metrics::describe_gauge!(name, help),
            Histogram => metrics::describe_histogram!(name, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// Kind and name of each metric in the sources below a folder.
    fn used(folder: &Path, found: &mut BTreeSet<(String, String)>) {
        let metric =
            regex::Regex::new(r#"(counter|gauge|histogram)!\(\s*"(extrack_\w+)""#).unwrap();
        for entry in std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if entry.is_dir() {
                used(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(entry).unwrap();
                found.extend(
                    metric
                        .captures_iter(&text)
                        .map(|c| (c[1].to_owned(), c[2].to_owned())),
                );
            }
        }
    }

    #[test]
    fn every_metric_has_its_help_and_none_is_described_that_is_gone() {
        let mut found = BTreeSet::new();
        used(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        );
        let described: BTreeSet<(String, String)> = METRICS
            .iter()
            .map(|(kind, name, _)| (format!("{kind:?}").to_lowercase(), (*name).to_owned()))
            .collect();
        assert_eq!(
            found.difference(&described).collect::<Vec<_>>(),
            [] as [&(String, String); 0],
            "add its help"
        );
        assert_eq!(
            described.difference(&found).collect::<Vec<_>>(),
            [] as [&(String, String); 0],
            "remove its help"
        );
    }

    /// Checks the rules of `promtool check metrics`.
    #[test]
    fn names_follow_the_rules_of_prometheus() {
        for (kind, name, help) in METRICS {
            assert_eq!(
                name.ends_with("_total"),
                *kind == Counter,
                "{name}: counters end in `_total`"
            );
            let parts: Vec<&str> = name.split('_').collect();
            for word in [
                "microseconds",
                "milliseconds",
                "minutes",
                "ms",
                "us",
                "sec",
                "kb",
                "mb",
                "counter",
                "gauge",
                "histogram",
            ] {
                assert!(!parts.contains(&word), "{name}: base units, and no kinds");
            }
            for ending in ["_count", "_sum", "_bucket"] {
                assert!(!name.ends_with(ending), "{name}");
            }
            assert!(
                !help.is_empty() && !help.contains('\n') && !help.ends_with('.'),
                "{name}: {help}"
            );
        }
        assert!(METRICS.is_sorted_by_key(|(_, name, _)| name));
    }

    #[test]
    fn the_scrape_carries_the_help() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            for &(kind, name, _) in METRICS {
                match kind {
                    Counter => metrics::counter!(name).increment(1),
                    Gauge => metrics::gauge!(name).set(1.0),
                    Histogram => metrics::histogram!(name).record(1.0),
                }
            }
        });
        let text = recorder.handle().render();
        let named = |word: &str| -> BTreeSet<String> {
            let lines = text
                .lines()
                .filter_map(|line| line.strip_prefix(word)?.split(' ').next());
            lines.map(str::to_owned).collect()
        };
        assert_eq!(named("# TYPE "), named("# HELP "));
        assert_eq!(named("# TYPE ").len(), METRICS.len());
    }
}
