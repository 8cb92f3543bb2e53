//! What differs between operating systems.

#[cfg(unix)]
pub use unix::{alias, duplicate, handle, keep_permissions, read_exact_at, rename};
#[cfg(windows)]
pub use windows::{alias, duplicate, handle, keep_permissions, read_exact_at, rename};

#[cfg(unix)]
mod unix {
    use std::fs::{self, File, Metadata, OpenOptions};
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

    /// A path that leads to the open file, where the system has one.
    ///
    /// It does so whatever has become of the file's own path.
    pub fn alias(file: &File) -> Option<PathBuf> {
        Some(PathBuf::from(format!("/dev/fd/{}", file.as_raw_fd()))).filter(|path| path.exists())
    }

    /// A new file gets the permissions of an old one, from the start.
    pub fn keep_permissions(options: &mut OpenOptions, old: &Metadata) {
        options.mode(old.permissions().mode() & 0o777);
    }

    /// Replaces a file by another, and waits until the name is on the disk.
    pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

#[cfg(windows)]
mod windows {
    use std::ffi::OsString;
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;
    use std::os::windows::ffi::{OsStrExt, OsStringExt};
    use std::os::windows::fs::FileExt;
    use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, RawHandle};
    use std::path::{Path, PathBuf};

    use windows_sys::Win32::Foundation::{GENERIC_READ, INVALID_HANDLE_VALUE};
    use windows_sys::Win32::Storage::FileSystem::{
        FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, GetFinalPathNameByHandleW, MOVEFILE_REPLACE_EXISTING,
        MOVEFILE_WRITE_THROUGH, MoveFileExW, ReOpenFile,
    };

    /// How the shim names an open file: its handle, which stays the file's.
    pub fn handle(file: &File) -> isize {
        file.as_raw_handle() as isize
    }

    /// Another file object on an open file, by the lower half of its handle.
    ///
    /// The upper half has no meaning. The new object has a position of its own, where the handle lets others read.
    ///
    /// # Safety
    /// No other part of the program closes what the number names during the call.
    pub unsafe fn duplicate(descriptor: i32) -> io::Result<File> {
        let theirs = descriptor as isize as RawHandle;
        // SAFETY: a handle that is not open is an error of the system.
        let again = unsafe {
            let shared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
            ReOpenFile(theirs, GENERIC_READ, shared, 0)
        };
        if again == INVALID_HANDLE_VALUE {
            // SAFETY: as above.
            return unsafe { BorrowedHandle::borrow_raw(theirs) }.try_clone_to_owned().map(File::from);
        }
        // SAFETY: the handle is new, and nobody else has it.
        Ok(unsafe { File::from_raw_handle(again) })
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

    /// The path that the open file has by now.
    pub fn alias(file: &File) -> Option<PathBuf> {
        let mut path = vec![0; 1 << 15];
        // SAFETY: the handle is open, and the path has as much room as is said.
        let length =
            unsafe { GetFinalPathNameByHandleW(file.as_raw_handle(), path.as_mut_ptr(), path.len() as u32, 0) };
        path.get(..length as usize).filter(|path| !path.is_empty()).map(|path| OsString::from_wide(path).into())
    }

    /// A new file has the permissions of its folder.
    pub fn keep_permissions(_: &mut OpenOptions, _: &Metadata) {}

    /// Replaces a file by another, and waits until the name is on the disk.
    pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
        let wide = |path: &Path| path.as_os_str().encode_wide().chain([0]).collect::<Vec<u16>>();
        let (from, to) = (wide(from), wide(to));
        // SAFETY: both end in NUL.
        let done =
            unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
