//! From memory to the disk, in one step for whoever looks.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytemuck::cast_slice;
use serde::{Deserialize, Serialize};
use tempfile::Builder;

use super::manifest::FORMAT;
use super::safetensors_out::{HashedFile, TensorHead, write_header};
use super::snapshot::{SEGMENT_BLOCKS, SEGMENT_ROWS};
use super::{
    BankError, BankManifest, BankSnapshot, FileRecord, Home, PairId, PairOrigin, SegmentRecord,
    Side,
};

/// The tensors of the embeddings file.
pub(super) const IMAGE_EMBEDDINGS: &str = "image_embeddings";
/// The other one.
pub(super) const TEXT_EMBEDDINGS: &str = "text_embeddings";
/// The tensors of the thumbnails file.
pub(super) const JPEGS: &str = "jpegs";
/// Where each row's picture begins in it, and where the last one ends.
pub(super) const JPEG_OFFSETS: &str = "jpeg_offsets";

/// A line of the file of origins.
#[derive(Serialize, Deserialize)]
pub(super) struct PairLine {
    pub(super) id: PairId,
    pub(super) caption: String,
    pub(super) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stamp_nanos: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) box_px: Option<[f32; 4]>,
}

impl PairLine {
    fn new(id: PairId, origin: &PairOrigin) -> Self {
        Self {
            id,
            caption: origin.caption.clone(),
            source: origin.source.to_string(),
            topic: origin.topic.as_deref().map(str::to_owned),
            stamp_nanos: origin.stamp.map(|stamp| stamp.0),
            box_px: origin.box_in_source_px.map(|area| area.corners()),
        }
    }
}

impl BankSnapshot {
    /// Saves the bank to a folder, which is made where it is missing. A bank that is there is
    /// replaced in one step; until then it stays whole. Segments that have not changed since the
    /// bank was loaded from there or saved there are not written again.
    ///
    /// # Errors
    /// [`BankError::ChangedMeanwhile`] where the bank was loaded from this folder and somebody else
    /// has saved to it since; what the file system or libtorch report. What was there stays.
    pub fn save(&self, folder: &Path) -> Result<(), BankError> {
        fs::create_dir_all(folder).map_err(BankError::io("make", folder))?;
        // Two paths may lead to one folder.
        let folder = folder.canonicalize().map_err(BankError::io("look into", folder))?;
        // One saving after the other.
        let mut home = self.home();
        let before = match BankManifest::read(&folder) {
            Ok(manifest) => Some(manifest),
            Err(BankError::NotABank { .. }) => None,
            Err(error) => return Err(error),
        };
        let found = before.as_ref().map_or(0, |manifest| manifest.generation);
        if let Some(Home { folder: known, generation, .. }) = &*home
            && *known == folder
            && *generation != found
        {
            return Err(BankError::ChangedMeanwhile { folder, expected: *generation, found });
        }
        let generation = found + 1;
        let known = match &*home {
            Some(home) if home.folder == folder => home.segments.clone(),
            _ => Vec::new(),
        };
        let mut segments = Vec::new();
        for at in 0..self.ids.len().div_ceil(SEGMENT_ROWS) {
            let changed = self.changes[at];
            let record = match known.get(at) {
                Some((same, record)) if *same == changed && is_there(&folder, record) => {
                    record.clone()
                }
                _ => self.write_segment(&folder, at, generation)?,
            };
            segments.push((changed, record));
        }
        let manifest = BankManifest {
            format: FORMAT,
            generation,
            image_encoder: self.image_encoder.clone(),
            text_encoder: self.text_encoder.clone(),
            k: self.settings.k,
            p: self.settings.p,
            margin: self.margin,
            pairs: self.ids.len(),
            next_id: self.next_id,
            segments: segments.iter().map(|(_, record)| record.clone()).collect(),
        };
        write_manifest(&folder, &manifest)?;
        // Nobody needs the other files of the state before; where they cannot be removed they take
        // room and do no harm.
        let named: HashSet<_> = manifest.files().map(|file| &file.name).collect();
        for file in before.iter().flat_map(BankManifest::files) {
            if !named.contains(&file.name) {
                let _ = fs::remove_file(folder.join(&file.name));
            }
        }
        *home = Some(Home { folder, generation, segments });
        Ok(())
    }

