//! One connection after its sign-in: messages in their order, until it ends.

mod extended;
mod perform;
mod simple;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cancel::CancelKey;
use super::command::Command;
use super::context::Context;
use super::error::WireError;
use super::io::{Failure, Io, MAX_MESSAGE};
use super::messages::{Message, message};
use super::replies::{Field, Transaction};
use super::rows::Rows;
use super::types::PgType;
use crate::api::Principal;
use crate::store::{QueryParams, SqlColumn};

/// A connection that asks nothing for so long is closed. Pools keep theirs for less.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// Statements that a connection has prepared; drivers keep up to 256.
const MAX_STATEMENTS: usize = 300;
/// Their text, in all.
const MAX_STATEMENTS_BYTES: usize = 4 * 1024 * 1024;
/// Portals and cursors that a connection has open. Each may keep others from their queries for a
/// while.
const MAX_PORTALS: usize = 16;
/// Settings that a connection made.
const MAX_SETTINGS: usize = 64;

pub(super) struct Session {
    context: Arc<Context>,
    io: Io,
    principal: Principal,
    address: IpAddr,
    key: CancelKey,
    /// Ends the connection, and what it runs.
    closing: CancellationToken,
    transaction: Transaction,
    settings: HashMap<String, String>,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
    /// After an error messages are skipped up to `Sync`.
    is_skipping: bool,
}

/// A statement with its parameters' types.
struct Prepared {
    sql: String,
    command: Command,
    types: Vec<PgType>,
    /// Columns as they were announced.
    columns: Option<Vec<SqlColumn>>,
}

/// A statement with the values of its parameters, and how far its rows were taken.
struct Portal {
    sql: String,
    command: Command,
    params: QueryParams,
    formats: Vec<u16>,
    /// Columns as they were announced, else those of the answer.
    columns: Option<Vec<SqlColumn>>,
    rows: Option<Rows>,
    is_done: bool,
    /// Declared as a cursor, so that it outlives the message.
    is_cursor: bool,
    /// It outlives the transaction.
    is_held: bool,
}

/// What becomes of a statement.
enum Outcome {
    Done(String),
    Rows(Rows),
    Copy(Rows, super::copy::CopyFormat),
    Fetch(String, Option<usize>),
}

/// Parts of a session that its start made.
pub(super) struct Parts {
    pub(super) context: Arc<Context>,
    pub(super) io: Io,
    pub(super) principal: Principal,
    pub(super) address: IpAddr,
    pub(super) key: CancelKey,
    pub(super) closing: CancellationToken,
    pub(super) settings: HashMap<String, String>,
}

impl Session {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            context,
            io,
            principal,
            address,
            key,
            closing,
            settings,
        } = parts;
        Self {
            context,
            io,
            principal,
            address,
            key,
            closing,
            settings,
            transaction: Transaction::None,
            statements: HashMap::new(),
            portals: HashMap::new(),
            is_skipping: false,
        }
    }

    /// Serves until the client leaves, or the connection is closed.
    pub(super) async fn run(mut self) {
        self.io.out.ready(self.transaction);
        let ended = match self.io.send().await {
            Ok(()) => self.serve().await,
            Err(failure) => failure,
        };
        if let Failure::Error(error) = ended {
            self.io.out.error(&error);
            let _ = self.io.send().await;
        }
    }

    /// Closes the connection before its first statement.
    pub(super) async fn refuse(mut self, error: &WireError) {
        self.io.out.error(error);
        let _ = self.io.send().await;
    }

    async fn serve(&mut self) -> Failure {
        loop {
            let closing = self.closing.clone();
            let next = tokio::select! {
                biased;
                () = closing.cancelled() => return closed().into(),
                next = timeout(IDLE, self.io.message(MAX_MESSAGE)) => next,
            };
            let (kind, body) = match next {
                Ok(Ok(frame)) => frame,
                Ok(Err(failure)) => return failure,
                Err(_) => return WireError::fatal("57P05", "the connection was idle").into(),
            };
            let handled = match message(kind, &body) {
                Ok(Message::Terminate) => return Failure::Gone,
                Ok(message) => self.handle(message).await,
                Err(error) => Err(error.into()),
            };
            match handled {
                Ok(()) => {}
                Err(Failure::Error(error)) if !error.is_fatal => {
                    self.failed(&error);
                    self.is_skipping = true;
                }
                Err(failure) => return failure,
            }
        }
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Sync => {
                self.is_skipping = false;
                if self.transaction == Transaction::None {
                    self.portals.retain(|_, portal| portal.is_cursor);
                }
                self.io.out.ready(self.transaction);
                self.io.send().await
            }
            Message::Query(sql) => {
                self.is_skipping = false;
                self.query(&sql).await?;
                if self.transaction == Transaction::None {
                    self.portals.retain(|_, portal| portal.is_cursor);
                }
                self.io.out.ready(self.transaction);
                self.io.send().await
            }
            _ if self.is_skipping => Ok(()),
            Message::Parse(parse) => self.parse(parse),
            Message::Bind(bind) => self.bind(bind),
            Message::Describe(target) => self.describe(target).await,
            Message::Execute { portal, max_rows } => {
                let most = (max_rows > 0).then_some(max_rows);
                self.execute(&portal, most).await
            }
            Message::Close(target) => {
                self.close(&target);
                Ok(())
            }
            Message::Flush => self.io.send().await,
            Message::Copy | Message::Terminate => Ok(()),
        }
    }

    /// Reports that a statement failed.
    fn failed(&mut self, error: &WireError) {
        metrics::counter!("extrack_pg_errors_total", "code" => error.code).increment(1);
        self.io.out.error(error);
        if self.transaction == Transaction::Open {
            self.transaction = Transaction::Failed;
        }
    }

    /// Adds a portal, or a cursor.
    fn portal_insert(&mut self, name: String, portal: Portal) -> Result<(), WireError> {
        let is_new = !self.portals.contains_key(&name);
        if is_new && self.portals.len() >= MAX_PORTALS {
            let message = format!("a connection has at most {MAX_PORTALS} portals and cursors");
            return Err(WireError::new("53400", message).with_hint("close those that are done"));
        }
        self.portals.insert(name, portal);
        Ok(())
    }
}

impl Portal {
    fn fields(&self) -> Option<Vec<Field>> {
        let columns = self.columns.as_deref();
        let columns = columns.or_else(|| Some(self.rows.as_ref()?.columns()));
        columns.map(|columns| super::rows::fields(columns, &self.formats))
    }
}

/// The end of a connection for reasons of the server.
fn closed() -> WireError {
    WireError::fatal(
        "57P01",
        "the connection is closed: the server stops, or the token was revoked",
    )
}
