//! What statements do.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{MAX_SETTINGS, Outcome, Portal, Session};
use crate::domain::now_ms;
use crate::store::{QueryLimits, QueryParams, QueryRequest};
use crate::wire::command::{Command, timeout};
use crate::wire::error::WireError;
use crate::wire::io::Failure;
use crate::wire::replies::Transaction;
use crate::wire::rows::{Rows, fields};

/// Rows of an answer, as over HTTP.
const MAX_ROWS: usize = 1_000_000;
/// Memory that an answer takes as Arrow, as over HTTP.
const MAX_BYTES: usize = 256 * 1024 * 1024;
/// From the statement to the last row that is read, as over HTTP.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Characters of a statement that are logged.
const SHOWN: usize = 1_000;
/// Characters of a setting.
const MAX_SETTING: usize = 1_000;

impl Session {
    pub(super) async fn perform(
        &mut self,
        command: &Command,
        sql: &str,
        params: &QueryParams,
    ) -> Result<Outcome, Failure> {
        let ends = matches!(
            command,
            Command::Commit | Command::Rollback | Command::RollbackTo
        );
        if self.transaction == Transaction::Failed && !ends {
            let message = "the transaction failed; statements are ignored until its end";
            return Err(WireError::new("25P02", message)
                .with_hint("send `ROLLBACK`")
                .into());
        }
        let done = match command {
            Command::Query => return self.results(sql, params).await.map(Outcome::Rows),
            Command::Catalog(text) => return self.catalog(text, params).await.map(Outcome::Rows),
            Command::Show(name) => return self.show(name).await.map(Outcome::Rows),
            Command::Copy { query, format } => {
                let rows = self.rows_of(query).await?;
                return Ok(Outcome::Copy(rows, format.clone()));
            }
            Command::Fetch { cursor, count } => return Ok(Outcome::Fetch(cursor.clone(), *count)),
            Command::Refused(error) => return Err(error.clone().into()),
            other => self.local(other, sql)?,
        };
        Ok(Outcome::Done(done))
    }

