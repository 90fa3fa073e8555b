//! Keeps the copies of channels in the store in line with the configuration, so that what waits
//! goes out with the settings of now, and at once when they were mended.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alerts::ports::PortError;
use crate::domain::{Catalog, Channel, ChannelId};

use super::DeliveryDeps;

#[derive(Default)]
pub(super) struct ChannelFollower {
    /// Channels that the store was updated with; none: no update yet.
    followed: Option<BTreeMap<ChannelId, Arc<Channel>>>,
}

impl ChannelFollower {
    /// Does nothing while the channels are those of the look before. False: it has to be tried
    /// again.
    pub(super) async fn follow(&mut self, deps: &DeliveryDeps, catalog: &Catalog) -> bool {
        // Version 0 is no configuration yet, not an empty one.
        if catalog.version == 0
            || self
                .followed
                .as_ref()
                .is_some_and(|before| is_same(before, &catalog.channels))
        {
            return true;
        }
        match deps
            .store
            .channel_follow(&catalog.channels, deps.clock.now_ms())
            .await
            .map_err(PortError::from)
        {
            Ok(followed) => {
                for id in &followed.changed {
                    let waiting = followed.hastened;
                    tracing::info!(
                        channel = id.0,
                        waiting,
                        "a channel has new settings, what waits goes out with them"
                    );
                }
                for (from, to) in &followed.moved {
                    tracing::info!(
                        channel = from.0,
                        to = to.0,
                        "a channel is known by another id from now on"
                    );
                }
                self.followed = Some(catalog.channels.clone());
                true
            }
            Err(error) => {
                tracing::error!(%error, "the channels in the store can't follow the configuration, it is tried again");
                false
            }
        }
    }
}

/// Each compilation of a file makes new values of the same channels.
fn is_same(
    before: &BTreeMap<ChannelId, Arc<Channel>>,
    now: &BTreeMap<ChannelId, Arc<Channel>>,
) -> bool {
    before.len() == now.len()
        && before
            .iter()
            .zip(now)
            .all(|((id, channel), (other_id, other))| {
                id == other_id && (Arc::ptr_eq(channel, other) || is_same_channel(channel, other))
            })
}

/// The options are not kept in the store.
pub(super) fn is_same_channel(a: &Channel, b: &Channel) -> bool {
    a.plugin == b.plugin && a.settings == b.settings && a.name == b.name && a.origin == b.origin
}
