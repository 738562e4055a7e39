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
        let (mut inside, mut run) = (false, 0_i64);
        let mut runs: Vec<i64> = Vec::new();
        let mut add = |pixel: bool, count: usize| {
            if pixel != inside && count > 0 {
                runs.push(run);
                (inside, run) = (pixel, 0);
            }
            run += count as i64;
        };
        let lines: Vec<_> = mask.rows().collect();
        match lines.first() {
            None => add(false, width * height),
            Some((top, left, first)) => {
                let (top, left) = (*top as usize, *left as usize);
                add(false, left * height);
                for x in 0..first.len() {
                    add(false, top);
                    for (_, _, line) in &lines {
                        add(line[x], 1);
                    }
                    add(false, height - top - lines.len());
                }
                add(false, (width - left - first.len()) * height);
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

    /// The mask that it is the code of.
    ///
    /// # Errors
    /// Text that is no code, and runs that do not fill the image.
    pub fn mask(&self) -> Result<Mask, RleError> {
        let runs = read_runs(self.counts.as_bytes())?;
        Self::mask_of_runs(self.size, &runs)
    }

    /// The mask with these runs: what COCO calls an uncompressed run-length code. `size` is
    /// `[height, width]` in pixels.
    ///
    /// # Errors
    /// Runs that do not fill the image.
    pub fn mask_of_runs(size: [u32; 2], runs: &[u32]) -> Result<Mask, RleError> {
        let [height, width] = size;
        let pixels = u64::from(width) * u64::from(height);
        let filled: u64 = runs.iter().map(|run| u64::from(*run)).sum();
        if filled != pixels {
            return Err(RleError::Length { size, filled });
        }
        if pixels > MOST_PIXELS {
            return Err(RleError::TooLarge { size });
        }
        // Column and row of the first and the last pixel of each run inside.
        let mut at = 0_u32;
        let mut inside = Vec::with_capacity(runs.len() / 2);
        for (index, run) in runs.iter().enumerate() {
            if index % 2 == 1 && *run > 0 {
                let last = at + run - 1;
                inside.push([(at / height, at % height), (last / height, last % height)]);
            }
            at += run;
        }
        // A run over several columns touches the first and the last row.
        let rows_of = |[(from, top), (to, bottom)]: [(u32, u32); 2]| {
            if from == to { [top, bottom] } else { [0, height - 1] }
        };
        let (Some([(left, _), _]), Some([_, (right, _)])) = (inside.first(), inside.last()) else {
            return Ok(Mask::from_window([width, height], [0, 0], [0, 0], Vec::new()));
        };
        let top = inside.iter().map(|run| rows_of(*run)[0]).min().unwrap_or(0);
        let bottom = inside.iter().map(|run| rows_of(*run)[1]).max().unwrap_or(0);
        let (columns, rows) = (right - left + 1, bottom - top + 1);
        let mut window = vec![false; columns as usize * rows as usize];
        for [(from, start), (to, end)] in &inside {
            for x in *from..=*to {
                let start = if x == *from { *start } else { 0 };
                let end = if x == *to { *end } else { height - 1 };
                for y in start..=end {
                    window[(y - top) as usize * columns as usize + (x - left) as usize] = true;
                }
            }
        }
        Ok(Mask::from_window([width, height], [*left, top], [columns, rows], window))
    }
}

/// Pixels of the largest mask that is read: bounds what a short text can make of memory.
const MOST_PIXELS: u64 = 1 << 28;

/// Why a run-length code is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RleError {
    /// A character that is not part of any number, or a number without its end.
    #[error("counts: expected a run-length code, found {found:?} at {position}")]
    Text {
        /// Its place in the text, from 0.
        position: usize,
        /// What stands there; `None` at the end.
        found: Option<char>,
    },
    /// The runs are of another image.
    #[error("counts: expected runs of {}x{} pixels in all, found {filled}", size[1], size[0])]
    Length {
        /// `[height, width]` in pixels.
        size: [u32; 2],
        /// Their sum.
        filled: u64,
    },
    /// The image is larger than any that is read.
    #[error("size: expected at most 2^28 pixels, found {}x{}", size[1], size[0])]
    TooLarge {
        /// `[height, width]` in pixels.
        size: [u32; 2],
    },
}

fn read_runs(text: &[u8]) -> Result<Vec<u32>, RleError> {
    let mut runs: Vec<u32> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (mut number, mut shift) = (0_i64, 0);
        loop {
            let wrong = |position: usize| RleError::Text {
                position,
                found: text.get(position).map(|byte| char::from(*byte)),
            };
            let digit = match text.get(at) {
                Some(byte @ 48..=111) if shift < 40 => i64::from(byte - 48),
                _ => return Err(wrong(at)),
            };
            at += 1;
            number |= (digit & 0x1f) << shift;
            shift += 5;
            if digit & 0x20 == 0 {
                if digit & 0x10 != 0 {
                    number |= -1_i64 << shift;
                }
                let before = if runs.len() > 2 { i64::from(runs[runs.len() - 2]) } else { 0 };
                runs.push(u32::try_from(number + before).map_err(|_| wrong(at - 1))?);
                break;
            }
        }
    }
    Ok(runs)
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
