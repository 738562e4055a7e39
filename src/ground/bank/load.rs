//! From the disk to memory. What is damaged is refused by the name of its file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::pod_collect_to_vec;
use safetensors::Dtype;

use super::matrix::Matrix;
use super::save::{IMAGE_EMBEDDINGS, JPEG_OFFSETS, JPEGS, PairLine, TEXT_EMBEDDINGS};
use super::snapshot::SEGMENT_ROWS;
use super::thumbnails::{Thumbnail, ThumbnailFile};
use super::{
    Bank, BankError, BankManifest, BankSnapshot, FileRecord, Home, MAX_PAIRS, MAX_THUMBNAIL_BYTES,
    PairId, PairOrigin, SegmentRecord,
};
use crate::ground::asif::AsifSettings;
use crate::hub::sha256_of;
use crate::types::{PixelBox, Stamp};
use crate::weights::SafetensorsFile;

/// Rows that are read at once. Larger buffers, between which the texts of pairs come to lie, leave
/// holes behind that make a bank of many pairs a quarter larger in memory.
const ROWS_PER_READ: usize = 128;

/// How far the squared length of a row may be from 1: rounding of f32 stays far below.
const UNIT_TOLERANCE: f64 = 1e-3;

/// The longest line of origins: a caption of escaped characters and two names.
const MAX_LINE_BYTES: usize = 256 << 10;

impl Bank {
    /// Loads a bank. All of it is compared with the checksums of its manifest.
    ///
    /// # Errors
    /// A folder that is no bank; a file that is missing, cut or damaged, by its path; what the file
    /// system or libtorch report.
    pub fn load(folder: &Path) -> Result<Self, BankError> {
        let manifest = BankManifest::read(folder)?;
        let manifest_path = BankManifest::path(folder);
        let damaged = |reason: String| BankError::Damaged { path: manifest_path.clone(), reason };
        if manifest.pairs > MAX_PAIRS {
            return Err(BankError::Full { limit: MAX_PAIRS, asked: manifest.pairs });
        }
        let settings = AsifSettings { k: manifest.k, p: manifest.p };
        let encoders = (manifest.image_encoder.clone(), manifest.text_encoder.clone());
        let mut bank = Self::new(encoders.0, encoders.1, settings)?;
        bank.set_margin(manifest.margin)?;
        let now = &mut bank.now;
        bank.row_of.reserve(manifest.pairs);
        let mut segments = Vec::new();
        for (at, record) in manifest.segments.iter().enumerate() {
            let first = at * SEGMENT_ROWS;
            let expected = manifest.pairs.saturating_sub(first).min(SEGMENT_ROWS);
            if record.pairs != expected || expected == 0 {
                let found = record.pairs;
                return Err(damaged(format!(
                    "segment {at}: expected {expected} of {} pairs, found {found}",
                    manifest.pairs
                )));
            }
            now.touch(first);
            now.read_segment(folder, record, &mut bank.row_of)?;
            segments.push((now.changes[at], record.clone()));
        }
        match now.ids.len() {
            found if found == manifest.pairs => {}
            found => {
                return Err(damaged(format!("{} pairs, and {found} in segments", manifest.pairs)));
            }
        }
        if let Some(PairId(newest)) = now.ids.iter().max()
            && *newest >= manifest.next_id
        {
            let next = manifest.next_id;
            return Err(damaged(format!("next_id is {next}, and there is a pair {newest}")));
        }
        now.next_id = manifest.next_id;
        let folder = folder.canonicalize().map_err(BankError::io("look into", folder))?;
        *now.home() = Some(Home { folder, generation: manifest.generation, segments });
        Ok(bank)
    }
}

impl BankSnapshot {
    /// Puts the pairs of a segment behind those that are there.
    fn read_segment(
        &mut self,
        folder: &Path,
        record: &SegmentRecord,
        row_of: &mut HashMap<PairId, usize>,
    ) -> Result<(), BankError> {
        for file in record.files() {
            compare(&folder.join(&file.name), file)?;
        }
        let pairs = record.pairs;
        let embeddings = folder.join(&record.embeddings.name);
        let file = SafetensorsFile::open(&embeddings)?;
        read_matrix(&file, &embeddings, IMAGE_EMBEDDINGS, pairs, &mut self.images)?;
        read_matrix(&file, &embeddings, TEXT_EMBEDDINGS, pairs, &mut self.texts)?;
        self.read_origins(&folder.join(&record.origins.name), pairs, row_of)?;
        match &record.thumbnails {
            Some(record) => {
                self.thumbnails.extend(read_thumbnails(&folder.join(&record.name), pairs)?);
            }
            None => self.thumbnails.extend(std::iter::repeat_n(Thumbnail::None, pairs)),
        }
        Ok(())
    }

