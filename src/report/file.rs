//! Pages on the disk.

use std::fs::Permissions;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::ReportError;

/// Writes a page. A file that is there is replaced in one step, so that nobody ever sees half a
/// page.
pub(super) fn write_in_one_step(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ReportError> {
    try_write(path, write).map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

fn try_write(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Readable by others as far as the umask allows, like any other output; the default of
    // temporary files is not.
    let permissions: Permissions = PermissionsExt::from_mode(0o666);
    let mut file = BufWriter::new(
        tempfile::Builder::new().prefix(".report-").permissions(permissions).tempfile_in(folder)?,
    );
    write(&mut file)?;
    file.flush()?;
    let file = file.into_inner().map_err(IntoInnerError::into_error)?;
    file.persist(path)?;
    Ok(())
}
