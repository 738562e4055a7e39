//! Digests of files, as the hub gives them and as the manifest keeps them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::HubError;

/// Large enough that reading costs little beside hashing.
const BLOCK_BYTES: usize = 1 << 20;

/// What the hub's ETag says of a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HubDigest {
    /// Files in large-file storage: SHA-256 of their bytes.
    Sha256(String),
    /// Files in git itself: the id of the blob, SHA-1 over a header and the bytes.
    GitSha1(String),
    /// A server that is not the hub may give any ETag: it says nothing about the bytes.
    Opaque,
}

impl HubDigest {
    /// Reads an ETag with or without quotes and weak prefix.
    pub(super) fn from_etag(etag: &str) -> Self {
        let bare = bare_etag(etag).to_ascii_lowercase();
        let is_hex = bare.chars().all(|c| c.is_ascii_hexdigit());
        match bare.len() {
            64 if is_hex => Self::Sha256(bare),
            40 if is_hex => Self::GitSha1(bare),
            _ => Self::Opaque,
        }
    }
}

/// An ETag without quotes and weak prefix.
pub(super) fn bare_etag(etag: &str) -> &str {
    etag.trim().trim_start_matches("W/").trim_matches('"')
}

/// Hashes a file while it comes in.
pub(super) struct FileHasher {
    sha256: Sha256,
    /// Only where the hub's digest is of this kind.
    git_sha1: Option<Sha1>,
}

impl FileHasher {
    /// `size_bytes` is the size of the whole file, which is part of a git blob's id.
    pub(super) fn new(size_bytes: u64, expected: &HubDigest) -> Self {
        let git_sha1 = matches!(expected, HubDigest::GitSha1(_)).then(|| {
            let mut hasher = Sha1::new();
            hasher.update(format!("blob {size_bytes}\0"));
            hasher
        });
        Self { sha256: Sha256::new(), git_sha1 }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(git_sha1) = &mut self.git_sha1 {
            git_sha1.update(bytes);
        }
    }

    /// The SHA-256 of what came, or what was announced and found where the hub's digest is
    /// another one.
    pub(super) fn finish(self, expected: &HubDigest) -> Result<String, DigestMismatch> {
        let sha256 = hex(&self.sha256.finalize());
        let (algorithm, expected, found) = match expected {
            HubDigest::Sha256(expected) => ("sha256", expected, sha256.clone()),
            HubDigest::GitSha1(expected) => {
                let found = self.git_sha1.map(|hasher| hex(&hasher.finalize())).unwrap_or_default();
                ("git-sha1", expected, found)
            }
            HubDigest::Opaque => return Ok(sha256),
        };
        if *expected == found {
            Ok(sha256)
        } else {
            Err(DigestMismatch { algorithm, expected: expected.clone(), found })
        }
    }
}

/// Two digests that should be one.
#[derive(Debug)]
pub(super) struct DigestMismatch {
    pub(super) algorithm: &'static str,
    pub(super) expected: String,
    pub(super) found: String,
}

/// Reads a file in blocks.
pub(super) fn for_each_block(path: &Path, mut each: impl FnMut(&[u8])) -> Result<(), HubError> {
    let failed = |source: io::Error| HubError::io("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => each(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// SHA-256 of a file, as lower-case hexadecimal.
///
/// # Errors
/// [`HubError::Io`] where it cannot be read.
pub fn sha256_of(path: &Path) -> Result<String, HubError> {
    let mut hasher = Sha256::new();
    for_each_block(path, |block| hasher.update(block))?;
    Ok(hex(&hasher.finalize()))
}

/// SHA-256 of a text.
pub(super) fn sha256_of_text(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `git hash-object` and `sha256sum` of a file with the bytes `hello\n`.
    const GIT_SHA1: &str = "ce013625030ba8dba906f756967f9e9ca394464a";
    const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    fn hash(expected: &HubDigest, pieces: &[&str]) -> Result<String, DigestMismatch> {
        let size_bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut hasher = FileHasher::new(size_bytes, expected);
        for piece in pieces {
            hasher.update(piece.as_bytes());
        }
        hasher.finish(expected)
    }

    #[test]
    fn both_digests_of_the_hub_are_those_of_git_and_sha256sum() {
        for etag in [GIT_SHA1, SHA256, "\"an md5\"", "deadbeef"] {
            let expected = HubDigest::from_etag(etag);
            assert_eq!(hash(&expected, &["he", "llo\n"]).unwrap(), SHA256, "{etag}");
        }
        for etag in [GIT_SHA1, SHA256] {
            let mismatch = hash(&HubDigest::from_etag(etag), &["hellO\n"]).unwrap_err();
            assert_eq!(mismatch.expected, etag);
            assert_ne!(mismatch.found, etag);
        }
    }

    #[test]
    fn etags_are_told_by_their_form() {
        let quoted = format!("\"{SHA256}\"");
        assert_eq!(HubDigest::from_etag(&quoted), HubDigest::Sha256(SHA256.to_owned()));
        let weak = format!("W/\"{}\"", GIT_SHA1.to_uppercase());
        assert_eq!(HubDigest::from_etag(&weak), HubDigest::GitSha1(GIT_SHA1.to_owned()));
        for opaque in ["", "\"\"", "\"5d41402abc4b2a76b9719d911017c592\"", &"g".repeat(40)] {
            assert_eq!(HubDigest::from_etag(opaque), HubDigest::Opaque, "{opaque}");
        }
    }
}
