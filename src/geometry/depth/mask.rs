//! A mask that somebody else holds.

/// A mask over a whole picture, in the picture's resolution or another one, without a copy.
#[derive(Clone, Copy, Debug)]
pub struct MaskView<'a> {
    width: u32,
    height: u32,
    pixels: Pixels<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Pixels<'a> {
    Bools(&'a [bool]),
    Instance { numbers: &'a [u16], number: u16 },
}

impl<'a> MaskView<'a> {
    /// A mask of its own, row by row. `None` where the length is not `width * height`.
    #[must_use]
    pub fn from_bools(width: u32, height: u32, mask: &'a [bool]) -> Option<Self> {
        fits(width, height, mask.len()).then_some(Self {
            width,
            height,
            pixels: Pixels::Bools(mask),
        })
    }

    /// The pixels that bear one number in an instance picture, row by row; 0 is no instance.
    /// `None` where the length is not `width * height` or the number is 0.
    #[must_use]
    pub fn from_instances(
        width: u32,
        height: u32,
        numbers: &'a [u16],
        number: u16,
    ) -> Option<Self> {
        (number != 0 && fits(width, height, numbers.len())).then_some(Self {
            width,
            height,
            pixels: Pixels::Instance { numbers, number },
        })
    }

    /// Whether the mask holds the place that lies so far across and down the picture, each in
    /// `[0, 1)`.
    pub(super) fn holds(&self, across: f64, down: f64) -> bool {
        let place = |share: f64, side: u32| {
            let at = (share * f64::from(side)).floor();
            (at >= 0.0 && at < f64::from(side)).then_some(at as usize)
        };
        let (Some(x), Some(y)) = (place(across, self.width), place(down, self.height)) else {
            return false;
        };
        let index = y * self.width as usize + x;
        match self.pixels {
            Pixels::Bools(mask) => mask[index],
            Pixels::Instance { numbers, number } => numbers[index] == number,
        }
    }
}

fn fits(width: u32, height: u32, length: usize) -> bool {
    u64::from(width) * u64::from(height) == length as u64
}
