//! Pictures of what was found: boxes and labels over the image.
//!
//! Boxes keep inside the image and labels stay legible on any background: a line of colour between
//! two dark ones, text in black or white on a plate of the same colour. Widths and text follow the
//! size of the image. The same input gives the same pixels on every machine: the font is part of
//! the program.
//!
//! The font is Hack, which has Latin, Greek and Cyrillic. A character it lacks (Chinese, Arabic,
//! emoji) is drawn as an empty square: the label shows that something is missing there, and the colour
//! still tells the prompts apart.

mod canvas;
mod from_above;
mod masks;
mod palette;
mod picks;
mod text;

use image::RgbImage;

use canvas::Rect;
pub use from_above::draw_from_above;
pub use masks::draw_masks;
pub use palette::color_of;
use text::Line;

use crate::types::{Detection, FrameDetections, FramePlaces, PixelBox, PromptSet};
use crate::vision::mask;

const DARK: [u8; 3] = [16, 16, 16];
const LIGHT: [u8; 3] = [255, 255, 255];

/// One box to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverlayItem<'a> {
    /// The name of the prompt.
    pub label: &'a str,
    /// In `[0, 1]`, written with two decimals behind the label.
    pub score: f32,
    /// The best of its finer labels with its score, written before all else.
    pub finer: Option<(&'a str, f32)>,
    /// Where it is, in pixels of the image that is drawn on. Parts outside the image are cut off;
    /// a box that is not finite or lies outside is left out.
    pub box_in_source_px: PixelBox,
    /// Which colour: the index of the prompt in its set, so that a prompt keeps its colour from
    /// frame to frame.
    pub color_index: usize,
}

/// A true box to draw beside what was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TruthItem<'a> {
    /// Written at the box, as where it was missed; `None` for a box alone.
    pub label: Option<&'a str>,
    /// Where it is, as in [`OverlayItem`].
    pub box_in_source_px: PixelBox,
}

/// What is drawn for each detection that `prompts` made.
#[must_use]
pub fn items<'a>(found: &[Detection], prompts: &'a PromptSet) -> Vec<OverlayItem<'a>> {
    found
        .iter()
        .map(|detection| OverlayItem {
            label: &prompts.prompts[detection.prompt].name,
            score: detection.score,
            finer: detection.finer_names(prompts).next(),
            box_in_source_px: detection.box_in_source_px,
            color_index: detection.prompt,
        })
        .collect()
}

/// A copy of `image` with all `items` as in [`draw`] and true boxes in dashed white lines over them.
/// Labels of `items` are placed first.
#[must_use]
pub fn draw_with_truth(
    image: &RgbImage,
    truths: &[TruthItem<'_>],
    items: &[OverlayItem<'_>],
) -> RgbImage {
    let mut drawn = image.clone();
    let (width, height) = image.dimensions();
    let bounds = Rect { x0: 0, y0: 0, x1: i64::from(width), y1: i64::from(height) };
    let style = Style::for_image(width, height);

    let truths: Vec<_> = truths
        .iter()
        .filter_map(|truth| Some((truth, pixel_rect(&truth.box_in_source_px, bounds)?)))
        .collect();
    let mut visible: Vec<_> = items
        .iter()
        .filter_map(|item| Some((item, pixel_rect(&item.box_in_source_px, bounds)?)))
        .collect();
    // Stable, and a score that is NaN neither stops the sort nor hides the box.
    visible.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score));

    for (item, rect) in visible.iter().rev() {
        frame(&mut drawn, *rect, color_of(item.color_index), &style);
    }
    // On top: dashes leave most of a line in colour to be seen, which would cover them.
    for (_, rect) in &truths {
        canvas::dashes(&mut drawn, *rect, (style.line, style.halo), [LIGHT, DARK]);
    }
    let mut plates = Plates { bounds, style, placed: Vec::new() };
    for (item, rect) in &visible {
        plates.add_item(*rect, item);
    }
    for (truth, rect) in &truths {
        if let Some(label) = truth.label {
            plates.add(*rect, label, "", LIGHT);
        }
    }
    plates.draw(&mut drawn);
    drawn
}

