//! Atomic replacement of files.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::system;
use crate::{Error, Result};

/// Replaces a file atomically: a reader sees the old content or the new.
///
/// The steps are a temporary file in the same folder, fsync, rename, and fsync of the folder. On an error the old file
/// is untouched and the temporary file removed. A link stays a link: its target is replaced and keeps its permissions.
/// A pipe or a terminal is written directly.
///
/// # Errors
/// [`Error::Io`] with the path and the system's reason (a full disk, a missing folder, no permission).
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let stream: Option<Box<dyn Write>> = match path.to_str() {
        Some("/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => Some(Box::new(std::io::stdout())),
        Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => Some(Box::new(std::io::stderr())),
        _ => None,
    };
    let there = fs::metadata(path).ok();
    let stream = match stream {
        None if there.as_ref().is_some_and(|there| !there.is_file() && !there.is_dir()) => {
            Some(Box::new(fs::OpenOptions::new().write(true).open(path).map_err(Error::io(path))?) as Box<dyn Write>)
        }
        stream => stream,
    };
    if let Some(mut stream) = stream {
        return fill(&mut *stream).and_then(|()| stream.flush()).map_err(Error::io(path));
    }
    let path = &resolved(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder(path).join(format!(".{name}.{}.tmp", std::process::id()));
    let written = create(&temporary, there.as_ref()).and_then(|file| {
        let mut out = BufWriter::new(file);
        fill(&mut out)?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    });
    written.map_err(Error::io(path)).and_then(|()| replace(&temporary, path)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Makes the new file with the old file's permissions from the start.
fn create(path: &Path, there: Option<&fs::Metadata>) -> std::io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let Some(there) = there else { return options.open(path) };
    system::keep_permissions(&mut options, there);
    let file = options.open(path)?;
    // The new file's permissions are never wider than the old file's; a file system without permissions has none to
    // keep.
    let _ = file.set_permissions(there.permissions());
    Ok(file)
}

/// Replaces a file by another of the same folder, durably.
///
/// # Errors
/// [`Error::Io`] with the path and the system's reason; the old file is then untouched.
pub fn replace(from: &Path, path: &Path) -> Result<()> {
    system::rename(from, path).map_err(Error::io(path))
}

/// The file behind a path: links are followed, dangling links included.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(next) = fs::read_link(&path) else { break };
        path = folder(&path).join(next);
    }
    match (fs::canonicalize(folder(&path)), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// Links that lead to each other, at most: as many as Linux follows.
const MOST_LINKS: usize = 40;

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
