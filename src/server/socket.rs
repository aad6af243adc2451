//! The administrator's socket, `admin.sock` in the data folder: for the user alone who runs the server.
//!
//! It is bound in a folder that nobody else can enter, given its mode, and only then put in its place: at no
//! moment can anybody else connect. Without it the server serves all the same, and says so.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempPath;
use tokio::net::UnixListener;

/// Its name.
const NAME: &str = "admin.sock";

/// Where an operator is heard.
pub struct AdminSocket {
    /// The socket.
    pub listener: UnixListener,
    /// Its file, which goes with it.
    pub file: TempPath,
}

/// Binds it; a left one of an earlier life is replaced.
pub(super) fn bind(folder: &Path) -> Option<AdminSocket> {
    match try_bind(folder) {
        Ok(socket) => Some(socket),
        Err(error) => {
            let hint = "such a path has at most 107 bytes; a shorter storage.data_dir helps";
            tracing::warn!(%error, folder = %folder.display(), hint, "there is no administrator's socket");
            None
        }
    }
}

fn try_bind(folder: &Path) -> io::Result<AdminSocket> {
    // Its mode is 0700.
    let alone = tempfile::Builder::new().prefix(".a").tempdir_in(folder)?;
    let (new, path) = (alone.path().join("s"), folder.join(NAME));
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, &path)?;
    Ok(AdminSocket { listener, file: TempPath::try_from_path(path)? })
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn only_its_owner_may_use_it_and_a_left_one_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        let first = try_bind(folder.path()).expect("bound");
        // As after kill -9: nobody listens any more, and the file is there.
        drop(first.listener);
        let _left = first.file.keep().expect("kept");
        assert!(UnixStream::connect(&path).await.is_err(), "nobody listens");
        let second = try_bind(folder.path()).expect("bound again");
        UnixStream::connect(&path).await.expect("somebody listens");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).expect("a folder").count(),
            1,
            "nothing else is left"
        );
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn without_one_a_server_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("x".repeat(120));
        fs::create_dir(&deep).expect("made");
        assert!(bind(&deep).is_none());
    }
}
