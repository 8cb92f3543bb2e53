//! Files, whole or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes a file so that a reader sees the old content or the new, never a part: temporary file in the same folder,
/// fsync, rename, fsync of the folder. On an error the old file is untouched and the temporary one removed. A link stays one,
/// what it leads to is replaced and keeps its permissions; into what is no file, such as a pipe or a terminal, and into
/// whatever `/dev/stdout` and the like stand for, is written as it is, after what is there.
///
/// # Errors
/// [`Error::Io`] with the path and the system's reason (a full disk, a missing folder, no permission).
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let there = fs::metadata(path).ok();
    let stream = path.starts_with("/dev") || there.as_ref().is_some_and(|there| !there.is_file() && !there.is_dir());
    if stream && there.is_some() {
        let written = fs::OpenOptions::new().append(true).open(path).and_then(|mut file| {
            fill(&mut file)?;
            file.flush()
        });
        return written.map_err(Error::io(path));
    }
    let path = &followed(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder(path).join(format!(".{name}.{}.tmp", std::process::id()));
    let written = File::create(&temporary).and_then(|file| {
        there.map_or(Ok(()), |there| file.set_permissions(there.permissions()))?;
        let mut out = BufWriter::new(file);
        fill(&mut out)?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    });
    written.map_err(Error::io(path)).and_then(|()| replace(&temporary, path)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Puts a file that is on the disk in the place of another in the same folder, for good: rename, fsync of the folder.
///
/// # Errors
/// [`Error::Io`] with the path and the system's reason; the old file is then untouched.
pub fn replace(from: &Path, path: &Path) -> Result<()> {
    fs::rename(from, path).and_then(|()| File::open(folder(path))?.sync_all()).map_err(Error::io(path))
}

/// Where a link leads, whether there is something or not; a path that is none is itself.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // A circle of links is no place to write to, as writing there will say.
    for _ in 0..MOST_LINKS {
        let Ok(next) = fs::read_link(&path) else { break };
        path = folder(&path).join(next);
    }
    path
}

/// Links that lead to each other, at most: as many as Linux follows.
const MOST_LINKS: usize = 40;

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
