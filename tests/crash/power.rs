//! Power cuts, simulated. A run is recorded call by call (see `disk`), and the folder is put
//! together as a cut at some moment would leave it.
//!
//! The model of the disk: a sync of a file makes its earlier writes and its length durable, a
//! sync of a folder its earlier entries; `sync_file_range` makes nothing durable. What was not
//! synced is lost, or kept in part: writes of a file in any subset or in single sectors, entries
//! of a folder in their order up to some point. A length that was not cut is not followed by
//! writes that came after.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use scrollback::store::{Position, Store as _};

use crate::{
    disk::{self, Made, Node, Op, Recording, Watch},
    load::{self, Event, Load, Sink},
    truth::Truth,
    util::{Random, block_on, open, seed},
};

const SECTOR: usize = 512;

/// A folder in memory: files with their content, folders with `None`.
type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// What becomes of writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Dropped,
    Subset,
    Torn,
    Kept,
}

/// What a file or a folder is on the disk, and what may yet get there.
#[derive(Debug, Clone, Default)]
struct State {
    content: Vec<u8>,
    entries: BTreeMap<String, Node>,
    pending: Vec<(usize, Op)>,
}

/// A recorded run, replayed up to a moment.
struct Replay<'a> {
    recording: &'a Recording,
    states: Vec<State>,
    /// Syncs of files in this folder count for nothing.
    deaf: Option<&'a str>,
}

impl<'a> Replay<'a> {
    fn new(recording: &'a Recording, base: &Image, deaf: Option<&'a str>) -> Self {
        let mut states = vec![State::default(); recording.nodes.len()];
        // Of two nodes that had one path, the first is the one that was there before.
        let nodes = recording.nodes.iter().enumerate().rev();
        let nodes: BTreeMap<&Path, Node> =
            nodes.map(|(node, made)| (made.path.as_path(), node)).collect();
        for (path, content) in base {
            let node = nodes[path.as_path()];
            states[node].content = content.clone().unwrap_or_default();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            states[nodes[path.parent().unwrap()]].entries.insert(name, node);
        }
        Self { recording, states, deaf }
    }

    /// Takes in what happened from `from` up to `to`.
    fn advance(&mut self, from: usize, to: usize) {
        for (at, op) in self.recording.ops.iter().enumerate().take(to).skip(from) {
            let (node, before) = match op {
                Op::Write { file, .. } | Op::SetLen { file, .. } | Op::Extend { file, .. } => {
                    self.states[*file].pending.push((at, op.clone()));
                    continue;
                }
                Op::Link { folder, .. } | Op::Unlink { folder, .. } | Op::Rename { folder, .. } => {
                    self.states[*folder].pending.push((at, op.clone()));
                    continue;
                }
                Op::Event(_) => continue,
                Op::SyncFile { file, before } => (*file, *before),
                Op::SyncFolder { folder, before } => (*folder, *before),
            };
            let Made { path, is_folder } = &self.recording.nodes[node];
            if !is_folder && self.deaf.is_some_and(|deaf| path.starts_with(deaf)) {
                continue;
            }
            let state = &mut self.states[node];
            let (synced, pending) =
                std::mem::take(&mut state.pending).into_iter().partition(|(at, _)| *at < before);
            state.pending = pending;
            let synced: Vec<(usize, Op)> = synced;
            for (_, op) in synced {
                state.apply(&op);
            }
        }
    }

    /// The folder as a cut at this moment leaves it.
    fn cut(&self, cut: Cut, random: &mut Random) -> Image {
        let mut image = Image::new();
        let mut folders = vec![(PathBuf::new(), 0)];
        while let Some((path, node)) = folders.pop() {
            for (name, node) in self.states[node].after(true, cut, random).entries {
                let path = path.join(name);
                if self.recording.nodes[node].is_folder {
                    image.insert(path.clone(), None);
                    folders.push((path, node));
                } else {
                    let state = self.states[node].after(false, cut, random);
                    image.insert(path, Some(state.content));
                }
            }
        }
        image
    }
}

impl State {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { at, bytes, .. } => self.write(usize::try_from(*at).unwrap(), bytes),
            Op::SetLen { len, .. } => self.content.resize(usize::try_from(*len).unwrap(), 0),
            Op::Extend { len, .. } => {
                let len = usize::try_from(*len).unwrap().max(self.content.len());
                self.content.resize(len, 0);
            }
            Op::Link { name, node, .. } => {
                self.entries.insert(name.clone(), *node);
            }
            Op::Unlink { name, .. } => {
                self.entries.remove(name);
            }
            Op::Rename { from, to, .. } => {
                if let Some(node) = self.entries.remove(from) {
                    self.entries.insert(to.clone(), node);
                }
            }
            Op::SyncFile { .. } | Op::SyncFolder { .. } | Op::Event(_) => {}
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[at..end].copy_from_slice(bytes);
    }

    /// Writes some sectors of what was to be written.
    fn tear(&mut self, at: usize, bytes: &[u8], random: &mut Random) {
        let mut from = 0;
        while from < bytes.len() {
            let to = bytes.len().min((at + from) / SECTOR * SECTOR + SECTOR - at);
            if random.one_in(2) {
                self.write(at + from, &bytes[from..to]);
            }
            from = to;
        }
    }

    /// The state with some of what is pending.
    fn after(&self, is_folder: bool, cut: Cut, random: &mut Random) -> Self {
        let mut state = Self { pending: Vec::new(), ..self.clone() };
        let kept = match cut {
            Cut::Kept => self.pending.len(),
            _ if is_folder => random.below(self.pending.len() + 1),
            Cut::Dropped => 0,
            Cut::Subset | Cut::Torn => self.pending.len(),
        };
        for (_, op) in self.pending.iter().take(kept) {
            let whole = is_folder || cut == Cut::Kept || random.one_in(2);
            match op {
                _ if whole => state.apply(op),
                Op::Write { at, bytes, .. } if cut == Cut::Torn => {
                    state.tear(usize::try_from(*at).unwrap(), bytes, random);
                }
                // What follows went into blocks that the file gets with its new length.
                Op::SetLen { .. } => break,
                _ => {}
            }
        }
        state
    }
}

