//! Streams in the order of their paths. Those that are deleted, over, or the server's own are left
//! out without making a page shorter.

use super::{Log, ReadError, StreamInfo, meta::StreamMeta, path};
use crate::{limits, store::Head};

impl Log {
    /// Streams whose path begins with `prefix` and comes after `after`, in path order. Fewer than
    /// `limit` are all there are.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<StreamInfo>, ReadError> {
        self.list_where(prefix, after, limit, &mut { usize::MAX }, |_| true).await
    }

    /// The same of those that are wanted. `looks` is how many may be looked at, and then how many
    /// are left: where it comes to 0, fewer than `limit` are not all.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_where(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
        looks: &mut usize,
        keep: impl Fn(&str) -> bool,
    ) -> Result<Vec<StreamInfo>, ReadError> {
        self.list_if(prefix, after, limit, looks, |path| !path::is_reserved(path) && keep(path))
            .await
    }

    /// The same of the server's own streams, `prefix` with [`path::CONTROL`].
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_control(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<StreamInfo>, ReadError> {
        self.list_if(prefix, "", limit, &mut { usize::MAX }, path::is_reserved).await
    }

    async fn list_if(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
        looks: &mut usize,
        keep: impl Fn(&str) -> bool,
    ) -> Result<Vec<StreamInfo>, ReadError> {
        let mut infos = Vec::new();
        let mut after = after.to_owned();
        loop {
            // Never a page of one: what is left out would be read stream by stream.
            let ask = (limit - infos.len()).max(limits::LIST_LIMIT_DEFAULT);
            let heads = self.inner.store.list(prefix, &after, ask).await;
            let heads = heads.map_err(|error| ReadError::Unavailable(error.to_string().into()))?;
            for head in heads.iter().filter(|head| keep(&head.path)) {
                if let Some(info) = self.listed(head).await? {
                    infos.push(info);
                }
                if infos.len() == limit {
                    return Ok(infos);
                }
            }
            *looks = looks.saturating_sub(heads.len());
            match heads.last() {
                Some(last) if heads.len() == ask && *looks > 0 => after = last.path.to_string(),
                _ => return Ok(infos),
            }
        }
    }

    async fn listed(&self, head: &Head) -> Result<Option<StreamInfo>, ReadError> {
        let meta = StreamMeta::of(head);
        if meta.deleted || self.inner.looks_over(&meta, head) {
            return Ok(None);
        }
        let earliest = self.inner.earliest(&meta, head).await;
        let earliest =
            earliest.map_err(|error| ReadError::Unavailable(error.to_string().into()))?;
        Ok(Some(StreamInfo { earliest, ..meta.info(head) }))
    }
}
