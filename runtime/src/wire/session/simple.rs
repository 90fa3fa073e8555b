//! Statements as one text, each answered in full.

use super::{Outcome, Session};
use crate::store::QueryParams;
use crate::wire::command::Command;
use crate::wire::error::WireError;
use crate::wire::io::Failure;
use crate::wire::rows::fields;
use crate::wire::tokens::statements;

impl Session {
    /// Runs the statements of a text up to the first that fails.
    pub(super) async fn query(&mut self, text: &str) -> Result<(), Failure> {
        let statements = statements(text);
        if statements.is_empty() {
            self.io.out.empty_query();
        }
        for sql in statements {
            match self.one(sql).await {
                Ok(()) => {}
                Err(Failure::Error(error)) if !error.is_fatal => {
                    // The place counts from the beginning of the whole text.
                    let before = sql.as_ptr().addr() - text.as_ptr().addr();
                    let before = text[..before].chars().count();
                    let position = error.position.map(|position| position + before);
                    self.failed(&WireError { position, ..error });
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn one(&mut self, sql: &str) -> Result<(), Failure> {
        let command = Command::read(sql, &self.context.views);
        match self.perform(&command, sql, &QueryParams::default()).await? {
            Outcome::Done(tag) => self.io.out.done(&tag),
            Outcome::Rows(mut rows) => {
                let fields = fields(rows.columns(), &[]);
                self.io.out.columns(&fields);
                rows.send(&mut self.io, &fields, sql, None).await?;
                self.io.out.done(&format!("SELECT {}", rows.taken));
            }
            Outcome::Copy(mut rows, format) => {
                rows.copy(&mut self.io, &format, sql).await?;
                self.io.out.done(&format!("COPY {}", rows.taken));
            }
            Outcome::Fetch(cursor, count) => {
                self.cursor_open(&cursor).await?;
                let columns = self.portals.get(&cursor).and_then(|portal| portal.fields());
                let fields = columns.unwrap_or_default();
                self.io.out.columns(&fields);
                self.fetch(&cursor, count, &[]).await?;
            }
        }
        Ok(())
    }
}
