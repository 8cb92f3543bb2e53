//! What differs between operating systems.

#[cfg(unix)]
pub use unix::{alias, duplicate, handle, keep_permissions, read_exact_at, sync_folder};
#[cfg(windows)]
pub use windows::{alias, duplicate, handle, keep_permissions, read_exact_at, sync_folder};

#[cfg(unix)]
mod unix {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd};
    use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
    use std::path::{Path, PathBuf};

    /// How the shim names an open file: its descriptor, which stays the file's.
    pub fn handle(file: &File) -> isize {
        file.as_raw_fd() as isize
    }

    /// Another file object on an open descriptor.
    ///
    /// # Safety
    /// The number is not negative, and no other part of the program closes what it names during the call.
    pub unsafe fn duplicate(descriptor: i32) -> io::Result<File> {
        // SAFETY: not negative; a descriptor that is not open is an error of the system.
        unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned().map(File::from)
    }

    /// Fills `to` from a position on.
    ///
    /// The file's own position is neither used nor changed.
    pub fn read_exact_at(file: &File, to: &mut [u8], position: u64) -> io::Result<()> {
        file.read_exact_at(to, position)
    }

    /// A path that leads to the open file, whatever has become of its own.
    pub fn alias(file: &File) -> Option<PathBuf> {
        Some(PathBuf::from(format!("/dev/fd/{}", file.as_raw_fd()))).filter(|path| path.exists())
    }

    /// A new file gets the permissions of an old one, from the start.
    pub fn keep_permissions(options: &mut OpenOptions, old: &Metadata) {
        options.mode(old.permissions().mode() & 0o777);
    }

    /// Waits until the names in a folder are on the disk.
    pub fn sync_folder(folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

#[cfg(windows)]
mod windows {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;
    use std::os::windows::fs::FileExt;
    use std::os::windows::io::{AsRawHandle, FromRawHandle, RawHandle};
    use std::path::{Path, PathBuf};

    use windows_sys::Win32::Foundation::{GENERIC_READ, INVALID_HANDLE_VALUE};
    use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, ReOpenFile};

    /// How the shim names an open file: its handle, which stays the file's.
    pub fn handle(file: &File) -> isize {
        file.as_raw_handle() as isize
    }

    /// Another file object on an open file, by the lower half of its handle.
    ///
    /// The upper half has no meaning. The new object has a position of its own: on Windows every read moves one.
    ///
    /// # Safety
    /// No other part of the program closes what the number names during the call.
    pub unsafe fn duplicate(descriptor: i32) -> io::Result<File> {
        // SAFETY: a handle that is not open is an error of the system.
        let handle = unsafe {
            let shared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
            ReOpenFile(descriptor as isize as RawHandle, GENERIC_READ, shared, 0)
        };
        if handle == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the handle is new, and nobody else has it.
        Ok(unsafe { File::from_raw_handle(handle) })
    }

    /// Fills `to` from a position on, which the file's own moves with.
    pub fn read_exact_at(file: &File, mut to: &mut [u8], mut position: u64) -> io::Result<()> {
        while !to.is_empty() {
            match file.seek_read(to, position)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => (to, position) = (&mut to[n..], position + n as u64),
            }
        }
        Ok(())
    }

    /// Windows has no path to an open file but the file's own.
    pub fn alias(_: &File) -> Option<PathBuf> {
        None
    }

    /// A new file has the permissions of its folder.
    pub fn keep_permissions(_: &mut OpenOptions, _: &Metadata) {}

    /// Windows has no such call.
    pub fn sync_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
