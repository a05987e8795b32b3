//! Room on the disk of the data folder, looked at now and then so that no request has to. It
//! refuses to know what is done about it: `/readyz` decides, and operators.
//!
//! Invariant: a look that fails leaves what was known before.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{clock::Clock, http::Room, limits};

/// Where free room is looked up.
pub trait Probe: Send + Sync + 'static {
    /// Bytes that are free for us on the disk, and bytes that it has.
    ///
    /// # Errors
    /// The system does not say.
    fn disk(&self) -> io::Result<(u64, u64)>;

    /// Bytes of the files of the data folder.
    ///
    /// # Errors
    /// It cannot be listed.
    fn data(&self) -> io::Result<u64>;
}

/// The data folder itself.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Probe for Folder {
    fn disk(&self) -> io::Result<(u64, u64)> {
        let found = rustix::fs::statvfs(&self.0)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok((bytes(found.f_bavail), bytes(found.f_blocks)))
    }

    fn data(&self) -> io::Result<u64> {
        bytes_of(&self.0)
    }
}

fn bytes_of(folder: &Path) -> io::Result<u64> {
    let mut total = 0_u64;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let size = match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_of(&entry.path()),
            Ok(found) => Ok(found.len()),
            Err(error) => Err(error),
        };
        match size {
            Ok(size) => total = total.saturating_add(size),
            // Files come and go while they are counted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// What was seen last. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    room: Option<Room>,
    looks: u32,
    is_low: bool,
    has_failed: bool,
}

impl Disk {
    /// The room there is, if it could be looked at.
    #[must_use]
    pub fn room(&self) -> Option<Room> {
        self.0.lock().room
    }

    /// Looks now, and tells the log where the mark was crossed.
    pub fn look(&self, probe: &dyn Probe, low_water: u64) {
        let (looks, known) = {
            let mut seen = self.0.lock();
            seen.looks = seen.looks.wrapping_add(1);
            (seen.looks - 1, seen.room)
        };
        // Outside of the lock: a disk may take its time.
        let found = probe.disk().and_then(|(free, size)| {
            let is_due = looks.is_multiple_of(limits::DATA_LOOK_ONE_IN);
            let known = known.map_or(0, |room| room.data);
            Ok(Room { free, size, data: if is_due { probe.data()? } else { known } })
        });
        let mut seen = self.0.lock();
        match found {
            Ok(room) => {
                (seen.room, seen.has_failed) = (Some(room), false);
                let is_low = room.free < low_water;
                if is_low != seen.is_low {
                    seen.is_low = is_low;
                    tell(room.free, low_water);
                }
            }
            Err(error) if !seen.has_failed => {
                seen.has_failed = true;
                tracing::warn!(%error, "the disk does not say how much room is left");
            }
            Err(_) => {}
        }
    }

    /// Looks for ever; the server runs it as a task and stops it by dropping it.
    ///
    /// # Errors
    /// The looking met a defect.
    pub async fn watch(
        self,
        probe: Arc<dyn Probe>,
        clock: Arc<dyn Clock>,
        low_water: u64,
    ) -> anyhow::Result<()> {
        loop {
            clock.sleep(limits::DISK_LOOK_EVERY).await;
            let (disk, probe) = (self.clone(), Arc::clone(&probe));
            tokio::task::spawn_blocking(move || disk.look(&*probe, low_water)).await?;
        }
    }
}

fn tell(free: u64, low_water: u64) {
    if free < low_water {
        tracing::warn!(free, low_water, "the disk is nearly full: /readyz says no");
    } else {
        tracing::info!(free, low_water, "the disk has room again");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

    use super::*;

    /// A disk with so much free, that fails where nothing is.
    #[derive(Default)]
    struct Fake {
        free: AtomicU64,
        counted: AtomicU32,
    }

    impl Probe for Fake {
        fn disk(&self) -> io::Result<(u64, u64)> {
            match self.free.load(SeqCst) {
                0 => Err(io::Error::other("no answer")),
                free => Ok((free, 1_000)),
            }
        }

        fn data(&self) -> io::Result<u64> {
            self.counted.fetch_add(1, SeqCst);
            Ok(7)
        }
    }

    #[test]
    fn what_was_seen_last_stays_where_the_disk_does_not_answer() {
        let (disk, fake) = (Disk::default(), Fake::default());
        disk.look(&fake, 100);
        assert_eq!(disk.room(), None);
        fake.free.store(50, SeqCst);
        disk.look(&fake, 100);
        let known = disk.room().unwrap();
        assert_eq!((known.free, known.size), (50, 1_000));
        assert!(disk.0.lock().is_low);
        fake.free.store(0, SeqCst);
        disk.look(&fake, 100);
        assert_eq!(disk.room(), Some(known));
        fake.free.store(100, SeqCst);
        disk.look(&fake, 100);
        assert!(!disk.0.lock().is_low);
    }

    #[test]
    fn files_are_added_up_now_and_then_only() {
        let (disk, fake) = (Disk::default(), Fake::default());
        fake.free.store(1, SeqCst);
        for _ in 0..limits::DATA_LOOK_ONE_IN {
            disk.look(&fake, 0);
        }
        assert_eq!(fake.counted.load(SeqCst), 1);
        assert_eq!(disk.room().unwrap().data, 7);
        disk.look(&fake, 0);
        assert_eq!(fake.counted.load(SeqCst), 2);
    }

    #[test]
    fn a_folder_has_the_bytes_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        std::fs::write(folder.path().join("a"), [0; 100]).unwrap();
        std::fs::write(folder.path().join("inner/b"), [0; 23]).unwrap();
        let probe = Folder(folder.path().to_owned());
        assert_eq!(probe.data().unwrap(), 123);
        let (free, size) = probe.disk().unwrap();
        assert!(0 < size && free <= size, "{free} of {size}");
        assert!(Folder(folder.path().join("nowhere")).disk().is_err());
    }
}
