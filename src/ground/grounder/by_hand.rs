//! Encoders whose vectors one can tell by hand, for tests.

use std::sync::Arc;

use image::{Rgb, RgbImage};

use super::{Grounder, GrounderOptions, Identified};
use crate::ground::asif::AsifSettings;
use crate::ground::bank::{Bank, EncoderId, PairOrigin};
use crate::tasks::{DetectError, EncodeError, ImageEncoder, ModelInfo, TextEncoder};
use crate::types::PixelBox;

pub(crate) fn info() -> ModelInfo {
    ModelInfo {
        name: "by hand".to_owned(),
        architecture: "none".to_owned(),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        input_size: (1, 1),
        parameters: 0,
        useful_batch: 1,
    }
}

/// The mean colour.
pub(crate) struct Colours(pub(crate) ModelInfo);

impl ImageEncoder for Colours {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn dimension(&self) -> usize {
        3
    }

    fn encode(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<Vec<f32>>, DetectError> {
        let mean = |image: &Arc<RgbImage>| {
            let sum = |channel: usize| image.pixels().map(|pixel| f32::from(pixel[channel])).sum();
            (0..3).map(sum).map(|sum: f32| sum + 1e-3).collect()
        };
        Ok(images.iter().map(mean).collect())
    }
}

/// How often a text has each of three letters; texts of more than 20 letters are too long.
pub(crate) struct Letters(pub(crate) ModelInfo);

impl TextEncoder for Letters {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn dimension(&self) -> usize {
        3
    }

    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, EncodeError> {
        let encode = |(index, text): (usize, &String)| match text.len() {
            0 => Err(EncodeError::Empty { index }),
            tokens @ 21.. => Err(EncodeError::TooLong { index, tokens, limit: 20 }),
            _ => Ok(['r', 'g', 'b']
                .iter()
                .map(|letter| text.matches(*letter).count() as f32 + 1e-3)
                .collect()),
        };
        texts.iter().enumerate().map(encode).collect()
    }
}

pub(crate) fn id(name: &str) -> EncoderId {
    EncoderId { name: name.to_owned(), sha256: name.to_owned(), dimension: 3 }
}

pub(crate) fn grounder(options: GrounderOptions) -> Grounder {
    let bank = Bank::new(id("colours"), id("letters"), AsifSettings::default()).unwrap();
    with_bank(bank, options)
}

pub(crate) fn with_bank(bank: Bank, options: GrounderOptions) -> Grounder {
    let image = Identified { encoder: Box::new(Colours(info())) as Box<_>, id: id("colours") };
    let text = Identified { encoder: Box::new(Letters(info())) as Box<_>, id: id("letters") };
    Grounder::new(bank, image, text, options).unwrap()
}

/// Three stripes of 100 pixels: red, green, blue.
pub(crate) fn stripes() -> RgbImage {
    RgbImage::from_fn(300, 100, |x, _| {
        let mut pixel = [10; 3];
        pixel[x as usize / 100] = 240;
        Rgb(pixel)
    })
}

pub(crate) fn stripe(number: usize) -> PixelBox {
    let left = 100.0 * number as f32;
    PixelBox::from_corners([left + 20.0, 10.0, left + 80.0, 90.0])
}

/// Shows a grounder all three stripes.
pub(crate) fn taught(options: GrounderOptions) -> Grounder {
    let mut grounder = grounder(options);
    for (number, caption) in ["rrr", "ggg", "bbb"].into_iter().enumerate() {
        let origin = PairOrigin {
            caption: caption.to_owned(),
            source: "shown".into(),
            topic: None,
            stamp: None,
            box_in_source_px: Some(stripe(number)),
        };
        grounder.teach(&stripes(), origin).unwrap();
    }
    grounder
}
