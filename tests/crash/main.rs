//! What survives a kill, a power cut, a damaged file and a full disk. One binary: `disk` stands
//! between this process and the file system, `load` writes, `truth` knows what must be there.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod calls;
mod commits;
mod damage;
mod disk;
mod full;
mod kill;
mod load;
mod power;
mod truth;
mod util;
