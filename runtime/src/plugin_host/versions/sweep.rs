//! Deletes what no version needs: components that a crash left, what checks and rejected
//! installations left, code for other engines. Some of it is worth keeping for a while: what was
//! checked is often installed next.

use std::collections::HashSet;

use crate::domain::PluginRecord;
use crate::plugin_host::versions::Versions;

/// Files that may stay although nothing needs them, the newest first.
#[derive(Debug, Clone, Copy)]
pub(in crate::plugin_host) struct Spare {
    /// Machine code; a Python plugin has 40 MB.
    code_bytes: u64,
    signatures: usize,
}

impl Spare {
    /// Nothing: no installation is under way at a start.
    pub(in crate::plugin_host) const NONE: Spare = Spare {
        code_bytes: 0,
        signatures: 0,
    };

    const WHILE_RUNNING: Spare = Spare {
        code_bytes: 128 << 20,
        signatures: 16,
    };
}

impl Versions {
    /// Sweeps after a change that may have left files. A failure is logged and undoes nothing.
    pub(in crate::plugin_host) async fn sweep_unneeded(&self) {
        match self.log.plugins(None).await {
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
            0 => self.components.sweep(kept.clone()).await,
            signatures => {
                self.components
                    .sweep_signatures(kept.clone(), signatures)
                    .await
            }
        }
        kept.extend(self.bundled.values().map(|bundled| bundled.digest.clone()));
        kept.extend(
            self.active
                .load()
                .values()
                .map(|plugin| plugin.digest.clone()),
        );
        self.loader.compiler.sweep(kept, spare.code_bytes).await;
    }
}
