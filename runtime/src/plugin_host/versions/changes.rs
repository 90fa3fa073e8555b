//! What others may have done to the versions of a plugin. One change at a time, and each is carried
//! out to its end: whoever asked may be gone before, and the log must not say something else than
//! what runs.

use std::future::Future;

use bytes::Bytes;

use super::loader::{Refusal, refuse};
use crate::plugin_host::{PluginEntry, PluginHost};

impl PluginHost {
    /// `name`, where given, has to be what the component says of itself. Installing the active
    /// version again changes nothing. It is compiled for as long as somebody waits for that,
    /// and before others have to wait for the change.
    pub async fn install(
        &self,
        name: Option<&str>,
        bytes: Bytes,
        by: &str,
    ) -> Result<PluginEntry, Refusal> {
        let (name, by) = (name.map(str::to_owned), by.to_owned());
        let compiled = self.shared.loader.compile_ahead(&bytes).await;
        let installed = match compiled {
            Ok(()) => {
                self.carry_out(
                    |host| async move { host.install_now(name.as_deref(), bytes, &by).await },
                )
                .await
            }
            Err(refusal) => Err(refusal),
        };
        self.swept_unless_done(installed).await
    }

    /// Back to the version that was active before this one; twice is forth again. `to` names
    /// another one, by its version or by the first digits of its digest. None: there is no
    /// earlier one.
    pub async fn rollback(
        &self,
        name: &str,
        to: Option<&str>,
        by: &str,
    ) -> Result<Option<PluginEntry>, Refusal> {
        let (name, to, by) = (name.to_owned(), to.map(str::to_owned), by.to_owned());
        self.carry_out(|host| async move { host.rollback_now(&name, to.as_deref(), &by).await })
            .await
    }

    /// Takes an installed plugin away: the one that came with the program takes its place, and is
    /// answered. None: there is no such, and the name is free again; then nothing may use it
    /// any more.
    pub async fn remove(&self, name: &str, by: &str) -> Result<Option<PluginEntry>, Refusal> {
        let (name, by) = (name.to_owned(), by.to_owned());
        self.carry_out(|host| async move { host.remove_now(&name, &by).await })
            .await
    }

    /// Verifies a component as for an installation, and runs it beside the active version from now
    /// on, over restarts, until it is promoted or discarded. Takes the place of the candidate
    /// before.
    pub async fn shadow_start(
        &self,
        name: &str,
        bytes: Bytes,
        by: &str,
    ) -> Result<PluginEntry, Refusal> {
        let (name, by) = (name.to_owned(), by.to_owned());
        let compiled = self.shared.loader.compile_ahead(&bytes).await;
        let started = match compiled {
            Ok(()) => {
                self.carry_out(|host| async move { host.shadow_now(&name, bytes, &by).await })
                    .await
            }
            Err(refusal) => Err(refusal),
        };
        self.swept_unless_done(started).await
    }

    /// The candidate becomes the active version, verified once more. None: there is no candidate.
    pub async fn promote(&self, name: &str, by: &str) -> Result<Option<PluginEntry>, Refusal> {
        let (name, by) = (name.to_owned(), by.to_owned());
        self.carry_out(|host| async move { host.promote_now(&name, &by).await })
            .await
    }

    /// Ends the trial of the candidate, which is kept as an old version. False: there is no
    /// candidate.
    pub async fn discard(&self, name: &str, by: &str) -> Result<bool, Refusal> {
        let (name, by) = (name.to_owned(), by.to_owned());
        self.carry_out(|host| async move { host.discard_now(&name, &by).await })
            .await
    }

    /// What a refused component left on the disk goes.
    async fn swept_unless_done<T>(&self, done: Result<T, Refusal>) -> Result<T, Refusal> {
        if done.is_err() {
            self.sweep_unneeded().await;
        }
        done
    }

    /// In a task of its own, which is awaited here and ends by itself: what is dropped here is the
    /// waiting.
    pub(in crate::plugin_host) async fn carry_out<T, F>(
        &self,
        change: impl FnOnce(Self) -> F,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        let (host, change) = (self.clone(), change(self.clone()));
        let done = tokio::spawn(async move {
            let _one_at_a_time = host.shared.installing.lock().await;
            change.await
        });
        done.await
            .map_err(|error| refuse("store", format!("the change ended early: {error}")))?
    }
}
