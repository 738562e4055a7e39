//! Pictures of heightmaps.

use image::{Rgb, RgbImage, imageops};

use super::canvas::{self, Rect};
use super::text::Line;
use super::{DARK, Style, color_of, draw_masks, palette};
use crate::types::{Heightmap, PromptSet};

/// Prompts whose scores are shown: those with the best scores.
const MOST_PROMPTS: usize = 6;

/// Pictures in a row.
const COLUMNS: usize = 4;

/// A heightmap as pictures side by side: heights from dark to light over the range that was seen;
/// the colours from above with what was found tinted and edged; and for each prompt of which
/// something lies there its scores in its colour, brighter for higher ones, at most six of them and
/// the best first. What was not seen is black in all.
#[must_use]
pub fn draw_from_above(map: &Heightmap, prompts: &PromptSet) -> RgbImage {
    let heights = heights(map);
    let mut pictures = vec![heights.clone(), draw_masks(&map.colours, &map.labels, &[])];
    for (prompt, best) in best_prompts(map) {
        let name = prompts.prompts.get(prompt).map_or("", |prompt| &*prompt.name);
        pictures.push(scores(map, &heights, prompt, &format!("{name} {best:.2}")));
    }
    let columns = pictures.len().min(COLUMNS);
    let rows = pictures.len().div_ceil(COLUMNS);
    let (width, height) = (map.width, map.height);
    let mut drawn =
        RgbImage::new(width.saturating_mul(columns as u32), height.saturating_mul(rows as u32));
    for (index, picture) in pictures.iter().enumerate() {
        let x = (index % COLUMNS) as i64 * i64::from(width);
        let y = (index / COLUMNS) as i64 * i64::from(height);
        imageops::replace(&mut drawn, picture, x, y);
    }
    drawn
}

fn heights(map: &Heightmap) -> RgbImage {
    let seen = || map.heights_m.iter().copied().filter(|height| height.is_finite());
    let (low, high) = (seen().fold(f32::INFINITY, f32::min), seen().fold(0.0, f32::max));
    let scale = 215.0 / (high - low).max(1e-3);
    let mut drawn = RgbImage::new(map.width, map.height);
    for (pixel, metres) in drawn.pixels_mut().zip(&map.heights_m) {
        if metres.is_finite() {
            // Lighter than what was not seen.
            *pixel = Rgb([(40.0 + scale * (metres - low)) as u8; 3]);
        }
    }
    drawn
}

/// The prompts of which something lies there, with their best scores, best first.
fn best_prompts(map: &Heightmap) -> Vec<(usize, f32)> {
    let prompts = map.prompts as usize;
    let Some(scores) = map.prompt_scores.as_ref().filter(|_| prompts > 0) else {
        return Vec::new();
    };
    let mut best = vec![0.0_f32; prompts];
    for cell in scores.chunks_exact(prompts) {
        best.iter_mut().zip(cell).for_each(|(best, score)| *best = best.max(*score));
    }
    let mut found: Vec<_> = best.into_iter().enumerate().filter(|(_, best)| *best > 0.0).collect();
    found.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    found.truncate(MOST_PROMPTS);
    found
}

/// The scores of one prompt over the heights, which are dimmed.
fn scores(map: &Heightmap, heights: &RgbImage, prompt: usize, label: &str) -> RgbImage {
    let mut drawn = heights.clone();
    let color = color_of(prompt);
    let cells = map.prompt_scores.iter().flat_map(|all| all.chunks_exact(map.prompts as usize));
    for (pixel, cell) in drawn.pixels_mut().zip(cells) {
        let score = cell.get(prompt).copied().unwrap_or(0.0).clamp(0.0, 1.0);
        for (below, above) in pixel.0.iter_mut().zip(color) {
            let dim = 0.4 * f32::from(*below) * (1.0 - score);
            *below = (dim + f32::from(above) * score).round() as u8;
        }
    }
    let style = Style::for_image(map.width, map.height);
    let room = i64::from(map.width) - 2 * style.padding;
    if let Some(line) = Line::fitted(label, "", style.text_px, room) {
        let (right, bottom) = (line.width() + 2 * style.padding, line.height() + style.padding);
        canvas::fill(&mut drawn, Rect { x0: 0, y0: 0, x1: right, y1: bottom }, color);
        let ink = palette::ink_on(color, DARK, super::LIGHT);
        line.draw(&mut drawn, (style.padding, style.padding / 2), ink);
    }
    drawn
}

#[cfg(test)]
mod tests {
    use image::GrayImage;

    use super::*;
    use crate::types::{FrameHeader, Prompt, Stamp};

    /// Four prompts on 40 x 30 cells; the second and the fourth have something on the left half.
    fn map() -> Heightmap {
        let cells = (0..40 * 30).map(|cell| cell % 40);
        let score = |x: usize| if x < 20 { [0.0, 0.5, 0.0, 0.8] } else { [0.0; 4] };
        Heightmap {
            header: FrameHeader { stamp: Stamp(1), frame_id: "base".into() },
            width: 40,
            height: 30,
            heights_m: cells.clone().map(|x| if x < 39 { 0.1 } else { f32::NAN }).collect(),
            scores: vec![0.0; 40 * 30],
            prompt_scores: Some(cells.flat_map(score).collect()),
            prompts: 4,
            labels: GrayImage::new(40, 30),
            colours: RgbImage::new(40, 30),
        }
    }

    #[test]
    fn prompts_that_are_there_have_their_own_pictures_best_first() {
        let prompts = ["a", "b", "c", "d"].map(Prompt::from_text).to_vec();
        let set = PromptSet { version: 1, prompts, default_threshold: 0.1 };
        let drawn = draw_from_above(&map(), &set);
        assert_eq!(drawn.dimensions(), (4 * 40, 30));
        let at = |column: u32, x: u32| drawn.get_pixel(column * 40 + x, 28).0;
        assert_eq!(at(0, 39), [0; 3], "not seen");
        // 0.8 of the colour, and 0.4 * 0.2 of the grey below it.
        let expected = |prompt: usize, score: f32| {
            color_of(prompt).map(|color| {
                (f32::from(color) * score + 0.4 * (1.0 - score) * f32::from(at(0, 5)[0])).round()
            })
        };
        for (column, prompt, score) in [(2, 3, 0.8), (3, 1, 0.5)] {
            for (found, expected) in at(column, 5).into_iter().zip(expected(prompt, score)) {
                // A rounding.
                assert!((f32::from(found) - expected).abs() <= 1.0, "{prompt}");
            }
            assert_eq!(at(column, 30), at(0, 30).map(|grey| (0.4 * f32::from(grey)).round() as u8));
        }
        // None where nothing was worked out for single prompts.
        let whole = Heightmap { prompt_scores: None, ..map() };
        assert_eq!(draw_from_above(&whole, &set).dimensions(), (2 * 40, 30));
    }
}