/// A copy of `image` with all `items` drawn on it, of the same size. Items with higher scores lie
/// on top, and their labels are placed first; a label that would cover one already placed moves to
/// another side of its box where there is room.
#[must_use]
pub fn draw(image: &RgbImage, items: &[OverlayItem<'_>]) -> RgbImage {
    draw_with_truth(image, &[], items)
}

/// A copy of `image` with what was found in it: masks where there are some, else boxes; and where
/// it may be taken hold of, where that is known.
///
/// # Panics
/// Where `found` is of an image of another size.
#[must_use]
pub fn draw_found(
    image: &RgbImage,
    found: &FrameDetections,
    places: Option<&FramePlaces>,
) -> RgbImage {
    let items = items(&found.detections, &found.prompts);
    let mut drawn = match found.has_masks {
        true => draw_masks(image, &mask::classes(found), &items),
        false => draw(image, &items),
    };
    if let Some(places) = places {
        picks::draw_picks(&mut drawn, found, places);
    }
    drawn
}

/// Labels on plates that keep off each other.
struct Plates {
    bounds: Rect,
    style: Style,
    placed: Vec<(Rect, Line, [u8; 3])>,
}

impl Plates {
    /// `prompt 0.45`, or with a finer label `label 0.91, prompt 0.45`.
    fn add_item(&mut self, rect: Rect, item: &OverlayItem<'_>) {
        let (ending, color) = (format!(" {:.2}", item.score), color_of(item.color_index));
        match item.finer {
            None => self.add(rect, item.label, &ending, color),
            Some((name, score)) => {
                let label = format!("{name} {score:.2}, {}", item.label);
                self.add(rect, &label, &ending, color);
            }
        }
    }

    fn add(&mut self, rect: Rect, label: &str, ending: &str, color: [u8; 3]) {
        let Self { bounds, style, placed } = self;
        let room = bounds.x1 - 2 * style.padding;
        let Some(line) = Line::fitted(label, ending, style.text_px, room) else { return };
        let size = (line.width() + 2 * style.padding, line.height() + style.padding);
        let taken: Vec<Rect> = placed.iter().map(|(plate, ..)| *plate).collect();
        if let Some(plate) = place(rect, size, *bounds, &taken) {
            placed.push((plate, line, color));
        }
    }

    /// The first that was added lies on top.
    fn draw(&self, image: &mut RgbImage) {
        for (plate, line, color) in self.placed.iter().rev() {
            canvas::fill(image, *plate, *color);
            let at = (plate.x0 + self.style.padding, plate.y0 + self.style.padding / 2);
            line.draw(image, at, palette::ink_on(*color, DARK, LIGHT));
        }
    }
}

/// A copy of `image` with one line of text on a dark strip below it, so that nothing of the
/// picture is covered: a model's name, or that its weights are random. A text that is too long is
/// cut and ends in an ellipsis; an image too narrow for any text gets none.
#[must_use]
pub fn with_caption(image: &RgbImage, text: &str) -> RgbImage {
    let (width, height) = image.dimensions();
    let style = Style::for_image(width, height);
    let room = i64::from(width) - 2 * style.padding;
    let Some(line) = Line::fitted(text, "", style.text_px, room) else { return image.clone() };
    let strip = line.height() + 2 * style.padding;
    let Some(total) = u32::try_from(strip).ok().and_then(|strip| height.checked_add(strip)) else {
        return image.clone();
    };
    let mut taller = RgbImage::from_pixel(width, total, image::Rgb(DARK));
    image::imageops::replace(&mut taller, image, 0, 0);
    line.draw(&mut taller, (style.padding, i64::from(height) + style.padding), LIGHT);
    taller
}

/// Sizes in pixels.
struct Style {
    line: i64,
    halo: i64,
    text_px: f32,
    padding: i64,
}

impl Style {
    /// Sizes follow the side of a square of the same area, so that tall and wide images get
    /// neither giant nor unreadable text, and look alike once they are scaled to one screen.
    fn for_image(width: u32, height: u32) -> Self {
        let side = (f64::from(width) * f64::from(height)).sqrt();
        let text_px = (side / 40.0).clamp(11.0, 160.0) as f32;
        Self {
            line: (side / 280.0).round().clamp(1.0, 24.0) as i64,
            halo: (side / 700.0).round().clamp(1.0, 6.0) as i64,
            text_px,
            padding: (text_px / 4.0).round() as i64,
        }
    }
}

/// The pixels of a box inside the image, at least one in each direction.
fn pixel_rect(area: &PixelBox, bounds: Rect) -> Option<Rect> {
    let corners = area.corners();
    if !corners.iter().all(|corner| corner.is_finite()) {
        return None;
    }
    // Float to integer casts saturate.
    let [x0, y0, x1, y1] = corners.map(|corner| corner.round() as i64);
    let outside = x0 >= bounds.x1 || y0 >= bounds.y1 || x1 < 0 || y1 < 0;
    if outside || x1 < x0 || y1 < y0 {
        return None;
    }
    let (x0, y0) = (x0.max(0), y0.max(0));
    let (x1, y1) = (x1.min(bounds.x1).max(x0 + 1), y1.min(bounds.y1).max(y0 + 1));
    Some(Rect { x0, y0, x1, y1 })
}

/// The outline of a box, inside it: dark, colour, dark.
fn frame(image: &mut RgbImage, rect: Rect, color: [u8; 3], style: &Style) {
    canvas::outline(image, rect.grown(style.halo), style.line + 2 * style.halo, DARK);
    canvas::outline(image, rect, style.line, color);
}

/// Where a plate of `size` goes: above the box, below it, or inside it at the top or bottom, the
/// first of these that lies in the image and on no other plate; else the first that lies in the
/// image. `None` where the image is smaller than the plate.
fn place(rect: Rect, (width, height): (i64, i64), bounds: Rect, placed: &[Rect]) -> Option<Rect> {
    let x0 = rect.x0.min(bounds.x1 - width);
    let candidates: Vec<_> = [rect.y0 - height, rect.y1, rect.y0, rect.y1 - height]
        .into_iter()
        .map(|y0| Rect { x0, y0, x1: x0 + width, y1: y0 + height })
        .filter(|plate| bounds.contains(plate))
        .collect();
    let free = |plate: &&Rect| !placed.iter().any(|other| other.overlaps(plate));
    candidates.iter().find(free).or(candidates.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Rect = Rect { x0: 0, y0: 0, x1: 100, y1: 80 };

    fn rect(x0: i64, y0: i64, x1: i64, y1: i64) -> Rect {
        Rect { x0, y0, x1, y1 }
    }

    #[test]
    fn a_label_goes_above_its_box_or_where_there_is_room() {
        let size = (40, 10);
        let place = |of, placed: &[Rect]| place(of, size, BOUNDS, placed);
        assert_eq!(place(rect(5, 20, 30, 40), &[]), Some(rect(5, 10, 45, 20)));
        // At the top of the image: below the box.
        assert_eq!(place(rect(5, 4, 30, 40), &[]), Some(rect(5, 40, 45, 50)));
        // A box from top to bottom: inside it.
        assert_eq!(place(rect(5, 0, 30, 80), &[]), Some(rect(5, 0, 45, 10)));
        // At the right edge: moved to the left.
        assert_eq!(place(rect(90, 20, 100, 40), &[]), Some(rect(60, 10, 100, 20)));
        // Above is taken: below. All is taken: above again.
        let taken = rect(0, 5, 50, 15);
        assert_eq!(place(rect(5, 20, 30, 40), &[taken]), Some(rect(5, 40, 45, 50)));
        assert_eq!(place(rect(5, 20, 30, 40), &[BOUNDS]), Some(rect(5, 10, 45, 20)));
        // No room anywhere.
        assert_eq!(super::place(rect(5, 20, 30, 40), (101, 10), BOUNDS, &[]), None);
        assert_eq!(super::place(rect(5, 20, 30, 40), (40, 81), BOUNDS, &[]), None);
    }

    #[test]
    fn boxes_are_rounded_cut_to_the_image_and_never_vanish() {
        let pixels = |x0, y0, x1, y1| pixel_rect(&PixelBox { x0, y0, x1, y1 }, BOUNDS);
        assert_eq!(pixels(1.4, 2.6, 10.5, 20.0), Some(rect(1, 3, 11, 20)));
        assert_eq!(pixels(-5.0, -1e30, 1e30, 7.0), Some(rect(0, 0, 100, 7)));
        assert_eq!(pixels(4.1, 4.1, 4.2, 4.2), Some(rect(4, 4, 5, 5)));
        assert_eq!(pixels(100.0, 0.0, 110.0, 10.0), None);
        assert_eq!(pixels(0.0, -9.0, 10.0, -1.0), None);
        assert_eq!(pixels(9.0, 0.0, 5.0, 10.0), None);
        assert_eq!(pixels(f32::NAN, 0.0, 5.0, 10.0), None);
        assert_eq!(pixels(0.0, 0.0, f32::INFINITY, 10.0), None);
    }
}
