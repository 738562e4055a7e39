//! Pictures that are none.

use image::RgbImage;
use owlet::vision::encode::{encode_jpeg, encode_png};

fn image() -> RgbImage {
    RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, 90]))
}

/// Half of a PNG.
pub(crate) fn cut_png() -> Vec<u8> {
    let mut png = encode_png(&image()).unwrap();
    png.truncate(png.len() / 2);
    png
}

/// A JPEG of a few hundred bytes that says it has 65500x65500 pixels.
pub(crate) fn giant_jpeg() -> Vec<u8> {
    let mut jpeg = encode_jpeg(&image(), 90).unwrap();
    // Start of frame, baseline: length, bits, height, width.
    let frame = jpeg.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
    let side = 65_500_u16.to_be_bytes();
    jpeg[frame + 5..frame + 7].copy_from_slice(&side);
    jpeg[frame + 7..frame + 9].copy_from_slice(&side);
    jpeg
}

/// A picture of one pixel.
pub(crate) fn one_pixel() -> Vec<u8> {
    encode_png(&RgbImage::from_pixel(1, 1, image::Rgb([200, 30, 10]))).unwrap()
}