    /// Does what concerns the session alone. Returns the tag of the answer.
    fn local(&mut self, command: &Command, sql: &str) -> Result<String, WireError> {
        let tag = match command {
            Command::Done(tag) => tag,
            Command::Begin(tag) => {
                self.transaction = Transaction::Open;
                tag
            }
            Command::Commit | Command::Rollback => {
                let failed = self.transaction == Transaction::Failed;
                self.transaction = Transaction::None;
                self.portals.retain(|_, portal| portal.is_held);
                if failed || *command == Command::Rollback {
                    "ROLLBACK"
                } else {
                    "COMMIT"
                }
            }
            Command::RollbackTo => {
                if self.transaction == Transaction::Failed {
                    self.transaction = Transaction::Open;
                }
                "ROLLBACK"
            }
            Command::Set { name, value } => {
                self.set(name, value)?;
                "SET"
            }
            Command::Reset(name) => {
                match name {
                    Some(name) => drop(self.settings.remove(name)),
                    None => self.settings.clear(),
                }
                "RESET"
            }
            Command::Discard => {
                self.settings.clear();
                self.statements.clear();
                self.portals.clear();
                "DISCARD ALL"
            }
            Command::Deallocate(None) => {
                self.statements.clear();
                "DEALLOCATE ALL"
            }
            Command::Deallocate(Some(name)) => {
                self.statements.remove(name);
                "DEALLOCATE"
            }
            Command::CloseCursor(name) => {
                match name {
                    Some(name) => drop(self.portals.remove(name)),
                    None => self.portals.clear(),
                }
                "CLOSE CURSOR"
            }
            Command::Declare { name, query } => {
                self.declare(name, query, sql)?;
                "DECLARE CURSOR"
            }
            _ => "",
        };
        Ok(tag.to_owned())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), WireError> {
        let plain = value
            .to_ascii_lowercase()
            .replace(['-', '_', '\'', '"'], "");
        let refused = |wanted: &str| {
            let message = format!("`{name}` can only be {wanted} here");
            Err(WireError::new("22023", message))
        };
        match name {
            "client_encoding" | "names"
                if !["utf8", "unicode", "default"].contains(&plain.as_str()) =>
            {
                return refused("`UTF8`");
            }
            "datestyle" if !plain.starts_with("iso") && plain != "default" => {
                return refused("`ISO`");
            }
            _ => {}
        }
        let is_new = !self.settings.contains_key(name);
        if value.len() > MAX_SETTING || is_new && self.settings.len() >= MAX_SETTINGS {
            return Err(WireError::new(
                "53400",
                "too many settings, or too long ones",
            ));
        }
        if name == "application_name" {
            self.io.out.parameter(name, value);
        }
        self.settings.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    async fn show(&mut self, name: &str) -> Result<Rows, Failure> {
        let literal = |text: &str| text.replace('\'', "''");
        let label = name.replace('"', "\"\"");
        let query = match self.settings.get(name) {
            // Moments come in UTC, whatever zone was asked for.
            Some(value) if name != "timezone" => {
                format!("SELECT '{}' AS \"{label}\"", literal(value))
            }
            _ if name == "all" => {
                "SELECT name, setting, short_desc AS description FROM pg_settings ORDER BY name"
                    .to_owned()
            }
            _ => format!(
                "SELECT setting AS \"{label}\" FROM pg_settings WHERE name = '{}'",
                literal(name)
            ),
        };
        let answer = self
            .context
            .catalog
            .query(&query, &QueryParams::default())
            .await;
        let answer = answer.map_err(WireError::from)?;
        if answer.batches.iter().all(|batch| batch.num_rows() == 0) {
            let message = format!("there is no setting `{name}`");
            return Err(WireError::new("42704", message).into());
        }
        Ok(Rows::of_catalog(answer))
    }

    fn declare(&mut self, name: &str, query: &str, sql: &str) -> Result<(), WireError> {
        let head = sql[..sql.len() - query.len()].to_ascii_lowercase();
        let is_held = head.contains("with hold");
        if !is_held && self.transaction == Transaction::None {
            let message = "a cursor needs a transaction, or `WITH HOLD`";
            return Err(WireError::new("25P01", message));
        }
        if self.portals.contains_key(name) {
            let message = format!("there is a cursor `{name}` already");
            return Err(WireError::new("42P03", message));
        }
        let portal = Portal {
            sql: query.to_owned(),
            command: Command::read(query, &self.context.views),
            params: QueryParams::default(),
            formats: Vec::new(),
            columns: None,
            rows: None,
            is_done: false,
            is_cursor: true,
            is_held,
        };
        self.portal_insert(name.to_owned(), portal)
    }

    /// Starts the query of a cursor, unless it runs.
    pub(super) async fn cursor_open(&mut self, name: &str) -> Result<(), Failure> {
        let unknown = || WireError::new("34000", format!("there is no cursor `{name}`"));
        let portal = self.portals.get(name).ok_or_else(unknown)?;
        if portal.rows.is_none() && !portal.is_done {
            let (sql, command) = (portal.sql.clone(), portal.command.clone());
            let params = portal.params.clone();
            let rows = match command {
                Command::Query => self.results(&sql, &params).await?,
                Command::Catalog(text) => self.catalog(&text, &params).await?,
                _ => return Err(WireError::new("42601", "a cursor is of a query").into()),
            };
            if let Some(portal) = self.portals.get_mut(name) {
                portal.rows = Some(rows);
            }
        }
        Ok(())
    }

    /// Sends rows of a cursor that was opened.
    pub(super) async fn fetch(
        &mut self,
        name: &str,
        count: Option<usize>,
        formats: &[u16],
    ) -> Result<(), Failure> {
        let mut sent = 0;
        if let Some(portal) = self.portals.get_mut(name)
            && let Some(rows) = &mut portal.rows
        {
            let before = rows.taken;
            let fields = fields(rows.columns(), formats);
            rows.send(&mut self.io, &fields, &portal.sql, count).await?;
            sent = rows.taken - before;
        }
        self.io.out.done(&format!("FETCH {sent}"));
        Ok(())
    }

    /// Rows of what a text asks for, results or catalog.
    async fn rows_of(&mut self, sql: &str) -> Result<Rows, Failure> {
        match Command::read(sql, &self.context.views) {
            Command::Catalog(text) => self.catalog(&text, &QueryParams::default()).await,
            _ => self.results(sql, &QueryParams::default()).await,
        }
    }

    /// Asks the catalog.
    pub(super) async fn catalog(
        &mut self,
        text: &str,
        params: &QueryParams,
    ) -> Result<Rows, Failure> {
        let answer = self.context.catalog.query(text, params).await;
        let answer = answer.map_err(|error| {
            tracing::debug!(query = text, %error, "the catalog does not answer");
            WireError::from(error)
        })?;
        Ok(Rows::of_catalog(answer))
    }

    /// Starts a query over results.
    pub(super) async fn results(
        &mut self,
        sql: &str,
        params: &QueryParams,
    ) -> Result<Rows, Failure> {
        let started = Instant::now();
        let rows = self.results_start(sql, params).await;
        let outcome = match &rows {
            Ok(_) => "started",
            Err(Failure::Error(error)) => error.code,
            Err(Failure::Gone) => "gone",
        };
        metrics::counter!("extrack_pg_queries_total", "outcome" => outcome).increment(1);
        tracing::debug!(
            token = self.principal.name,
            address = %self.address,
            query = sql.chars().take(SHOWN).collect::<String>(),
            outcome,
            duration_ms = started.elapsed().as_millis() as u64,
            "a query over the PostgreSQL protocol"
        );
        rows
    }

    async fn results_start(&mut self, sql: &str, params: &QueryParams) -> Result<Rows, Failure> {
        let cancel: CancellationToken = self.closing.child_token();
        self.key.runs(&cancel);
        let state = &self.context.state;
        let registration =
            state
                .queries
                .register(None, &self.principal.name, sql, now_ms(), cancel.clone());
        let registration = registration
            .map_err(|_| WireError::new("53300", "too many queries run; come again"))?;
        let limit = self.settings.get("statement_timeout");
        let limit = limit.and_then(|value| timeout(value)).unwrap_or(TIMEOUT);
        let request = QueryRequest {
            sql: sql.to_owned(),
            params: params.clone(),
            limits: QueryLimits {
                rows: MAX_ROWS,
                bytes: MAX_BYTES,
                timeout: limit.min(TIMEOUT),
            },
            cancel,
            progress: registration.progress.clone(),
        };
        let stream = tokio::select! {
            biased;
            stream = state.deps.results.query_stream(request) => stream,
            () = self.io.gone() => return Err(Failure::Gone),
        };
        let stream = stream.map_err(|error| WireError::of_query(error, sql))?;
        Ok(Rows::of_results(stream, registration))
    }
}
