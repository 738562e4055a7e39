//! Rows of bytes as samples, and samples through OpenCV.

use opencv::Result;
use opencv::boxed_ref::BoxedRefMut;
use opencv::core::{CV_8U, Mat, Rect, StsOutOfRange, Vec3b};
use opencv::imgproc::cvt_color_def;
use opencv::prelude::MatTraitConst;

/// 16-bit samples are scaled to 8 bits by this factor and rounded, which is
/// `(sample + 128) / 257` in integers: cv_bridge's rule.
const SCALE_8_FROM_16: f64 = 255.0 / 65535.0;

/// Rows of bytes, each followed by padding up to `step` bytes.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// `step * rows` bytes.
    pub(super) data: &'a [u8],
    /// Bytes from one row to the next, at least `row_bytes`.
    pub(super) step: usize,
    /// Bytes of one row that carry samples, at least 1.
    pub(super) row_bytes: usize,
}

impl<'a> Rows<'a> {
    fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.data.chunks_exact(self.step).map(move |row| &row[..self.row_bytes])
    }

    fn count(self) -> usize {
        self.data.len() / self.step
    }

    /// All samples without padding, in the machine's byte order. The bytes of a message stand at
    /// any address, so samples of more than one byte are copied to where they are aligned.
    pub(super) fn samples<T: bytemuck::Pod>(
        self,
        is_bigendian: bool,
        swap_bytes: fn(T) -> T,
    ) -> Vec<T> {
        let per_row = self.row_bytes / size_of::<T>();
        let mut samples = vec![T::zeroed(); per_row * self.count()];
        for (target, row) in samples.chunks_exact_mut(per_row).zip(self.iter()) {
            bytemuck::cast_slice_mut(target).copy_from_slice(row);
        }
        if size_of::<T>() > 1 && is_bigendian != cfg!(target_endian = "big") {
            for sample in &mut samples {
                *sample = swap_bytes(*sample);
            }
        }
        samples
    }

    /// All bytes without padding.
    pub(super) fn packed(self) -> Vec<u8> {
        if self.step == self.row_bytes {
            return self.data.to_vec();
        }
        let mut packed = Vec::with_capacity(self.row_bytes * self.count());
        for row in self.iter() {
            packed.extend_from_slice(row);
        }
        packed
    }

    /// 8-bit samples to `width` x `height` RGB by a code of `cvtColor`. The bytes are read where
    /// they are.
    pub(super) fn rgb(
        self,
        channels: u8,
        to_rgb: i32,
        (width, height): (u32, u32),
    ) -> Result<Vec<u8>> {
        let all =
            Mat::new_rows_cols_with_bytes::<u8>(side(self.count())?, side(self.step)?, self.data)?;
        // One channel with the padding cut off, then the channels of a pixel side by side.
        let samples = all.roi(Rect::new(0, 0, side(self.row_bytes)?, side(self.count())?))?;
        let pixels = samples.reshape(i32::from(channels), 0)?;
        into_rgb(width, height, |rgb| cvt_color_def(&pixels, rgb, to_rgb))
    }
}

/// 16-bit samples to 8 bits.
pub(super) fn narrowed(samples: &[u16]) -> Result<Vec<u8>> {
    let wide = Mat::new_rows_cols_with_data(1, side(samples.len())?, samples)?;
    let mut narrow = vec![0_u8; samples.len()];
    let mut target = Mat::new_rows_cols_with_bytes_mut::<u8>(1, side(samples.len())?, &mut narrow)?;
    wide.convert_to(&mut target, CV_8U, SCALE_8_FROM_16, 0.0)?;
    drop(target);
    Ok(narrow)
}

/// A 16-bit colour mosaic to 8-bit RGB: interpolated in 16 bits, then scaled, as cv_bridge does.
pub(super) fn rgb_from_mosaic(
    samples: &[u16],
    to_rgb: i32,
    (width, height): (u32, u32),
) -> Result<Vec<u8>> {
    let rows = side(height as usize)?;
    let mosaic = Mat::new_rows_cols_with_data(rows, side(width as usize)?, samples)?;
    let mut wide = Mat::default();
    cvt_color_def(&mosaic, &mut wide, to_rgb)?;
    into_rgb(width, height, |rgb| wide.convert_to(rgb, CV_8U, SCALE_8_FROM_16, 0.0))
}

/// Lets `convert` write RGB into a buffer of this module. It must ask OpenCV for exactly this size
/// and type, or OpenCV writes into a buffer of its own.
fn into_rgb(
    width: u32,
    height: u32,
    convert: impl FnOnce(&mut BoxedRefMut<'_, Mat>) -> Result<()>,
) -> Result<Vec<u8>> {
    let (rows, columns) = (height as usize, width as usize);
    let mut bytes = vec![0_u8; rows * columns * 3];
    let mut rgb =
        Mat::new_rows_cols_with_bytes_mut::<Vec3b>(side(rows)?, side(columns)?, &mut bytes)?;
    convert(&mut rgb)?;
    drop(rgb);
    Ok(bytes)
}

/// A length as OpenCV counts it.
fn side(length: usize) -> Result<i32> {
    i32::try_from(length).map_err(|_| {
        opencv::Error::new(StsOutOfRange, format!("{length} does not fit a side of a matrix"))
    })
}