    fn write_segment(
        &self,
        folder: &Path,
        at: usize,
        generation: u64,
    ) -> Result<SegmentRecord, BankError> {
        let first = at * SEGMENT_ROWS;
        let rows = first..(first + SEGMENT_ROWS).min(self.ids.len());
        let path = |what: &str, kind: &str| folder.join(format!("{what}-{at}-{generation}.{kind}"));
        let any = self.thumbnails.range(rows.clone()).any(|jpeg| jpeg.bytes() > 0);
        let thumbnails =
            any.then(|| self.write_thumbnails(&path("thumbnails", "safetensors"), rows.clone()));
        Ok(SegmentRecord {
            pairs: rows.len(),
            embeddings: self.write_embeddings(
                &path("embeddings", "safetensors"),
                at,
                rows.len(),
            )?,
            origins: self.write_origins(&path("pairs", "jsonl"), rows)?,
            thumbnails: thumbnails.transpose()?,
        })
    }

    fn write_embeddings(
        &self,
        path: &Path,
        at: usize,
        pairs: usize,
    ) -> Result<FileRecord, BankError> {
        let mut out = HashedFile::create(path)?;
        let head = |name, side| {
            let shape = vec![pairs, self.matrix(side).dimension()];
            let bytes = 4 * shape.iter().product::<usize>() as u64;
            TensorHead { name, dtype: "F32", shape, bytes }
        };
        let heads = [head(IMAGE_EMBEDDINGS, Side::Image), head(TEXT_EMBEDDINGS, Side::Text)];
        write_header(&mut out, &heads).map_err(BankError::io("write", path))?;
        let blocks = at * SEGMENT_BLOCKS..(at + 1) * SEGMENT_BLOCKS;
        for side in [Side::Image, Side::Text] {
            for rows in self.matrix(side).blocks(blocks.clone()) {
                out.write_all(cast_slice(&rows?)).map_err(BankError::io("write", path))?;
            }
        }
        out.finish(path)
    }

    fn write_origins(&self, path: &Path, rows: Range<usize>) -> Result<FileRecord, BankError> {
        let mut out = HashedFile::create(path)?;
        let mut write = || {
            let origins = self.origins.range(rows.clone());
            for (id, origin) in self.ids.range(rows.clone()).zip(origins) {
                serde_json::to_writer(&mut out, &PairLine::new(*id, origin))
                    .map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        };
        write().map_err(BankError::io("write", path))?;
        out.finish(path)
    }

    fn write_thumbnails(&self, path: &Path, rows: Range<usize>) -> Result<FileRecord, BankError> {
        let mut out = HashedFile::create(path)?;
        let mut offsets = vec![0u64];
        let mut end = 0;
        for jpeg in self.thumbnails.range(rows.clone()) {
            end += jpeg.bytes();
            offsets.push(end);
        }
        let heads = [
            TensorHead {
                name: JPEG_OFFSETS,
                dtype: "U64",
                shape: vec![offsets.len()],
                bytes: 8 * offsets.len() as u64,
            },
            TensorHead { name: JPEGS, dtype: "U8", shape: vec![end as usize], bytes: end },
        ];
        let failed = BankError::io("write", path);
        write_header(&mut out, &heads).map_err(&failed)?;
        out.write_all(cast_slice(&offsets)).map_err(&failed)?;
        for jpeg in self.thumbnails.range(rows) {
            if let Some(jpeg) = jpeg.read()? {
                out.write_all(&jpeg).map_err(&failed)?;
            }
        }
        out.finish(path)
    }
}

/// Whether the files that were written once are there still, as far as their sizes tell.
fn is_there(folder: &Path, record: &SegmentRecord) -> bool {
    record.files().all(|file| {
        fs::metadata(folder.join(&file.name)).is_ok_and(|found| found.len() == file.bytes)
    })
}

/// In one step, after all that it names is on the disk.
fn write_manifest(folder: &Path, manifest: &BankManifest) -> Result<(), BankError> {
    let path = BankManifest::path(folder);
    let write = || {
        // As any other file: a node that runs as somebody else reads it, too.
        let mut file = Builder::new()
            .permissions(fs::Permissions::from_mode(0o666))
            .prefix(".bank-")
            .tempfile_in(folder)?;
        file.write_all(serde_json::to_string_pretty(manifest)?.as_bytes())?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        // Names of new files are on the disk only when their folder is.
        File::open(folder)?.sync_all()?;
        file.persist(&path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(BankError::io("write", &path))
}
