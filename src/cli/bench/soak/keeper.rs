//! Who takes backups of the server while it is written to, restores each beside it and has it
//! checked. A backup may fail where the server was killed meanwhile, and nowhere else.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;

use super::{process, run::Run};

/// Takes one backup after the other until the load ends.
pub(super) async fn keep(run: Arc<Run>, actor: u64, dir: PathBuf) {
    let mut dice = run.dice(actor);
    while run.loads() {
        run.pause(dice.span_ms(3_000, 15_000)).await;
        if !run.loads() {
            return;
        }
        let before = run.turns.get();
        let kept = once(&run, &dir).await;
        match kept {
            Ok(()) => run.counts.backups.add(1),
            Err(_) if run.turns.get() != before || !before.is_multiple_of(2) => {}
            Err(error) => return run.found(format!("a backup: {error:#}")),
        }
    }
}

async fn once(run: &Run, dir: &Path) -> Result<()> {
    let (file, restored, log) =
        (dir.join("soak.backup"), dir.join("restored"), dir.join("backup.log"));
    for path in [&file, &dir.join("soak.backup.partial")] {
        drop(fs::remove_file(path));
    }
    drop(fs::remove_dir_all(&restored));
    let url = format!("http://{}", run.address);
    let (file, folder) = (file.to_string_lossy(), restored.to_string_lossy());
    for args in [
        &["backup", "--url", &url, "-o", &file, "--json"][..],
        &["restore", &file, "--data-dir", &folder, "--json"],
        &["verify", "--data-dir", &folder, "--json"],
    ] {
        let (well, said) = process::command(args, &log).await?;
        anyhow::ensure!(well, "{}: {said}", args.join(" "));
    }
    drop(fs::remove_dir_all(&restored));
    Ok(())
}
