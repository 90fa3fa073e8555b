//! The command line, one file per subcommand.

mod add;
mod alerts;
mod analytics;
mod apply;
mod archive;
mod backup;
mod budgets;
mod calls;
mod channels;
mod check_config;
mod client;
mod config;
mod consumers;
mod costs;
mod credentials;
mod demo;
mod export;
mod heartbeats;
mod import;
mod incidents;
mod invoices;
mod maintenance;
mod notifications;
mod outcome;
mod owned;
mod plugin;
mod print;
mod queries;
mod rate_limits;
mod reports;
mod routes;
mod rule;
mod secrets;
mod serve;
mod services;
mod silences;
mod sql;
mod status_page;
mod store;
mod tokens;
mod vendors;
mod webhooks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::{SQL_SUBCOMMAND, sql_child};
use crate::plugin_host::{COMPILE_SUBCOMMAND, PROGRAM_SUBCOMMAND, compile_child, program_child};
use outcome::{EXIT_USAGE, failed};

/// Watches the services you depend on and do not run.
#[derive(Debug, Parser)]
#[command(name = "extrack", version, about, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    server: client::Server,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  extrack demo                                        watches a simulated vendor, to look around
  extrack serve --config config --data data           the real thing
  extrack check-config --config config                all faults at once, with file, line and column
  extrack services check shop-api                     one check now
  extrack sql \"SELECT * FROM observations LIMIT 5\"    ask the history";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    CheckConfig(check_config::CheckConfig),
    Sql(sql::Sql),
    Backup(backup::Backup),
    Restore(backup::Restore),
    /// Days of the results that are kept as Parquet files: list, verify, restore.
    #[command(subcommand)]
    Archive(archive::Archive),
    /// Saved queries: list, show, save, run, delete.
    #[command(subcommand)]
    Queries(queries::Queries),
    /// Reports: list, show with its runs, make one now, preview.
    #[command(subcommand)]
    Reports(reports::Reports),
    /// The configuration files: whether they are in use, and the confirmation of what is held.
    #[command(subcommand)]
    Config(config::Config),
    /// The stores in the data folder: check, size, compact; go on after one lost its content.
    #[command(subcommand)]
    Store(store::Store),
    /// Services: list, show, check now, pause, resume.
    #[command(subcommand)]
    Services(services::Services),
    /// Heartbeats: list, show with the line that the job runs, give one another address.
    #[command(subcommand)]
    Heartbeats(heartbeats::Heartbeats),
    Export(export::Export),
    Apply(apply::Apply),
    RateLimits(rate_limits::RateLimits),
    Add(add::Add),
    Import(import::Import),
    /// Vendors that are known: list, show, ask them whether they are up.
    #[command(subcommand)]
    Vendors(vendors::Vendors),
    /// Deliveries of webhooks that were kept: list, show, play again.
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Plugins: make, build, test, try and check one; install it, run it beside the active version,
    /// roll back; change its grants.
    #[command(subcommand)]
    Plugin(Box<plugin::Plugin>),
    /// Alerts: list, show, acknowledge, resolve.
    #[command(subcommand)]
    Alerts(alerts::Alerts),
    /// Calls to services that did not pass the gateway: import them from access logs.
    #[command(subcommand)]
    Calls(calls::Calls),
    /// Incidents: times in which a service was not available.
    #[command(subcommand)]
    Incidents(incidents::Incidents),
    /// Status pages of public services: write them as files for another web server.
    #[command(subcommand)]
    StatusPage(status_page::StatusPage),
    /// Trends, objectives, noise of alerts, honesty of vendors, services side by side.
    #[command(subcommand)]
    Analytics(analytics::Analytics),
    Usage(costs::Usage),
    Costs(costs::Costs),
    Budgets(budgets::Budgets),
    /// Invoices of vendors: import, compare with what was counted, show.
    #[command(subcommand)]
    Invoices(invoices::Invoices),
    /// Messages: list, show, send again.
    #[command(subcommand)]
    Notifications(notifications::Notifications),
    /// Channels: list, preview a message, send a test.
    #[command(subcommand)]
    Channels(channels::Channels),
    /// Silences: mute alerts for a while.
    #[command(subcommand)]
    Silences(silences::Silences),
    /// Maintenance windows: planned work during which alerts are muted.
    #[command(subcommand)]
    Maintenance(maintenance::Maintenance),
    /// API tokens: create with scopes and an end, list, revoke.
    #[command(subcommand, name = "token", visible_alias = "tokens")]
    Tokens(tokens::Tokens),
    /// Consumers of the gateway: add one with its token, list, revoke.
    #[command(subcommand)]
    Consumers(consumers::Consumers),
    /// Credentials of services: list them, with their last use and their end.
    #[command(subcommand)]
    Credentials(credentials::Credentials),
    /// Secrets in the data folder: seal them under a new key.
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    /// Routes: which channels get which alerts.
    #[command(subcommand)]
    Routes(routes::Routes),
    /// Rules and escalations: list them, play a rule over the stored history.
    #[command(subcommand, visible_alias = "rules")]
    Rule(rule::Rule),
    /// A child of this program, which it starts by itself.
    #[command(name = COMPILE_SUBCOMMAND, hide = true)]
    CompileComponent,
    /// A child of this program, which it starts by itself.
    #[command(name = SQL_SUBCOMMAND, hide = true)]
    RunStatement,
    /// A child of this program, which it starts by itself.
    #[command(name = PROGRAM_SUBCOMMAND, hide = true)]
    RunProgram {
        task: String,
    },
}

