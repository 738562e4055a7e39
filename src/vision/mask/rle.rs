//! Run-length codes in the form of COCO.

use serde::{Deserialize, Serialize};

use super::Mask;

/// A mask as COCO's annotations and results have it: what `pycocotools.mask` calls a compressed
/// run-length code, byte for byte.
///
/// Runs go down the columns, from left to right, and are outside and inside in turn, outside first
/// (maybe with no pixel). From the fourth run on a run is told by its difference to the one two
/// before it. Each number is written with five bits to a character, the lowest first, where a
/// sixth bit says that more follow and the fifth of the last one is the sign; 48 is added to make
/// it printable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CocoRle {
    /// `[height, width]` in pixels.
    pub size: [u32; 2],
    /// The runs.
    pub counts: String,
}

impl CocoRle {
    pub(super) fn of(mask: &Mask) -> Self {
        let (width, height) = (mask.width() as usize, mask.height() as usize);
        let mut runs: Vec<i64> = Vec::new();
        let (mut inside, mut run) = (false, 0);
        for x in 0..width {
            for y in 0..height {
                if mask.pixels()[y * width + x] != inside {
                    runs.push(run);
                    inside = !inside;
                    run = 0;
                }
                run += 1;
            }
        }
        runs.push(run);
        let mut counts = String::new();
        for (index, run) in runs.iter().enumerate() {
            let before = if index > 2 { runs[index - 2] } else { 0 };
            write_number(run - before, &mut counts);
        }
        Self { size: [mask.height(), mask.width()], counts }
    }
}

fn write_number(mut number: i64, text: &mut String) {
    loop {
        let digit = (number & 0x1f) as u8;
        number >>= 5;
        let negative = digit & 0x10 != 0;
        // What is left is only the sign again.
        let last = if negative { number == -1 } else { number == 0 };
        text.push(char::from(48 + digit + if last { 0 } else { 0x20 }));
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `pycocotools.mask.encode` 2.0.11 gives; `tests/it/segment` holds random masks against
    /// it.
    #[test]
    fn small_masks_have_the_codes_of_pycocotools() {
        let code = |width: u32, height: u32, pixels: &[u8]| {
            Mask::new(width, height, pixels.iter().map(|pixel| *pixel == 1).collect()).rle().counts
        };
        assert_eq!(code(2, 2, &[0, 0, 0, 0]), "4");
        assert_eq!(code(2, 2, &[1, 1, 1, 1]), "04");
        assert_eq!(code(3, 2, &[0, 1, 0, 1, 1, 0]), "132");
        let wide = |width: u32| code(width, 1, &vec![0; width as usize]);
        assert_eq!((wide(15), wide(16), wide(1000)), ("?".into(), "`0".into(), "Xo0".into()));
    }
}
