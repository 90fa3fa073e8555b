//! `extrack secrets`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use super::outcome::Outcome;
use super::print::{line, note};
use crate::{app, telemetry};

#[derive(Debug, Subcommand)]
pub(super) enum Secrets {
    /// Seals all secrets in the data folder under a new key; the server must not run.
    ///
    /// A key in `secret.key` is replaced by one that is made. A key in `ENCRYPTION_KEY` is replaced by
    /// the text in `--new-key-file`, which `ENCRYPTION_KEY` has to hold from then on. It may be cut
    /// off at any time: the next start, or the next rotation, uses the key that opens the data.
    /// Backups that were made before open with the former key only.
    ///
    /// Examples:
    ///   extrack secrets rotate-key --data data --keep-former /safe/secret-of-2026.key
    ///   extrack secrets rotate-key --data data --new-key-file /run/secrets/next
    #[command(verbatim_doc_comment)]
    RotateKey {
        /// Folder with the stores, as for `serve`.
        #[arg(long, env = "EXTRACK_DATA", default_value = "data")]
        data: PathBuf,
        /// Folder with the configuration, as for `serve`: its environment may hold
        /// `ENCRYPTION_KEY`.
        #[arg(long, env = "EXTRACK_CONFIG", default_value = "config")]
        config: PathBuf,
        /// File with the text that `ENCRYPTION_KEY` will hold.
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
        /// File that the former key is written to, for backups of before; it must not exist.
        #[arg(long, value_name = "FILE")]
        keep_former: Option<PathBuf>,
    },
}

impl Secrets {
    pub(super) async fn run(self) -> Outcome {
        telemetry::start_logs("warn");
        let Secrets::RotateKey {
            data,
            config,
            new_key_file,
            keep_former,
        } = self;
        let text = match &new_key_file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("reading the new key from `{}`", path.display()))?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned().into())
            }
            None => None,
        };
        let former = keep_former.as_deref();
        let rotated = app::rotate_key(&data, &config, text, former).await?;
        line(&format!(
            "{} rows are sealed under the new key `{}`; the former one, `{}`, opens only backups of before",
            rotated.rows, rotated.to, rotated.from
        ));
        if new_key_file.is_some() {
            note("set `ENCRYPTION_KEY` to the new text before the next start");
        }
        Ok(ExitCode::SUCCESS)
    }
}
