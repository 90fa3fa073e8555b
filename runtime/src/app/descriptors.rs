//! File descriptors: as many as the system grants, and how they are shared.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Limit of connections without a setting: it is what the API works on at a time, some times over.
const MAX_CONNECTIONS: u64 = 1_024;
/// Incoming connections get this part of the descriptors; the rest is for probes, messages, the
/// stores and plugins.
const CONNECTIONS_SHARE: u64 = 4;
/// Divisor of the largest share, whatever the settings are: more would take from the rest.
const MAX_SHARE: u64 = 2;

/// Raises the soft limit to the hard one and returns what holds now.
pub(super) fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || (limit.current.is_some() && limit.maximum.is_none()) {
        match setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        ) {
            Ok(()) => return limit.maximum.unwrap_or(u64::MAX),
            Err(error) => {
                tracing::warn!(%error, "the limit of file descriptors could not be raised")
            }
        }
    }
    limit.current.unwrap_or(u64::MAX)
}

/// How many incoming connections there may be at a time.
pub(super) fn connections(descriptors: u64, wanted: Option<usize>) -> usize {
    let most = match wanted {
        None => (descriptors / CONNECTIONS_SHARE).min(MAX_CONNECTIONS),
        Some(wanted) => {
            let largest = descriptors / MAX_SHARE;
            if wanted as u64 > largest {
                tracing::warn!(
                    wanted,
                    descriptors,
                    used = largest,
                    "EXTRACK_MAX_CONNECTIONS is more than half of the file descriptors; raise the limit of open files"
                );
            }
            largest.min(wanted as u64)
        }
    };
    most.max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::connections;

    #[test]
    fn connections_leave_most_descriptors_to_the_rest() {
        for (descriptors, wanted, most) in [
            (1_024, None, 256),
            (524_288, None, 1_024),
            (u64::MAX, None, 1_024),
            (1_024, Some(5_000), 512),
            (524_288, Some(5_000), 5_000),
            (1, None, 1),
        ] {
            assert_eq!(
                connections(descriptors, wanted),
                most,
                "{descriptors} {wanted:?}"
            );
        }
    }
}