fn write_image(image: &Image, folder: &Path) {
    for (path, content) in image {
        let path = folder.join(path);
        match content {
            Some(content) => std::fs::write(path, content).unwrap(),
            None => std::fs::create_dir(path).unwrap(),
        }
    }
}

/// Notes every event among what is recorded, and ends after a number of acknowledgements.
struct Recorder {
    appends_left: AtomicUsize,
}

impl Sink for Recorder {
    fn event(&self, event: Event) {
        if matches!(event, Event::Appended(_)) {
            let left = &self.appends_left;
            let _ = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        }
        disk::note(event);
    }

    fn is_over(&self) -> bool {
        self.appends_left.load(Ordering::SeqCst) == 0
    }
}

/// Records a run on a folder: opening, load, closing, opening again, load.
fn record(folder: &Path, seed: u64, round: u32) -> Recording {
    let watch = Watch::record(folder);
    for (part, appends) in [(0, 250), (1, 100)] {
        let store = Arc::new(open(folder).unwrap());
        let sink: Arc<dyn Sink> = Arc::new(Recorder { appends_left: appends.into() });
        let load = Load { seed, round: round * 2 + part, workers: 3, compact_one_in: 40 };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            load::run(&store, load, &sink).await;
            store.close().await.unwrap();
        });
    }
    watch.end()
}

/// Cuts a recorded run at random moments and checks each folder that is left. Answers with the
/// number of cuts after which something was missing, and one folder with what must be in it.
fn cut_run(
    recording: &Recording,
    base: &Image,
    truth: &Truth,
    cuts: usize,
    random: &mut Random,
    deaf: Option<&str>,
) -> (Vec<String>, Option<(Image, Truth)>) {
    let mut moments: Vec<usize> =
        (0..cuts).map(|_| random.below(recording.ops.len() + 1)).collect();
    moments.sort_unstable();
    let mut replay = Replay::new(recording, base, deaf);
    let (mut truth, mut failures, mut left) = (truth.clone(), Vec::new(), None);
    let mut at = 0;
    for moment in moments {
        replay.advance(at, moment);
        for op in recording.ops.get(at..moment).unwrap_or_default() {
            if let Op::Event(event) = op {
                truth.note(event);
            }
        }
        at = moment;
        let cut = [Cut::Dropped, Cut::Subset, Cut::Torn, Cut::Kept][random.below(4)];
        let image = replay.cut(cut, random);
        let folder = tempfile::tempdir().unwrap();
        write_image(&image, folder.path());
        let mut found = truth.clone();
        match check(folder.path(), &mut found) {
            Ok(()) => left = Some((disk::read_tree(folder.path()), found)),
            Err(error) => failures.push(format!("cut at {moment}, {cut:?}: {error}")),
        }
    }
    (failures, left)
}

fn check(folder: &Path, truth: &mut Truth) -> Result<(), String> {
    let store = open(folder).map_err(|error| error.to_string())?;
    // A commit cut by the power is reported; everything else would be damage.
    if let Some(line) = store.damage().iter().find(|line| !line.contains("incomplete")) {
        return Err(format!("damage: {line}"));
    }
    block_on(async {
        let found = truth.check(&store).await?;
        truth.check_order(&store, &found, Position(0)).await?;
        store.close().await.map_err(|error| error.to_string())
    })
}

/// Runs follow one another: each goes on in a folder that a cut of the one before has left.
#[test]
fn every_acknowledged_record_survives_two_hundred_power_cuts() {
    let seed = seed("power cuts");
    let mut random = Random::new(seed);
    let (mut base, mut truth) = (Image::new(), Truth::new(seed));
    for round in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        write_image(&base, folder.path());
        let recording = record(folder.path(), seed, round);
        let (failures, left) = cut_run(&recording, &base, &truth, 50, &mut random, None);
        assert!(failures.is_empty(), "round {round} of seed {seed}: {failures:#?}");
        (base, truth) = left.unwrap();
    }
}

/// The same check on a store that does not sync its journal, as it were: it must go red.
#[test]
fn a_journal_that_is_not_synced_is_noticed() {
    let seed = seed("no sync");
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let recording = record(folder.path(), seed, 0);
    let (base, truth) = (Image::new(), Truth::new(seed));
    let (failures, _) = cut_run(&recording, &base, &truth, 20, &mut random, Some("journal"));
    assert!(!failures.is_empty(), "20 cuts of a store that never syncs lost nothing");
}

/// See the test in `disk`.
pub(crate) fn recording_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let recording = record(folder.path(), 7, 0);
    let mut replay = Replay::new(&recording, &Image::new(), None);
    replay.advance(0, recording.ops.len());
    let image = replay.cut(Cut::Kept, &mut Random::new(0));
    let found = disk::read_tree(folder.path());
    let names = |image: &Image| image.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&image), names(&found));
    for (path, content) in &found {
        assert!(image[path] == *content, "{} differs", path.display());
    }
    let writes = |part: &str| {
        let files = recording.ops.iter().filter_map(|op| match op {
            Op::Write { file, .. } => Some(&recording.nodes[*file].path),
            _ => None,
        });
        files.filter(|path| path.starts_with(part)).count()
    };
    for part in ["journal", "blocks", "index"] {
        assert!(writes(part) > 10, "only {} writes in {part} were seen", writes(part));
    }
}
