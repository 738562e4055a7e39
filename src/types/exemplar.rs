//! Pictures that show what is looked for.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use image::RgbImage;

use super::PixelBox;

/// A thing that is shown: a picture, and where in it the thing is.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The picture, which several exemplars may share.
    pub picture: Arc<ExemplarPicture>,
    /// Where the thing is; `None` for the whole picture.
    pub box_in_source_px: Option<PixelBox>,
}

impl Exemplar {
    /// Where the thing is, in pixels of the picture.
    #[must_use]
    pub fn area(&self) -> PixelBox {
        let (width, height) = self.picture.image.dimensions();
        let whole = PixelBox::from_corners([0.0, 0.0, width as f32, height as f32]);
        self.box_in_source_px.unwrap_or(whole)
    }

    /// What is wrong with its box; `None` where it has a part of the picture and leaves it nowhere
    /// by more than half a pixel.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        const SLACK_PX: f32 = 0.5;
        let (width, height) = self.picture.image.dimensions();
        let (w, h) = (width as f32, height as f32);
        let PixelBox { x0, y0, x1, y1 } = self.area();
        // What is not a number is within no range.
        let is_inside = (-SLACK_PX..=w).contains(&x0)
            && (-SLACK_PX..=h).contains(&y0)
            && (0.0..=w + SLACK_PX).contains(&x1)
            && (0.0..=h + SLACK_PX).contains(&y1);
        if !is_inside {
            return Some(format!(
                "the box [{x0}, {y0}, {x1}, {y1}] is not inside its picture of {width}x{height}"
            ));
        }
        (x1 - x0 < 1.0 || y1 - y0 < 1.0).then(|| {
            format!("the box [{x0}, {y0}, {x1}, {y1}] has no pixel: expected x0, y0, x1, y1")
        })
    }
}

/// A picture with an exemplar in it.
#[derive(Clone)]
pub struct ExemplarPicture {
    /// The pixels.
    pub image: Arc<RgbImage>,
    /// The same as JPEG or PNG, as it came: what outputs carry.
    pub encoded: Vec<u8>,
    /// The file that it was read from; `None` where it came as a message.
    pub file: Option<PathBuf>,
}

/// Two pictures are one where their bytes are, wherever they came from.
impl PartialEq for ExemplarPicture {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.encoded == other.encoded
    }
}

impl Eq for ExemplarPicture {}

impl fmt::Debug for ExemplarPicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.image.dimensions();
        f.debug_struct("ExemplarPicture")
            .field("size_px", &format_args!("{width}x{height}"))
            .field("encoded_bytes", &self.encoded.len())
            .field("file", &self.file)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemplar(corners: Option<[f32; 4]>) -> Exemplar {
        let image = Arc::new(RgbImage::new(40, 20));
        let picture = ExemplarPicture { image, encoded: vec![1], file: None };
        let box_in_source_px = corners.map(PixelBox::from_corners);
        Exemplar { picture: Arc::new(picture), box_in_source_px }
    }

    #[test]
    fn a_box_is_inside_of_its_picture_and_has_pixels() {
        assert_eq!(exemplar(None).problem(), None);
        assert_eq!(exemplar(None).area().corners(), [0.0, 0.0, 40.0, 20.0]);
        assert_eq!(exemplar(Some([-0.4, 0.0, 40.4, 20.0])).problem(), None);
        assert_eq!(exemplar(Some([39.0, 19.0, 40.0, 20.0])).problem(), None);
        for outside in [
            [-1.0, 0.0, 10.0, 10.0],
            [0.0, 0.0, 41.0, 10.0],
            [0.0, 0.0, 10.0, 21.0],
            [50.0, 30.0, 60.0, 40.0],
            [f32::NAN, 0.0, 10.0, 10.0],
            [0.0, 0.0, f32::INFINITY, 10.0],
        ] {
            let problem = exemplar(Some(outside)).problem().unwrap();
            assert!(problem.ends_with("is not inside its picture of 40x20"), "{problem}");
        }
        for empty in [[5.0, 5.0, 5.0, 9.0], [9.0, 5.0, 5.0, 9.0], [5.0, 5.0, 9.0, 5.5]] {
            let problem = exemplar(Some(empty)).problem().unwrap();
            assert!(problem.contains("has no pixel"), "{problem}");
        }
    }

    #[test]
    fn pictures_are_told_apart_by_their_bytes() {
        let one = exemplar(None);
        let mut other = one.clone();
        assert_eq!(one, other);
        Arc::make_mut(&mut other.picture).file = Some("mug.png".into());
        assert_eq!(one, other);
        Arc::make_mut(&mut other.picture).encoded = vec![2];
        assert_ne!(one, other);
        assert!(format!("{one:?}").contains("40x20"));
    }
}
