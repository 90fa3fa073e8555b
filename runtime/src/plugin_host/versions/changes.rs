//! Changes to the versions of a plugin. One at a time, and each is carried out to its end: the
//! caller may be gone before, and the log must agree with what runs.

use std::future::Future;
use std::sync::Arc;

use super::Versions;
use super::entry::PluginEntry;
use super::pull::Pulled;
use super::request::{InstallRequest, InstallRole, InstallSource};
use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::policy::install_error::{InstallError, InstallStep};

impl Versions {
    /// Verifies a component and makes it the active version or the candidate beside it. Installing
    /// the active version again changes nothing. A component is compiled for as long as the caller
    /// waits, before other changes have to wait for this one.
    pub(in crate::plugin_host) async fn install(
        self: &Arc<Self>,
        request: InstallRequest,
    ) -> Result<PluginEntry, InstallError> {
        let name = request.name.as_deref();
        let (bytes, signature) = match &request.source {
            InstallSource::Component { bytes, signature } => (bytes.clone(), signature.clone()),
            InstallSource::Registry(reference) => {
                match self.pull_component(&self.trust, reference, name).await? {
                    Pulled::Active(entry) if request.role == InstallRole::Active => {
                        return Ok(*entry);
                    }
                    Pulled::Active(entry) => return Err(is_active_already(&entry.name)),
                    Pulled::Component {
                        component,
                        signature,
                    } => (component, signature),
                }
            }
        };
        let component = ComponentBytes::new(bytes);
        if request.rejects_withdrawn {
            self.reject_withdrawn(&component.digest).await?;
        }
        self.trust.admit(name, &component, signature).await?;
        let installed = self.install_admitted(component, request).await;
        if installed.is_err() {
            // A rejected component may have left something on the disk.
            self.sweep_unneeded().await;
        }
        installed
    }

    async fn install_admitted(
        self: &Arc<Self>,
        component: ComponentBytes,
        request: InstallRequest,
    ) -> Result<PluginEntry, InstallError> {
        self.loader.compile_ahead(&component).await?;
        self.carry_out(|versions| async move {
            let (name, by) = (request.name.as_deref(), request.by.as_str());
            match request.role {
                InstallRole::Active => versions.install_now(name, component, by).await,
                InstallRole::Shadow => versions.shadow_now(name, component, by).await,
            }
        })
        .await
    }

    /// Goes back to the version that was active before this one; twice is forth again. `to` names
    /// another one, by its version or by the first digits of its digest. Returns `None` when there
    /// is no earlier one.
    pub(in crate::plugin_host) async fn rollback(
        self: &Arc<Self>,
        name: &str,
        to: Option<&str>,
        by: &str,
    ) -> Result<Option<PluginEntry>, InstallError> {
        let (name, to, by) = (name.to_owned(), to.map(str::to_owned), by.to_owned());
        self.carry_out(
            |versions| async move { versions.rollback_now(&name, to.as_deref(), &by).await },
        )
        .await
    }

    /// Removes an installed plugin. The one that came with the program takes its place, and is
    /// returned. Returns `None` without such a one: the name is free again; then nothing may use it
    /// any more.
    pub(in crate::plugin_host) async fn remove(
        self: &Arc<Self>,
        name: &str,
        by: &str,
    ) -> Result<Option<PluginEntry>, InstallError> {
        let (name, by) = (name.to_owned(), by.to_owned());
        self.carry_out(|versions| async move { versions.remove_now(&name, &by).await })
            .await
    }

    /// Makes the candidate the active version, verified once more. Returns `None` without a
    /// candidate.
    pub(in crate::plugin_host) async fn promote(
        self: &Arc<Self>,
        name: &str,
        by: &str,
    ) -> Result<Option<PluginEntry>, InstallError> {
        let (name, by) = (name.to_owned(), by.to_owned());
        self.carry_out(|versions| async move { versions.promote_now(&name, &by).await })
            .await
    }

    /// Ends the trial of the candidate, which is kept as an old version. Returns false without a
    /// candidate.
    pub(in crate::plugin_host) async fn discard(
        self: &Arc<Self>,
        name: &str,
        by: &str,
    ) -> Result<bool, InstallError> {
        let (name, by) = (name.to_owned(), by.to_owned());
        self.carry_out(|versions| async move { versions.discard_now(&name, &by).await })
            .await
    }

    /// Runs a change in a task of its own, which ends by itself: a caller that goes away drops only
    /// the waiting.
    pub(in crate::plugin_host) async fn carry_out<T, F>(
        self: &Arc<Self>,
        change: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, InstallError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, InstallError>> + Send + 'static,
    {
        let (versions, change) = (self.clone(), change(self.clone()));
        let done = tokio::spawn(async move {
            let _one_at_a_time = versions.changing.lock().await;
            change.await
        });
        done.await
            .map_err(|error| InstallStep::Store.error(format!("the change ended early: {error}")))?
    }
}

pub(super) fn is_active_already(name: &str) -> InstallError {
    InstallStep::Shadow.error(format!("this is the active version of `{name}` already"))
}
