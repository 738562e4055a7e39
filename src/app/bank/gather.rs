//! From pictures with captions to pairs of a bank.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use image::RgbImage;
use owlet::ground::{Bank, NewPair, PairOrigin, crop_with_margin, thumbnail_of};
use owlet::tasks::{EncodeError, ImageEncoder, TextEncoder};
use owlet::types::{PixelBox, Stamp};
use owlet::vision::decode::decode_file;

use super::skipped::{Kind, Skipped};

/// Pairs that are encoded in one pass.
const PAIRS_PER_PASS: usize = 32;

/// Captions whose vectors are remembered: in a dataset few texts stand at many pictures.
const MAX_REMEMBERED: usize = 4096;

/// A part of a picture and what it shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) caption: String,
    /// `None` is the whole picture.
    pub(super) box_in_source_px: Option<PixelBox>,
}

/// Where a picture comes from.
#[derive(Clone, Debug)]
pub(super) struct PictureOrigin {
    pub(super) source: Arc<str>,
    pub(super) topic: Option<Arc<str>>,
    pub(super) stamp: Option<Stamp>,
}

impl PictureOrigin {
    pub(super) fn file(path: &Path) -> Self {
        Self { source: path.display().to_string().into(), topic: None, stamp: None }
    }
}

/// How pairs are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct GatherOptions {
    pub(super) margin: f32,
    pub(super) thumbnails: bool,
}

/// Takes pictures with captions and puts pairs into a bank, a batch at a time.
pub(super) struct Gatherer<'a> {
    bank: &'a mut Bank,
    image_encoder: &'a mut dyn ImageEncoder,
    text_encoder: &'a mut dyn TextEncoder,
    options: GatherOptions,
    known: Known,
    remembered: HashMap<String, Vec<f32>>,
    waiting: Vec<Waiting>,
    pub(super) skipped: Skipped,
    pub(super) added: u64,
    pub(super) already_there: u64,
}

/// A pair that is not encoded yet.
struct Waiting {
    crop: Arc<RgbImage>,
    origin: PairOrigin,
}

/// Which pairs a bank has.
struct Known(Box<dyn FnMut(&PairOrigin) -> bool>);

impl Known {
    fn of(bank: &Bank) -> Self {
        let mut keys: HashSet<_> = bank.pairs().map(|(_, origin)| origin.key()).collect();
        Self(Box::new(move |origin| !keys.insert(origin.key())))
    }
}

impl<'a> Gatherer<'a> {
    pub(super) fn new(
        bank: &'a mut Bank,
        image_encoder: &'a mut dyn ImageEncoder,
        text_encoder: &'a mut dyn TextEncoder,
        options: GatherOptions,
    ) -> Self {
        Self {
            known: Known::of(bank),
            bank,
            image_encoder,
            text_encoder,
            options,
            remembered: HashMap::new(),
            waiting: Vec::new(),
            skipped: Skipped::default(),
            added: 0,
            already_there: 0,
        }
    }

    /// A picture on the disk; one that cannot be read is counted.
    pub(super) fn offer_file(&mut self, path: &Path, shown: Vec<Shown>) -> anyhow::Result<()> {
        match decode_file(path) {
            Ok(image) => self.offer(&Arc::new(image), &PictureOrigin::file(path), shown),
            Err(error) => {
                self.skipped.add(Kind::PictureUnreadable, || error.to_string());
                Ok(())
            }
        }
    }

