//! One line of text from the font in the program.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use image::RgbImage;

use super::canvas::blend;

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR)
        .expect("the font in the program is one")
});

const ELLIPSIS: char = '…';

/// Stands for a character that the font lacks.
const MISSING: char = '□';

/// A line that is ready to be drawn.
pub(super) struct Line {
    text: String,
    scale: PxScale,
}

impl Line {
    /// `text` and then `ending` in at most `room` pixels: characters at the end of `text` give way
    /// to an ellipsis. `None` where not even `ending` and an ellipsis fit.
    pub(super) fn fitted(text: &str, ending: &str, height_px: f32, room: i64) -> Option<Self> {
        let text: String = text.chars().map(drawable).collect();
        let line = |text: String| Self { text, scale: PxScale::from(height_px) };
        let whole = line(format!("{text}{ending}"));
        if whole.width() <= room {
            return Some(whole);
        }
        let mut kept: Vec<char> = text.chars().collect();
        while kept.pop().is_some() {
            let start: String = kept.iter().collect();
            let shorter = line(format!("{}{ELLIPSIS}{ending}", start.trim_end()));
            if shorter.width() <= room {
                return Some(shorter);
            }
        }
        None
    }

    /// Width in pixels.
    pub(super) fn width(&self) -> i64 {
        let font = FONT.as_scaled(self.scale);
        let advance: f32 = self.text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum();
        advance.ceil() as i64
    }

    /// Height in pixels, from the top of the highest to the bottom of the lowest character.
    pub(super) fn height(&self) -> i64 {
        FONT.as_scaled(self.scale).height().ceil() as i64
    }

    /// Draws with the top left corner at `(x, y)`.
    pub(super) fn draw(&self, image: &mut RgbImage, (x, y): (i64, i64), color: [u8; 3]) {
        let font = FONT.as_scaled(self.scale);
        let baseline = font.ascent();
        let mut pen = 0.0;
        for c in self.text.chars() {
            let id = font.glyph_id(c);
            let glyph = id.with_scale_and_position(self.scale, point(pen, baseline));
            pen += font.h_advance(id);
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            let (left, top) = (x + corner.x as i64, y + corner.y as i64);
            outline.draw(|dx, dy, coverage| {
                blend(image, (left + i64::from(dx), top + i64::from(dy)), color, coverage);
            });
        }
    }
}

/// The character itself where the font has it, an empty square where it does not; breaks and tabs are
/// spaces. Scripts that run from right to left are not drawn from left to right.
fn drawable(c: char) -> char {
    let right_to_left =
        matches!(c, '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}');
    if c.is_whitespace() {
        ' '
    } else if c.is_control() || right_to_left || FONT.glyph_id(c).0 == 0 {
        MISSING
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_the_docs_say() {
        for c in "aZ09 äéßñ ąčřż Ω λ Жя … □".chars() {
            assert_eq!(drawable(c), c);
        }
        for c in "猫 ネコ שלום قط 🐱 \u{7}".chars().filter(|&c| c != ' ') {
            assert_eq!(drawable(c), MISSING, "{c}");
        }
        assert_eq!(drawable('\n'), ' ');
    }

    #[test]
    fn long_text_is_cut_and_its_ending_kept() {
        let fitted = |room| Line::fitted("a very long label", " 0.71", 14.0, room);
        let whole = fitted(1000).unwrap();
        assert_eq!(whole.text, "a very long label 0.71");
        let cut = fitted(100).unwrap();
        assert!(cut.text.ends_with("… 0.71") && cut.text.starts_with("a "), "{}", cut.text);
        assert!(cut.width() <= 100);
        assert!(fitted(3).is_none() && fitted(-5).is_none());
        assert!(Line::fitted("", "", 14.0, 0).is_some_and(|line| line.width() == 0));
    }
}
