//! A watch over a folder: while it is on, every call that changes a file in it comes by here (see
//! `calls`), and is recorded, or refused for want of room.
//!
//! Paths outside the watched folder pass unseen. Syncs inside it are recorded and not carried
//! out: what they would have saved is worked out in `power`.

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::RawFd,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use crate::load::Event;

/// A file or a folder, by its place in [`Recording::nodes`].
pub(crate) type Node = usize;

/// One thing that happened, in the order in which it did.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Write {
        file: Node,
        at: u64,
        bytes: Vec<u8>,
    },
    SetLen {
        file: Node,
        len: u64,
    },
    /// The file has at least this length.
    Extend {
        file: Node,
        len: u64,
    },
    /// What happened to the file before `before` is on the disk.
    SyncFile {
        file: Node,
        before: usize,
    },
    Link {
        folder: Node,
        name: String,
        node: Node,
    },
    Unlink {
        folder: Node,
        name: String,
    },
    Rename {
        folder: Node,
        from: String,
        to: String,
    },
    /// What happened to the folder's entries before `before` is on the disk.
    SyncFolder {
        folder: Node,
        before: usize,
    },
    /// A writer reported this.
    Event(Event),
}

/// What a node is, and the first path it had.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) path: PathBuf,
    pub(crate) is_folder: bool,
}

/// What happened in a folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recording {
    /// Node 0 is the watched folder.
    pub(crate) nodes: Vec<Made>,
    pub(crate) ops: Vec<Op>,
}

/// What a watch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Record,
    /// Lets the folder's files grow by this many bytes in all.
    Room(u64),
    /// Syncs of files fail.
    FailSyncs,
}

#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) root: PathBuf,
    pub(crate) task: Task,
    pub(crate) recording: Recording,
    /// What stands at each path now, relative to the root.
    pub(crate) paths: HashMap<PathBuf, Node>,
    pub(crate) open: HashMap<RawFd, Node>,
}

static WATCHED: Mutex<Option<Watched>> = Mutex::new(None);
pub(crate) static IS_WATCHING: AtomicBool = AtomicBool::new(false);
/// Changes to files before this process ends itself; below 0 it goes on.
pub(crate) static CALLS_LEFT: AtomicI64 = AtomicI64::new(-1);
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A watch over a folder. There is one at a time in a process; the next waits.
#[derive(Debug)]
pub(crate) struct Watch(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Watch {
    /// Records everything from here on. What is in the folder now counts as being on the disk.
    pub(crate) fn record(root: &Path) -> Self {
        Self::begin(root, Task::Record)
    }

    /// A disk with room for this many bytes more.
    pub(crate) fn with_room(root: &Path, bytes: u64) -> Self {
        Self::begin(root, Task::Room(bytes))
    }

    fn begin(root: &Path, task: Task) -> Self {
        let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut watched = Watched {
            root: root.to_owned(),
            task,
            recording: Recording::default(),
            paths: HashMap::new(),
            open: HashMap::new(),
        };
        watched.add(Path::new(""), true);
        for (path, content) in read_tree(root) {
            watched.add(&path, content.is_none());
        }
        *watched_now() = Some(watched);
        IS_WATCHING.store(true, Ordering::SeqCst);
        Self(guard)
    }

    /// Gives the disk this many bytes of room, or takes it.
    #[expect(clippy::unused_self, reason = "only while it is on")]
    pub(crate) fn set_room(&self, bytes: u64) {
        Self::set(Task::Room(bytes));
    }

    /// Every sync of a file fails from here on.
    #[expect(clippy::unused_self, reason = "only while it is on")]
    pub(crate) fn fail_syncs(&self) {
        Self::set(Task::FailSyncs);
    }

    fn set(task: Task) {
        if let Some(watched) = watched_now().as_mut() {
            watched.task = task;
        }
    }

    /// Ends the watch.
    #[expect(clippy::unused_self, reason = "it ends with the call")]
    pub(crate) fn end(self) -> Recording {
        let watched = watched_now().take();
        watched.map(|watched| watched.recording).unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        IS_WATCHING.store(false, Ordering::SeqCst);
        watched_now().take();
    }
}

/// Notes a report of a writer among what is recorded.
pub(crate) fn note(event: Event) {
    if let Some(watched) = watched_now().as_mut() {
        watched.recording.ops.push(Op::Event(event));
    }
}

/// Ends this process with SIGKILL in front of its `calls`-th change to any file from here on.
pub(crate) fn die_after(calls: i64) {
    CALLS_LEFT.store(calls, Ordering::SeqCst);
}

/// Every file with its content, and every folder with `None`, by path relative to the root.
pub(crate) fn read_tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut tree = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if path.is_dir() {
                tree.insert(name, None);
                folders.push(path);
            } else {
                tree.insert(name, Some(std::fs::read(&path).unwrap()));
            }
        }
    }
    tree
}

pub(crate) fn watched_now() -> MutexGuard<'static, Option<Watched>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    pub(crate) fn add(&mut self, path: &Path, is_folder: bool) -> Node {
        let node = self.recording.nodes.len();
        self.recording.nodes.push(Made { path: path.to_owned(), is_folder });
        self.paths.insert(path.to_owned(), node);
        node
    }

    pub(crate) fn push(&mut self, op: Op) {
        if self.task == Task::Record {
            self.recording.ops.push(op);
        }
    }

    /// The folder that holds a path, and its name in it.
    pub(crate) fn place(&self, path: &Path) -> Option<(Node, String)> {
        let folder = *self.paths.get(path.parent()?)?;
        Some((folder, path.file_name()?.to_str()?.to_owned()))
    }

    pub(crate) fn made(&mut self, path: &Path, is_folder: bool) -> Node {
        let place = self.place(path);
        let node = self.add(path, is_folder);
        if let Some((folder, name)) = place {
            self.push(Op::Link { folder, name, node });
        }
        node
    }

    /// Whether the disk has this much more room; takes it where it has.
    pub(crate) fn take_room(&mut self, more: u64) -> bool {
        match &mut self.task {
            Task::Room(left) if *left < more => false,
            Task::Room(left) => {
                *left -= more;
                true
            }
            Task::Record | Task::FailSyncs => true,
        }
    }

    pub(crate) fn give_room(&mut self, bytes: u64) {
        if let Task::Room(left) = &mut self.task {
            *left += bytes;
        }
    }

    pub(crate) fn moved(&mut self, from: &Path, to: &Path) {
        let (Some((folder, from_name)), Some((to_folder, to_name))) =
            (self.place(from), self.place(to))
        else {
            return;
        };
        assert_eq!(folder, to_folder, "{} moved to another folder", from.display());
        self.push(Op::Rename { folder, from: from_name, to: to_name });
        let below: Vec<_> =
            self.paths.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in below {
            let Some(node) = self.paths.remove(&path) else { continue };
            let rest = path.strip_prefix(from).unwrap_or(Path::new(""));
            let path = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            self.paths.insert(path, node);
        }
    }

    pub(crate) fn removed(&mut self, path: &Path) {
        if let Some((folder, name)) = self.place(path) {
            self.push(Op::Unlink { folder, name });
        }
        self.paths.remove(path);
    }
}

/// The watch sees every call that changes a file, those of sled among them: a folder that was
/// written under it is the same as the one put together from the recording.
#[test]
fn what_is_recorded_adds_up_to_what_is_on_the_disk() {
    crate::power::recording_adds_up();
}
