//! The Unix socket: found stale, locked, bound, opened to the pod.
//!
//! Invariants: one vedetta per socket, guarded by a lock on a file beside it that the kernel releases with the
//! process; a stale socket file is replaced, a living one never.
//!
//! Not here: serving (`server`).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Anybody who can reach the directory may connect: in a pod the application runs under another user id, and a
/// directory that is mounted into these containers only is the guard.
const MODE: u32 = 0o666;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process serves there.
    #[error(
        "another vedetta already serves on {}; stop it, or set VEDETTA_SOCKET to another path",
        .0.display()
    )]
    InUse(PathBuf),
    /// The file system says no.
    #[error(
        "cannot create the socket {}: {source}; make its directory writable, or set VEDETTA_SOCKET",
        .path.display()
    )]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that is not a socket is there.
    #[error("{} exists and is not a socket; remove it, or set VEDETTA_SOCKET", .0.display())]
    NotASocket(PathBuf),
}

/// A bound socket.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    claim: Claim,
}

/// The right to the path. The file of the socket goes when it is dropped, and the lock after it.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    _lock: File,
}

impl Socket {
    /// Binds, replacing a stale file.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let lock = lock(path)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        let claim = Claim {
            path: path.to_owned(),
            _lock: lock,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(failed)?;
        Ok(Self { listener, claim })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.claim.path
    }

    /// The listener, and what must be kept while it listens.
    pub(super) fn into_parts(self) -> (UnixListener, Claim) {
        (self.listener, self.claim)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The lock is still held, so the file is ours.
        let _ = fs::remove_file(&self.path);
    }
}

fn lock(path: &Path) -> Result<File, BindError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let failed = |source| BindError::Io {
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&name)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BindError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn remove_stale(path: &Path) -> Result<(), BindError> {
    use std::os::unix::fs::FileTypeExt;
    let failed = |source| BindError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    // Somebody without our lock may live there, another program for example.
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(BindError::InUse(path.to_owned()));
    }
    fs::remove_file(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("deep/v.sock");
        let first = Socket::bind(&path).expect("free");
        assert!(matches!(Socket::bind(&path), Err(BindError::InUse(_))));
        drop(first);
        assert!(!path.exists());
        // As a killed process leaves it.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bind"));
        let second = Socket::bind(&path).expect("stale");
        let mode = fs::metadata(second.path())
            .expect("metadata")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, MODE);
    }

    #[tokio::test]
    async fn somebody_elses_socket_and_file_are_left_alone() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("v.sock");
        let _foreign = std::os::unix::net::UnixListener::bind(&path).expect("bind");
        assert!(matches!(Socket::bind(&path), Err(BindError::InUse(_))));
        let file = directory.path().join("file");
        fs::write(&file, "precious").expect("write");
        assert!(matches!(Socket::bind(&file), Err(BindError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&file).expect("read"), "precious");
    }
}