    /// A picture and what its parts show.
    pub(super) fn offer(
        &mut self,
        image: &Arc<RgbImage>,
        from: &PictureOrigin,
        shown: Vec<Shown>,
    ) -> anyhow::Result<()> {
        for Shown { caption, box_in_source_px } in shown {
            let PictureOrigin { source, topic, stamp } = from.clone();
            let caption = caption.trim().to_owned();
            if caption.is_empty() {
                self.skipped.add(Kind::CaptionRefused, || source.to_string());
                continue;
            }
            let crop = match &box_in_source_px {
                None => Some(Arc::clone(image)),
                Some(area) => crop_with_margin(image, area, self.options.margin).map(Arc::new),
            };
            let Some(crop) = crop else {
                let corners = box_in_source_px.map(|area| area.corners()).unwrap_or_default();
                self.skipped.add(Kind::BoxOutside, || format!("{source}: {corners:?}"));
                continue;
            };
            let origin = PairOrigin { caption, source, topic, stamp, box_in_source_px };
            if (self.known.0)(&origin) {
                self.already_there += 1;
                continue;
            }
            self.waiting.push(Waiting { crop, origin });
            if self.waiting.len() == PAIRS_PER_PASS {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Encodes what waits.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let captions = self.encode_captions(&waiting)?;
        let (mut texts, mut kept) = (Vec::new(), Vec::new());
        for (one, text) in waiting.into_iter().zip(captions) {
            if let Some(text) = text {
                texts.push(text);
                kept.push(one);
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        let crops: Vec<_> = kept.iter().map(|one| Arc::clone(&one.crop)).collect();
        let images = self.image_encoder.encode(&crops).context("cannot encode pictures")?;
        let pairs: anyhow::Result<Vec<NewPair>> = kept
            .into_iter()
            .zip(images.into_iter().zip(texts))
            .map(|(Waiting { crop, origin }, (image, text))| {
                let thumbnail = self.options.thumbnails.then(|| thumbnail_of(&crop));
                let thumbnail = thumbnail.transpose().context("cannot make a thumbnail")?;
                Ok(NewPair { image, text, origin, thumbnail })
            })
            .collect();
        self.added += self.bank.add(pairs?)?.len() as u64;
        Ok(())
    }

    /// The vector of each caption; `None` for one that cannot be encoded, which is counted.
    fn encode_captions(&mut self, waiting: &[Waiting]) -> anyhow::Result<Vec<Option<Vec<f32>>>> {
        let mut new: Vec<String> = Vec::new();
        for Waiting { origin, .. } in waiting {
            if !self.remembered.contains_key(&origin.caption) && !new.contains(&origin.caption) {
                new.push(origin.caption.clone());
            }
        }
        if self.remembered.len() + new.len() > MAX_REMEMBERED {
            new = waiting.iter().map(|one| one.origin.caption.clone()).collect();
            new.sort_unstable();
            new.dedup();
            self.remembered.clear();
        }
        let mut refused: HashMap<String, (Kind, String)> = HashMap::new();
        while !new.is_empty() {
            match self.text_encoder.encode(&new) {
                Ok(vectors) => {
                    self.remembered.extend(new.drain(..).zip(vectors));
                }
                // One that cannot be used costs the others nothing.
                Err(EncodeError::TooLong { index, tokens, limit }) if index < new.len() => {
                    let caption = new.swap_remove(index);
                    let reason = format!("{tokens} tokens, at most {limit}");
                    refused.insert(caption, (Kind::CaptionTooLong, reason));
                }
                Err(EncodeError::Empty { index }) if index < new.len() => {
                    let caption = new.swap_remove(index);
                    refused.insert(caption, (Kind::CaptionRefused, "nothing to encode".to_owned()));
                }
                Err(error) => return Err(anyhow!(error).context("cannot encode captions")),
            }
        }
        let vectors = waiting.iter().map(|Waiting { origin, .. }| {
            let found = self.remembered.get(&origin.caption).cloned();
            if found.is_none()
                && let Some((kind, reason)) = refused.get(&origin.caption)
            {
                let name = || format!("{}: {:?}: {reason}", origin.source, short(&origin.caption));
                self.skipped.add(*kind, name);
            }
            found
        });
        Ok(vectors.collect())
    }
}

/// The beginning of a caption that may be a book.
fn short(caption: &str) -> String {
    const MOST: usize = 60;
    match caption.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}...", &caption[..at]),
        None => caption.to_owned(),
    }
}
