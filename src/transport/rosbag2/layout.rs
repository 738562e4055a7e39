//! Which files make up a bag, and what each of them is.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::BagError;
use super::metadata::{self, Metadata};
use super::scratch::ZSTD_MAGIC;

/// The files of a bag.
pub(super) struct Layout {
    pub(super) folder: PathBuf,
    /// Names of the files in `folder`, in the order of recording.
    pub(super) names: Vec<String>,
    /// What `metadata.yaml` says; `None` for a single file and where it is missing or broken.
    pub(super) metadata: Option<Metadata>,
    /// What the user should know of how the files were found.
    pub(super) notes: Vec<String>,
}

const EXPECTED: &str = "metadata.yaml, or .mcap or .db3 files";

/// Finds the files of the bag at `path`.
///
/// # Errors
/// Where there is nothing at `path` or no bag in it.
pub(super) fn find(path: &Path) -> Result<Layout, BagError> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BagError::NotFound { path: path.to_owned() });
        }
        Err(error) => return Err(BagError::io(path, "look at it")(error)),
    };
    if about.is_dir() {
        return in_folder(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    if name == metadata::FILE_NAME {
        return in_folder(if folder.as_os_str().is_empty() { Path::new(".") } else { &folder });
    }
    Ok(Layout { folder, names: vec![name], metadata: None, notes: Vec::new() })
}

fn in_folder(folder: &Path) -> Result<Layout, BagError> {
    let folder = folder.to_owned();
    let note = match metadata::read(&folder) {
        Ok(Some(metadata)) => {
            let paths = metadata.relative_file_paths.iter();
            let names = paths.map(|path| metadata::file_name(path).to_owned()).collect();
            return Ok(Layout { folder, names, metadata: Some(metadata), notes: Vec::new() });
        }
        Ok(None) => "metadata.yaml is missing".to_owned(),
        Err(BagError::Metadata { reason, .. }) => {
            let first_line = reason.lines().next().unwrap_or_default();
            format!("metadata.yaml cannot be understood ({first_line})")
        }
        Err(error) => return Err(error),
    };
    let names = recordings_in(&folder)?;
    let notes = vec![format!("{note}: the files were taken in the order of their numbers")];
    Ok(Layout { folder, names, metadata: None, notes })
}

/// The name of a recording without its ending; `None` for any other file.
fn stem(name: &str) -> Option<&str> {
    let unpacked = name.strip_suffix(".zstd").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    unpacked.strip_suffix(".mcap").or_else(|| unpacked.strip_suffix(".db3"))
}

/// The recordings in a folder without metadata, in the order of the number that rosbag2 puts at
/// the end of the name.
fn recordings_in(folder: &Path) -> Result<Vec<String>, BagError> {
    let listing = fs::read_dir(folder).map_err(BagError::io(folder, "list the folder"))?;
    let mut others = Vec::new();
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(BagError::io(folder, "list the folder"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match stem(&name) {
            Some(stem) if !entry.path().is_dir() => {
                let (bag, number) = match stem.rsplit_once('_') {
                    Some((bag, number)) => match number.parse::<u64>() {
                        Ok(number) => (bag, number),
                        Err(_) => (stem, 0),
                    },
                    None => (stem, 0),
                };
                found.push((bag.to_owned(), number, name));
            }
            _ => others.push(name),
        }
    }
    found.sort();
    let not_a_bag =
        |found: String| BagError::NotABag { path: folder.to_owned(), expected: EXPECTED, found };
    let Some((bag, ..)) = found.first() else {
        others.sort();
        let more = if others.len() > 5 { ", …" } else { "" };
        others.truncate(5);
        return Err(not_a_bag(match others.as_slice() {
            [] => "an empty folder".to_owned(),
            names => format!("{}{more}", names.join(", ")),
        }));
    };
    if let Some((other, ..)) = found.iter().find(|(other, ..)| other != bag) {
        let what =
            format!("files of several recordings ({bag:?}, {other:?}); give one of the files");
        return Err(not_a_bag(what));
    }
    // Where a file stands there both compressed and not, the plain one is meant.
    let names: Vec<String> = found.into_iter().map(|(.., name)| name).collect();
    let is_plain_there = |packed: &String| {
        names.iter().any(|name| name != packed && packed.starts_with(name.as_str()))
    };
    Ok(names.iter().filter(|name| !is_plain_there(name)).cloned().collect())
}

/// What a file is, by its first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Mcap,
    Sqlite,
    Zstd,
    /// Neither; its first bytes, or that it has none.
    Other(String),
}

/// Looks at the first bytes of a file.
///
/// # Errors
/// Where the file cannot be opened or read.
pub(super) fn kind_of(path: &Path) -> io::Result<FileKind> {
    let mut head = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut head)?;
    Ok(if head.starts_with(mcap::MAGIC) {
        FileKind::Mcap
    } else if head == b"SQLite format 3\0" {
        FileKind::Sqlite
    } else if head.starts_with(&ZSTD_MAGIC) {
        FileKind::Zstd
    } else if head.is_empty() {
        FileKind::Other("an empty file".to_owned())
    } else {
        FileKind::Other(format!("a file that starts with \"{}\"", head.escape_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    #[test]
    fn files_without_metadata_come_in_the_order_of_their_numbers() {
        let folder =
            folder_with(&["b_10.mcap", "b_2.mcap", "b_0.mcap.zstd", "b_0.mcap", "notes.txt"]);
        let layout = find(folder.path()).unwrap();
        assert_eq!(layout.names, ["b_0.mcap", "b_2.mcap", "b_10.mcap"]);
        assert!(layout.notes[0].starts_with("metadata.yaml is missing"));
    }

    #[test]
    fn what_is_no_bag_says_what_is_there() {
        let text = |names: &[&str]| {
            let folder = folder_with(names);
            find(folder.path()).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(text(&["a.txt", "b.jpg"]).ends_with("found a.txt, b.jpg"));
        assert!(text(&[]).ends_with("found an empty folder"));
        assert!(text(&["a_0.mcap", "b_0.mcap"]).contains("several recordings (\"a\", \"b\")"));
        assert!(matches!(find(Path::new("/no/such/bag")), Err(BagError::NotFound { .. })));
    }

    #[test]
    fn broken_metadata_is_done_without_and_paths_never_leave_the_folder() {
        let folder = folder_with(&["a_0.db3"]);
        let metadata = folder.path().join(metadata::FILE_NAME);
        fs::write(&metadata, "rosbag2_bagfile_information: [").unwrap();
        let layout = find(&metadata).unwrap();
        assert_eq!(layout.names, ["a_0.db3"]);
        assert!(layout.notes[0].contains("cannot be understood"), "{:?}", layout.notes);
        assert_eq!(metadata::file_name("../../etc/passwd"), "passwd");
    }
}
