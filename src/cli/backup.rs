//! `scrollback backup`: everything that a running server holds, in one file. It checks the bytes
//! on their way. Invariant: a file of the name that was asked for is a whole backup.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::json;

use super::{
    connection::{ServerUrl, block_on},
    output::{Form, notice, time_text},
    restore::bar,
};
use crate::{
    client::backup::Download,
    store::backup::{Manifest, Part, Unsealing},
};

/// Take a backup of a running server; writers go on meanwhile
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// File to write, or a folder that gets a file named by the time; - is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    server: ServerUrl,
    #[command(flatten)]
    form: Form,
}

/// What was taken.
struct Taken {
    manifest: Manifest,
    bytes: u64,
    /// What the server had lost before.
    missing: Vec<String>,
}

impl Backup {
    /// Takes it, and says what it is in one line.
    pub(super) fn run(self) -> Result<ExitCode> {
        let to_stdout = self.output.as_os_str() == "-";
        ensure!(
            !(to_stdout && io::stdout().is_terminal()),
            "a backup is not for a terminal: name a file with -o, or send it into a pipe"
        );
        let (taken, path) = if to_stdout {
            (block_on(self.take(&mut io::stdout().lock()))?, None)
        } else {
            let (taken, path) = self.to_file()?;
            (taken, Some(path))
        };
        for text in &taken.missing {
            notice(&format!("warning: {text}"));
        }
        self.print(&taken, path.as_deref())?;
        Ok(if taken.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Writes a file beside its place, and gives it its name once it is whole and on the disk.
    fn to_file(&self) -> Result<(Taken, PathBuf)> {
        let is_folder = self.output.is_dir();
        ensure!(
            is_folder || !self.output.exists(),
            "{} is there already: name another file",
            self.output.display()
        );
        let partial = if is_folder {
            self.output.join(format!("scrollback.{}.partial", std::process::id()))
        } else {
            let mut name = self.output.clone().into_os_string();
            name.push(".partial");
            PathBuf::from(name)
        };
        let taken = self.to_partial(&partial, is_folder);
        if taken.is_err() {
            // What is left says by its name that it is not whole.
            drop(std::fs::remove_file(&partial));
        }
        taken
    }

    fn to_partial(&self, partial: &Path, is_folder: bool) -> Result<(Taken, PathBuf)> {
        let at = || format!("{}", partial.display());
        let mut file = private(partial).with_context(at)?;
        let taken = block_on(self.take(&mut file))?;
        file.sync_all().with_context(at)?;
        let named = || self.output.join(file_name(taken.manifest.created_ms));
        let path = if is_folder { named() } else { self.output.clone() };
        ensure!(!path.exists(), "{} is there by now: name another file", path.display());
        std::fs::rename(partial, &path).with_context(|| format!("{}", path.display()))?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).with_context(at)?;
        }
        Ok((taken, path))
    }

    /// Hands the bytes on once they were checked: what was cut off or changed on its way is an
    /// error.
    async fn take(&self, out: &mut impl Write) -> Result<Taken> {
        let mut download: Download = self.server.client()?.backup().await?;
        let (bar, mut unsealing) = (bar(), Unsealing::default());
        let (mut manifest, mut bytes, mut missing) = (None, 0, Vec::new());
        while let Some(chunk) = download.next().await? {
            unsealing.push(&chunk);
            while let Some(part) = unsealing.part()? {
                match part {
                    Part::Begin(begun) => {
                        bar.set_length(begun.bytes);
                        manifest = Some(begun);
                    }
                    Part::Missing(text) => missing.push(text),
                    Part::Blocks { .. } | Part::Commits { .. } | Part::End => {}
                }
            }
            out.write_all(&chunk).context("writing the backup")?;
            bytes += chunk.len() as u64;
            bar.set_position(bytes);
        }
        unsealing.finish()?;
        out.flush().context("writing the backup")?;
        bar.finish_and_clear();
        let Some(manifest) = manifest else { bail!("the server sent nothing") };
        Ok(Taken { manifest, bytes, missing })
    }

    fn print(&self, taken: &Taken, path: Option<&Path>) -> Result<()> {
        let Taken { manifest, bytes, missing } = taken;
        let time = time_text(Some(manifest.created_ms));
        // Standard output may be the backup itself.
        let Some(path) = path else {
            let text = format!("{bytes} bytes: the state of {time}, at commit {}", manifest.commit);
            if io::stderr().is_terminal() {
                notice(&text);
            }
            return Ok(());
        };
        let mut output = self.form.open();
        if output.is_for_people() {
            output.line(&format!(
                "{}: {bytes} bytes, the state of {time}, at commit {}",
                path.display(),
                manifest.commit
            ))?;
        } else {
            let value = json!({
                "file": path, "bytes": bytes, "createdMs": manifest.created_ms,
                "commit": manifest.commit, "missing": missing,
            });
            output.json(value.to_string().as_bytes())?;
        }
        Ok(output.flush()?)
    }
}

/// A new file for its owner only: what people said is in it, and the server's keys.
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn file_name(created_ms: u64) -> String {
    format!("scrollback-{}.sbk", time_text(Some(created_ms)).replace(':', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_the_time_of_its_state() {
        assert_eq!(file_name(1_795_174_830_058), "scrollback-2026-11-20T11-40-30Z.sbk");
    }
}
