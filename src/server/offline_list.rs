//! Work on the list of sessions of a data folder that no server has open: compare the one that was
//! saved with a replay of the log, or make it anew.

use super::offline::Work;
pub use crate::projection::OrderChecked;
use crate::{
    log::{Log, ReadError},
    projection::OrderView,
    session::list::Sessions,
};

/// What was found of the list, or done with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListFound {
    /// None was saved, or none that this version can read: the server folds one anew.
    #[default]
    NoList,
    /// It was compared.
    Checked(OrderChecked),
    /// It was made anew, with so many sessions.
    Rebuilt(u64),
}

impl ListFound {
    /// Whether nothing is wrong with it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !matches!(self, Self::Checked(checked) if checked.differing > 0)
    }
}

/// Compares the list, or makes it anew.
pub(super) async fn list(log: &Log, work: Work) -> Result<ListFound, ReadError> {
    let list = OrderView::<Sessions>::new(log.clone());
    Ok(match work {
        Work::Check => list.check().await?.map_or(ListFound::NoList, ListFound::Checked),
        Work::Rebuild => ListFound::Rebuilt(list.rebuild().await?),
    })
}