    fn read_origins(
        &mut self,
        path: &Path,
        pairs: usize,
        row_of: &mut HashMap<PairId, usize>,
    ) -> Result<(), BankError> {
        let damaged = |reason: String| BankError::Damaged { path: path.to_owned(), reason };
        let file = File::open(path).map_err(BankError::io("read", path))?;
        let before = self.ids.len();
        // Many pairs come from one place: its name is kept once.
        let mut names: [Option<Arc<str>>; 2] = [None, None];
        for (row, line) in BufReader::new(file).split(b'\n').enumerate() {
            let line = line.map_err(BankError::io("read", path))?;
            let number = row + 1;
            if line.len() > MAX_LINE_BYTES || row == pairs {
                return Err(damaged(format!("line {number} is too long or one too many")));
            }
            let line: PairLine = serde_json::from_slice(&line)
                .map_err(|error| damaged(format!("line {number}: {error}")))?;
            if row_of.insert(line.id, before + row).is_some() {
                return Err(damaged(format!("line {number}: the id {} is there twice", line.id)));
            }
            self.ids.push(line.id);
            let [source, topic] = &mut names;
            self.origins.push(PairOrigin {
                caption: line.caption,
                source: shared(source, line.source),
                topic: line.topic.map(|name| shared(topic, name)),
                stamp: line.stamp_nanos.map(Stamp),
                box_in_source_px: line.box_px.map(PixelBox::from_corners),
            });
        }
        match self.ids.len() - before {
            found if found == pairs => Ok(()),
            found => Err(damaged(format!("expected {pairs} lines, found {found}"))),
        }
    }
}

/// The name itself, or the last one where it is the same.
fn shared(last: &mut Option<Arc<str>>, name: String) -> Arc<str> {
    match last {
        Some(last) if **last == *name => Arc::clone(last),
        _ => Arc::clone(last.insert(name.into())),
    }
}

/// Size first: it tells of a cut file without reading it.
fn compare(path: &Path, record: &FileRecord) -> Result<(), BankError> {
    let damaged = |reason: String| BankError::Damaged { path: path.to_owned(), reason };
    let found = fs::metadata(path).map_err(BankError::io("read", path))?.len();
    if found != record.bytes {
        return Err(damaged(format!("expected {} bytes, found {found}", record.bytes)));
    }
    match sha256_of(path)? {
        found if found == record.sha256 => Ok(()),
        found => Err(damaged(format!("expected sha256 {}, found {found}", record.sha256))),
    }
}

fn read_matrix(
    file: &SafetensorsFile,
    path: &Path,
    name: &str,
    pairs: usize,
    matrix: &mut Matrix,
) -> Result<(), BankError> {
    let damaged = |reason: String| BankError::Damaged { path: path.to_owned(), reason };
    let expected = [pairs as i64, matrix.dimension() as i64];
    match file.tensor(name) {
        Some((Dtype::F32, shape)) if shape == expected => {}
        Some((dtype, shape)) => {
            return Err(damaged(format!(
                "{name}: expected F32 {expected:?}, found {dtype} {shape:?}"
            )));
        }
        None => return Err(damaged(format!("it has no tensor {name}"))),
    }
    let row_bytes = 4 * matrix.dimension() as u64;
    let mut first = 0;
    while first < pairs {
        let last = (first + ROWS_PER_READ).min(pairs);
        let bytes = file.read_part(name, first as u64 * row_bytes..last as u64 * row_bytes)?;
        let numbers: Vec<f32> = pod_collect_to_vec(&bytes);
        for (row, numbers) in numbers.chunks_exact(matrix.dimension()).enumerate() {
            let squares: f64 = numbers.iter().map(|number| f64::from(*number).powi(2)).sum();
            if squares.is_nan() || (squares - 1.0).abs() > UNIT_TOLERANCE {
                let row = first + row;
                return Err(damaged(format!(
                    "{name}: row {row} has a squared length of {squares}"
                )));
            }
        }
        matrix.push_rows(&numbers)?;
        first = last;
    }
    Ok(())
}

fn read_thumbnails(
    path: &Path,
    pairs: usize,
) -> Result<impl Iterator<Item = Thumbnail>, BankError> {
    let damaged = |reason: String| BankError::Damaged { path: path.to_owned(), reason };
    let file = SafetensorsFile::open(path)?;
    let total = match (file.tensor(JPEG_OFFSETS), file.tensor(JPEGS)) {
        (Some((Dtype::U64, [count])), Some((Dtype::U8, [total]))) if *count == pairs as i64 + 1 => {
            *total as u64
        }
        _ => return Err(damaged(format!("expected {JPEGS} and {} of {JPEG_OFFSETS}", pairs + 1))),
    };
    let bytes = file.read_part(JPEG_OFFSETS, 0..8 * (pairs as u64 + 1))?;
    let offsets: Vec<u64> = pod_collect_to_vec(&bytes);
    let fits = |ends: &[u64]| ends[0] <= ends[1] && ends[1] - ends[0] <= MAX_THUMBNAIL_BYTES as u64;
    if offsets.last() != Some(&total) || !offsets.windows(2).all(fits) {
        return Err(damaged(format!("{JPEG_OFFSETS} do not divide {total} bytes")));
    }
    let start = file.offset_of(JPEGS, &(0..total))?;
    let offsets: Vec<u64> = offsets.iter().map(|offset| start + offset).collect();
    let (path, file): (PathBuf, File) = file.into_file();
    Ok(Thumbnail::stored(ThumbnailFile { path, file }, offsets))
}
