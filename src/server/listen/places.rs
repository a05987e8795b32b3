//! How many connections may be open. Invariant: they never take the file handles that the store
//! needs to write.

use std::fs;

use crate::limits;

/// Connections that may be open at once.
pub(super) fn count() -> usize {
    // Where the system does not say, it is believed to have enough.
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let places = within(open_files(&text));
    if places < limits::CONNECTIONS_MAX {
        tracing::info!(
            connections = places,
            "the system gives the server few file handles, so it takes few connections; raise \
             LimitNOFILE or ulimit -n to 65536"
        );
    }
    places
}

/// Of so many, those that one address may have, where the settings say `most`: 0 is no bound. It
/// is never more than half of them, so that there is room for others.
pub(super) fn of_one(most: u64, places: usize) -> Option<u64> {
    let half = u64::try_from(places / 2).unwrap_or(u64::MAX);
    (most > 0).then(|| most.min(half).max(1))
}

/// Connections within so many handles.
fn within(handles: Option<usize>) -> usize {
    let left = handles.map(|handles| handles.saturating_sub(limits::HANDLES_KEPT).max(handles / 2));
    left.unwrap_or(limits::CONNECTIONS_MAX).clamp(1, limits::CONNECTIONS_MAX)
}

/// The soft limit in what Linux says of a process; `None` where there is none.
fn open_files(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units\n\
        Max processes             63432                63432                processes\n\
        Max open files            1024                 524288               files\n";

    #[test]
    fn few_handles_leave_the_store_its_own() {
        assert_eq!(open_files(LIMITS), Some(1024));
        assert_eq!(open_files(&LIMITS.replace("1024", "unlimited")), None);
        assert_eq!(open_files(""), None);
        assert_eq!(within(Some(1024)), 768);
        assert_eq!(within(Some(300)), 150);
        assert_eq!(within(Some(0)), 1);
        assert_eq!(within(Some(1 << 20)), limits::CONNECTIONS_MAX);
        assert_eq!(within(None), limits::CONNECTIONS_MAX);
    }

    #[test]
    fn one_address_has_half_at_most_unless_there_is_no_bound() {
        assert_eq!(of_one(limits::RATE_CONNECTIONS, limits::CONNECTIONS_MAX), Some(2_500));
        assert_eq!(of_one(limits::RATE_CONNECTIONS, 768), Some(384));
        assert_eq!(of_one(10, 1), Some(1));
        assert_eq!(of_one(0, 768), None);
    }
}