/// Parses, runs, and prints the whole chain of causes once.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before there are threads: they take limits on themselves.
    match &cli.command {
        Command::CompileComponent => return compile_child(),
        Command::RunStatement => return sql_child(),
        Command::RunProgram { task } => return program_child(task),
        _ => {}
    }
    // The one crypto library, for every TLS client in the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let ended = runtime.block_on(async {
        let server = cli.server;
        match cli.command {
            Command::Serve(serve) => serve.run().await,
            Command::Demo(demo) => demo.run().await,
            Command::CheckConfig(check) => check.run(&server).await,
            Command::Sql(sql) => sql.run(&server).await,
            Command::Backup(backup) => backup.run(&server).await,
            Command::Restore(restore) => restore.run().await,
            Command::Archive(archive) => archive.run(&server).await,
            Command::Queries(queries) => queries.run(&server).await,
            Command::Reports(reports) => reports.run(&server).await,
            Command::Config(config) => config.run(&server).await,
            Command::Store(store) => store.run().await,
            Command::Services(services) => services.run(&server).await,
            Command::Heartbeats(heartbeats) => heartbeats.run(&server).await,
            Command::Export(export) => export.run(&server).await,
            Command::Apply(apply) => apply.run(&server).await,
            Command::RateLimits(limits) => limits.run(&server).await,
            Command::Add(add) => add.run(&server).await,
            Command::Import(import) => import.run().await,
            Command::Vendors(vendors) => vendors.run().await,
            Command::Webhooks(webhooks) => webhooks.run(&server).await,
            Command::Plugin(plugin) => plugin.run(&server).await,
            Command::Alerts(alerts) => alerts.run(&server).await,
            Command::Calls(calls) => calls.run(&server).await,
            Command::Incidents(incidents) => incidents.run(&server).await,
            Command::StatusPage(status_page) => status_page.run(&server).await,
            Command::Analytics(analytics) => analytics.run(&server).await,
            Command::Usage(usage) => usage.run(&server).await,
            Command::Costs(costs) => costs.run(&server).await,
            Command::Budgets(budgets) => budgets.run(&server).await,
            Command::Invoices(invoices) => invoices.run(&server).await,
            Command::Notifications(notifications) => notifications.run(&server).await,
            Command::Rule(rule) => rule.run(&server).await,
            Command::Channels(channels) => channels.run(&server).await,
            Command::Silences(silences) => silences.run(&server).await,
            Command::Maintenance(maintenance) => maintenance.run(&server).await,
            Command::Tokens(tokens) => tokens.run(&server).await,
            Command::Consumers(consumers) => consumers.run(&server).await,
            Command::Credentials(credentials) => credentials.run(&server).await,
            Command::Secrets(secrets) => secrets.run().await,
            Command::Routes(routes) => routes.run(&server).await,
            Command::CompileComponent | Command::RunStatement | Command::RunProgram { .. } => {
                Ok(ExitCode::from(EXIT_USAGE))
            }
        }
    });
    // A resolver that hangs in a blocking thread must not keep the program alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match ended {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
