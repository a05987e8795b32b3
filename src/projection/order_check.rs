//! The state over all streams that was saved, compared with one that is folded anew, and made anew.
//!
//! Invariant: what cannot be folded any more, because its records are no longer kept, is neither
//! called wrong nor thrown away.

use std::sync::Arc;

use super::{OrderFold, OrderView};
use crate::{
    limits,
    log::{Offset, Position, ReadError, StreamInfo},
};

/// What became of comparing the saved state with a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderChecked {
    /// The position that the saved state stands at.
    pub position: Position,
    /// Streams that were compared.
    pub compared: u64,
    /// Streams that cannot be: their first records are no longer kept.
    pub beginning_gone: u64,
    /// Streams that differ …
    pub differing: u64,
    /// … and the path of the first of them.
    pub first: Option<String>,
}

/// How one stream stands in both.
enum Stands {
    Same,
    Differs,
    BeginningGone,
    /// It came after the state was saved, or is in neither.
    Apart,
}

impl<F: OrderFold> OrderView<F> {
    /// Compares the saved state with one that is folded from the log alone up to the same position.
    /// `None` where there is none that this version can read.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn check(&self) -> Result<Option<OrderChecked>, ReadError> {
        let Some((position, saved)) = self.load().await? else { return Ok(None) };
        let anew = self.anew(position).await?;
        let mut checked = OrderChecked { position, ..OrderChecked::default() };
        self.each(|info| match stands(&saved, &anew, info) {
            Stands::Same => checked.compared += 1,
            Stands::Differs => {
                checked.compared += 1;
                checked.differing += 1;
                checked.first.get_or_insert_with(|| info.path.to_string());
            }
            Stands::BeginningGone => checked.beginning_gone += 1,
            Stands::Apart => {}
        })
        .await?;
        Ok(Some(checked))
    }

    /// Folds the state from the log and saves it. Where the beginning of a stream is no longer
    /// kept, what was known of it stays. Answers with the number of streams in it.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn rebuild(&self) -> Result<u64, ReadError> {
        let mut at = Arc::clone(&self.at).lock_owned().await;
        let current = self.caught_up(&mut at).await?;
        let mut anew = self.anew(current.position).await?;
        let mut cut = Vec::new();
        self.each(|info| {
            if info.earliest > Offset(1) && current.fold.has(&info.path, info.epoch) {
                cut.push(info.path.to_string());
            }
        })
        .await?;
        for path in &cut {
            anew.take(path, &mut current.fold);
        }
        current.fold = anew;
        let streams = current.fold.paths().len() as u64;
        self.save(at, true).await?;
        Ok(streams)
    }

    /// A state folded from the log alone, up to a position.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn anew(&self, until: Position) -> Result<F, ReadError> {
        let (mut fold, mut at) = (F::default(), Position(0));
        while at < until {
            at = self.fold_page(&mut fold, at, until).await?;
        }
        self.call_roll(&mut fold).await?;
        Ok(fold)
    }

    /// Shows each stream that is folded, in the order of their paths.
    async fn each(&self, mut show: impl FnMut(&StreamInfo)) -> Result<(), ReadError> {
        let mut after = String::new();
        loop {
            let found = self.log.list(F::PREFIX, &after, limits::LIST_LIMIT_MAX).await?;
            found.iter().filter(|info| F::folds(&info.path)).for_each(&mut show);
            match found.last() {
                Some(last) if found.len() == limits::LIST_LIMIT_MAX => {
                    after = last.path.to_string();
                }
                _ => return Ok(()),
            }
        }
    }
}

fn stands<F: OrderFold>(saved: &F, anew: &F, info: &StreamInfo) -> Stands {
    let has = |fold: &F| fold.has(&info.path, info.epoch);
    if info.earliest > Offset(1) {
        return if has(saved) { Stands::BeginningGone } else { Stands::Apart };
    }
    match (has(saved), has(anew)) {
        (true, true) if saved.is_same(anew, info) => Stands::Same,
        (false, false) => Stands::Apart,
        // A fork without a record of its own may have been made after the state was saved.
        (false, true) if anew.offset(&info.path) <= info.inherited() => Stands::Apart,
        _ => Stands::Differs,
    }
}
