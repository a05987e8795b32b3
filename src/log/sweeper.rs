//! Retention at work: in the background, in bounded steps, records older than their stream's
//! retention go, and streams that are over. Writers are never blocked; a sweep is a write like any
//! other.

use std::sync::Arc;

use tracing::Instrument as _;

use super::{
    Inner, Log, ONE, Offset, Refused, StreamPath, meta::StreamMeta, retention, stream::OpenStream,
};
use crate::{
    limits,
    store::{Batch, Change, Head, Permit, ReadError, StreamNo, Write, WriteError},
};

/// Sweeps for ever; the server runs it as a task and stops it by dropping it.
pub async fn run(log: Log) {
    loop {
        log.clock().sleep(limits::SWEEP_EVERY).await;
        log.inner.table.trim();
        let sweep = log.sweep().instrument(tracing::info_span!("sweep"));
        if let Err(error) = sweep.await {
            tracing::warn!(%error, "a sweep was not finished; the next one goes on");
        }
    }
}

impl Log {
    /// Sweeps what is due now, and says how many streams that were.
    ///
    /// # Errors
    /// [`Refused`]: the store does not read or take writes; the next sweep tries again.
    pub async fn sweep(&self) -> Result<usize, Refused> {
        let mut total = 0;
        loop {
            let swept = self.sweep_step().await?;
            total += swept;
            self.inner.metrics.swept_streams.inc_by(swept as u64);
            if swept < limits::SWEEP_STEP_STREAMS {
                break;
            }
        }
        self.inner.metrics.sweeps.inc();
        if total > 0 {
            tracing::debug!(streams = total, "swept");
        }
        Ok(total)
    }

    async fn sweep_step(&self) -> Result<usize, Refused> {
        let inner = &self.inner;
        let now_ms = inner.clock.now_ms();
        let due = inner.store.due(now_ms, limits::SWEEP_STEP_STREAMS).await?;
        let mut swept = 0;
        for stream in due {
            if inner.sweep_stream(stream, now_ms).await? {
                swept += 1;
            }
        }
        Ok(swept)
    }
}

impl Inner {
    async fn sweep_stream(&self, stream: StreamNo, now_ms: u64) -> Result<bool, Refused> {
        let Some(head) = self.store.head(stream).await? else { return Ok(false) };
        let meta = StreamMeta::of(&head);
        let mut ends_ms = None;
        if (meta.expiry().is_some() || meta.deleted)
            && let Ok(path) = StreamPath::stored(&head.path)
        {
            let open = self.table.insert(OpenStream::load(&path, &head));
            if !self.is_alive(&open).await? {
                return Ok(true);
            }
            let is_hidden = open.assigned().meta.deleted;
            if is_hidden && !self.is_held_by_forks(&open).await? {
                return Ok(true);
            }
            // A hidden stream ends with its last fork, not by the clock.
            let look_ms = is_hidden.then(|| self.hidden_look_ms());
            ends_ms = look_ms.or_else(|| open.assigned().deadline_ms());
        }
        let retention_ms = retention::of(meta.retention_ms, self.settings.retention);
        let oldest_ms = retention::oldest_kept_ms(now_ms, retention_ms);
        let place = self.store.seek(stream, oldest_ms).await?;
        let next_ms = self.timestamp_after(&head, place).await?;
        let mut cut = retention::cut(head.earliest, place, next_ms, now_ms, retention_ms);
        cut.due_ms = ends_ms.map_or(cut.due_ms, |ends_ms| ends_ms.min(cut.due_ms));
        if let (Some(earliest), Some(guard)) = (cut.earliest, self.guard.get())
            && let Ok(path) = StreamPath::parse(&head.path)
        {
            guard.before_trim(&path, earliest).await?;
        }
        let removed = cut.earliest.map_or(0, |earliest| earliest.0 - head.earliest.0);
        let written = self.store.submit(trim(&head, cut)).settled().await;
        match written {
            Ok(()) => {
                self.metrics.swept_records.inc_by(removed);
                Ok(true)
            }
            // Deleted meanwhile.
            Err(WriteError::NoStream(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The timestamp of the first record after `place`, if there is one.
    async fn timestamp_after(
        &self,
        head: &Arc<Head>,
        place: Offset,
    ) -> Result<Option<u64>, Refused> {
        match self.store.read(head.stream, place, ONE).await {
            Ok(page) => Ok(page.records.first().map(|record| record.timestamp_ms)),
            // Damaged records have no time to read; they go with their neighbours.
            Err(ReadError::Lost { .. } | ReadError::Trimmed { .. }) => {
                Ok(Some(head.last_timestamp_ms))
            }
            Err(ReadError::NoStream(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn trim(head: &Head, cut: retention::Cut) -> Write {
    let earliest = cut.earliest.unwrap_or(head.earliest);
    Write {
        stream: head.stream,
        change: Change::Trim { earliest },
        records: Batch::new(),
        timestamp_ms: 0,
        meta: Vec::new(),
        due_ms: Some(cut.due_ms),
        permit: Permit::default(),
    }
}
