//! What lies on the disk and no version needs: components that a crash left, what checks and
//! refused installations left, code for other engines. Some of it is worth keeping for a while:
//! what was checked is often installed next.

use std::collections::HashSet;

use crate::domain::PluginRecord;
use crate::plugin_host::PluginHost;

/// What may stay although nothing needs it, the newest first.
#[derive(Debug, Clone, Copy)]
pub(in crate::plugin_host) struct Spare {
    /// Machine code; a Python plugin has 40 MB.
    code_bytes: u64,
    signatures: usize,
}

impl Spare {
    /// At a start nothing is under way.
    pub(in crate::plugin_host) const NONE: Spare = Spare {
        code_bytes: 0,
        signatures: 0,
    };

    const WHILE_RUNNING: Spare = Spare {
        code_bytes: 128 << 20,
        signatures: 16,
    };
}

impl PluginHost {
    /// After something that may have left something. That it fails is no reason to undo that.
    pub(in crate::plugin_host) async fn sweep_unneeded(&self) {
        match self.shared.log.plugins(None).await {
            Ok(records) => self.sweep(&records, Spare::WHILE_RUNNING).await,
            Err(error) => tracing::warn!(
                error,
                "what plugins left on the disk can't be looked through"
            ),
        }
    }

    pub(in crate::plugin_host) async fn sweep(&self, records: &[PluginRecord], spare: Spare) {
        let versions = records.iter().flat_map(|record| &record.versions);
        let mut kept: HashSet<String> = versions
            .filter(|version| version.is_kept)
            .map(|version| version.digest.clone())
            .collect();
        match spare.signatures {
            0 => self.shared.components.sweep(kept.clone()).await,
            signatures => {
                self.shared
                    .components
                    .sweep_signatures(kept.clone(), signatures)
                    .await
            }
        }
        kept.extend(
            self.shared
                .bundled
                .values()
                .map(|bundled| bundled.digest.clone()),
        );
        kept.extend(
            self.shared
                .active
                .load()
                .values()
                .map(|plugin| plugin.digest.clone()),
        );
        self.shared
            .loader
            .compiler
            .sweep(kept, spare.code_bytes)
            .await;
    }
}
