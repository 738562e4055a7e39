//! Raw encodings against pictures made here, with padding, both byte orders and odd sizes.

use image::{Rgb, RgbImage};
use owlet::vision::decode::{RawImage, decode_raw};

use super::{color, depth, test_picture};

/// Bytes that stand between rows; no decoder may read them.
const PADDING: [u8; 7] = [0xee; 7];

/// Packs rows with `padding` bytes behind each; returns step and data.
fn rows(packed: impl IntoIterator<Item = impl AsRef<[u8]>>, padding: usize) -> (u32, Vec<u8>) {
    let mut data = Vec::new();
    let mut step = 0;
    for row in packed {
        step = row.as_ref().len() + padding;
        data.extend_from_slice(row.as_ref());
        data.extend_from_slice(&PADDING[..padding]);
    }
    (step as u32, data)
}

/// Rows of an image, each pixel turned into bytes.
fn pixel_rows<const N: usize>(
    image: &RgbImage,
    bytes: impl Fn([u8; 3]) -> [u8; N],
) -> Vec<Vec<u8>> {
    image.rows().map(|row| row.flat_map(|pixel| bytes(pixel.0)).collect()).collect()
}

fn raw<'a>(size: (u32, u32), encoding: &'a str, (step, data): &'a (u32, Vec<u8>)) -> RawImage<'a> {
    RawImage { width: size.0, height: size.1, encoding, is_bigendian: false, step: *step, data }
}

#[test]
fn eight_bit_colour_is_exact_with_and_without_padding() {
    let source = test_picture(13, 9);
    let gray = |image: &RgbImage| {
        let mut gray = image.clone();
        gray.pixels_mut().for_each(|pixel| *pixel = Rgb([pixel.0[0]; 3]));
        gray
    };
    for padding in [0, 1, 7] {
        let check = |encoding: &str, packed: Vec<Vec<u8>>, expected: &RgbImage| {
            let bytes = rows(packed, padding);
            let decoded = color(decode_raw(&raw((13, 9), encoding, &bytes)));
            assert_eq!(&decoded, expected, "{encoding}, {padding} bytes of padding");
        };
        check("rgb8", pixel_rows(&source, |p| p), &source);
        check("bgr8", pixel_rows(&source, |[r, g, b]| [b, g, r]), &source);
        check("8UC3", pixel_rows(&source, |[r, g, b]| [b, g, r]), &source);
        check("rgba8", pixel_rows(&source, |[r, g, b]| [r, g, b, g]), &source);
        check("bgra8", pixel_rows(&source, |[r, g, b]| [b, g, r, r]), &source);
        check("8UC4", pixel_rows(&source, |[r, g, b]| [b, g, r, r]), &source);
        check("mono8", pixel_rows(&source, |[r, ..]| [r]), &gray(&source));
        check("8UC1", pixel_rows(&source, |[r, ..]| [r]), &gray(&source));
    }
}

/// All 65536 values of a sample, in both byte orders: `(value + 128) / 257` is the nearest 8-bit
/// value, since 257 is odd and no value lies half way.
#[test]
fn sixteen_bits_become_eight_by_rounding() {
    let expected = RgbImage::from_fn(256, 256, |x, y| Rgb([((y * 256 + x + 128) / 257) as u8; 3]));
    for is_bigendian in [false, true] {
        let bytes =
            |value: u16| if is_bigendian { value.to_be_bytes() } else { value.to_le_bytes() };
        let packed: Vec<Vec<u8>> =
            (0..256).map(|y| (0..256).flat_map(|x| bytes(y * 256 + x)).collect()).collect();
        let bytes = rows(packed, 2);
        let image = RawImage { is_bigendian, ..raw((256, 256), "mono16", &bytes) };
        assert_eq!(color(decode_raw(&image)), expected, "big endian: {is_bigendian}");
    }
}

#[test]
fn sixteen_bit_colour_keeps_its_channels_in_both_byte_orders() {
    let source = test_picture(5, 7);
    for is_bigendian in [false, true] {
        // 257 * v is the 16-bit value that is exactly v in 8 bits.
        let wide = |channels: &[u8]| -> Vec<u8> {
            let wide = channels.iter().map(|&v| u16::from(v) * 257);
            wide.flat_map(|v| if is_bigendian { v.to_be_bytes() } else { v.to_le_bytes() })
                .collect()
        };
        for (encoding, order) in [
            ("rgb16", &[0, 1, 2][..]),
            ("bgr16", &[2, 1, 0]),
            ("rgba16", &[0, 1, 2, 0]),
            ("bgra16", &[2, 1, 0, 0]),
        ] {
            let packed: Vec<Vec<u8>> = source
                .rows()
                .map(|row| {
                    let channels: Vec<u8> =
                        row.flat_map(|pixel| order.iter().map(|&c| pixel.0[c])).collect();
                    wide(&channels)
                })
                .collect();
            // An odd padding puts every second row at an odd address.
            let bytes = rows(packed, 3);
            let image = RawImage { is_bigendian, ..raw((5, 7), encoding, &bytes) };
            assert_eq!(color(decode_raw(&image)), source, "{encoding} {is_bigendian}");
        }
    }
}

/// Channel of the pixel at `(x, y)` behind the filter that ROS calls `pattern`.
fn filter(pattern: &str, x: u32, y: u32) -> usize {
    let letter = pattern.as_bytes()[(2 * (y % 2) + x % 2) as usize];
    b"rgb".iter().position(|&c| c == letter).unwrap()
}

/// What a mosaic of 16-bit samples must become at an inner pixel: its own sample for its own
/// channel, the rounded mean of the neighbours of that channel for the others.
fn bilinear(mosaic: &[Vec<u16>], pattern: &str, x: u32, y: u32) -> [u16; 3] {
    let at = |x: u32, y: u32| u32::from(mosaic[y as usize][x as usize]);
    let mut pixel = [0; 3];
    for (channel, value) in pixel.iter_mut().enumerate() {
        let around: Vec<u32> = if filter(pattern, x, y) == channel {
            vec![at(x, y)]
        } else {
            let cross = [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)];
            let diagonal = [(x - 1, y - 1), (x + 1, y - 1), (x - 1, y + 1), (x + 1, y + 1)];
            let of_channel = |&(x, y): &(u32, u32)| filter(pattern, x, y) == channel;
            let mut found: Vec<_> = cross.into_iter().filter(of_channel).collect();
            if found.is_empty() {
                found = diagonal.into_iter().filter(of_channel).collect();
            }
            found.into_iter().map(|(x, y)| at(x, y)).collect()
        };
        let count = around.len() as u32;
        *value = ((around.iter().sum::<u32>() + count / 2) / count) as u16;
    }
    pixel
}

#[test]
fn every_bayer_pattern_puts_red_green_and_blue_in_place() {
    for pattern in ["rggb", "bggr", "gbrg", "grbg"] {
        for (width, height) in [(16, 10), (15, 11), (3, 3)] {
            // One colour all over comes back exactly, borders included.
            let flat = [200_u8, 100, 50];
            let sample = |x, y| flat[filter(pattern, x, y)];
            let packed = (0..height).map(|y| (0..width).map(|x| sample(x, y)).collect::<Vec<u8>>());
            let bytes = rows(packed, 5);
            let encoding = format!("bayer_{pattern}8");
            let decoded = color(decode_raw(&raw((width, height), &encoding, &bytes)));
            assert_eq!(decoded, RgbImage::from_pixel(width, height, Rgb(flat)), "{encoding}");

            // Noise: every inner pixel as the definition says.
            let noise = |x: u32, y: u32| ((x * 40_503 + y * 30_011) ^ (x * y * 9_176)) as u16;
            let mosaic: Vec<Vec<u16>> =
                (0..height).map(|y| (0..width).map(|x| noise(x, y)).collect()).collect();
            let narrow = |rgb: [u16; 3]| rgb.map(|v| ((u32::from(v) + 128) / 257) as u8);
            for is_bigendian in [false, true] {
                let encoding = format!("bayer_{pattern}16");
                let bytes = |v: &u16| if is_bigendian { v.to_be_bytes() } else { v.to_le_bytes() };
                let packed =
                    mosaic.iter().map(|row| row.iter().flat_map(bytes).collect::<Vec<_>>());
                let bytes = rows(packed, 1);
                let image = RawImage { is_bigendian, ..raw((width, height), &encoding, &bytes) };
                let decoded = color(decode_raw(&image));
                for (y, x) in (1..height - 1).flat_map(|y| (1..width - 1).map(move |x| (y, x))) {
                    let expected = narrow(bilinear(&mosaic, pattern, x, y));
                    assert_eq!(decoded.get_pixel(x, y).0, expected, "{encoding} at {x}, {y}");
                }
            }
            let low = |v: &u16| *v as u8;
            let packed = mosaic.iter().map(|row| row.iter().map(low).collect::<Vec<u8>>());
            let bytes = rows(packed, 0);
            let decoded = color(decode_raw(&raw((width, height), &encoding, &bytes)));
            let mosaic: Vec<Vec<u16>> =
                mosaic.iter().map(|row| row.iter().map(|v| v & 255).collect()).collect();
            for (y, x) in (1..height - 1).flat_map(|y| (1..width - 1).map(move |x| (y, x))) {
                let expected = bilinear(&mosaic, pattern, x, y).map(|v| v as u8);
                assert_eq!(decoded.get_pixel(x, y).0, expected, "{encoding} at {x}, {y}");
            }
        }
    }
}

/// RGB of limited-range BT.601, from the definition: luma 16..=235, chroma 16..=240 about 128.
fn bt601([y, u, v]: [u8; 3]) -> [u8; 3] {
    let (y, u, v) = (f64::from(y) - 16.0, f64::from(u) - 128.0, f64::from(v) - 128.0);
    let y = y * 255.0 / 219.0;
    let scale = 255.0 / 224.0;
    let r = y + 2.0 * (1.0 - 0.299) * scale * v;
    let b = y + 2.0 * (1.0 - 0.114) * scale * u;
    let g = (y - 0.299 * r - 0.114 * b) / 0.587;
    [r, g, b].map(|c| c.round().clamp(0.0, 255.0) as u8)
}

/// Pixel pairs share chroma: `(luma of both, u, v)` by the column of the pair.
fn yuv_pair(pair: u32, row: u32) -> (u8, u8, u8, u8) {
    let luma = (20 + 17 * row + 31 * pair) % 200 + 20;
    let (u, v) = ((60 + 11 * pair + 5 * row) % 120 + 60, (90 + 23 * pair + 3 * row) % 120 + 60);
    (luma as u8, luma as u8 + 9, u as u8, v as u8)
}

fn assert_bt601(decoded: &RgbImage, yuv: impl Fn(u32, u32) -> [u8; 3], what: &str) {
    for (x, y, pixel) in decoded.enumerate_pixels() {
        let expected = bt601(yuv(x, y));
        let worst = pixel.0.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max();
        // OpenCV computes in 20-bit fixed point with coefficients of three decimals.
        assert!(worst <= Some(1), "{what} at {x}, {y}: {:?}, expected {expected:?}", pixel.0);
    }
}

#[test]
fn yuv_422_has_its_bytes_in_the_order_of_its_name() {
    let (width, height) = (10, 5);
    let yuv = |x: u32, y: u32| {
        let (y0, y1, u, v) = yuv_pair(x / 2, y);
        [if x % 2 == 0 { y0 } else { y1 }, u, v]
    };
    type Order = fn((u8, u8, u8, u8)) -> [u8; 4];
    let uyvy: Order = |(y0, y1, u, v)| [u, y0, v, y1];
    let yuyv: Order = |(y0, y1, u, v)| [y0, u, y1, v];
    for (encoding, order) in
        [("yuv422", uyvy), ("uyvy", uyvy), ("yuv422_yuy2", yuyv), ("yuyv", yuyv)]
    {
        for padding in [0, 3] {
            let row = |y| (0..width / 2).flat_map(move |pair| order(yuv_pair(pair, y)));
            let bytes = rows((0..height).map(|y| row(y).collect::<Vec<u8>>()), padding);
            let decoded = color(decode_raw(&raw((width, height), encoding, &bytes)));
            assert_bt601(&decoded, yuv, encoding);
        }
    }
    // By known colours: white, black and the primaries of the standard.
    for (yuv, rgb) in [
        ([235, 128, 128], [255, 255, 255]),
        ([16, 128, 128], [0, 0, 0]),
        ([81, 90, 240], [255, 0, 0]),
        ([41, 240, 110], [0, 0, 255]),
    ] {
        let worst = bt601(yuv).iter().zip(rgb).map(|(a, b): (&u8, u8)| a.abs_diff(b)).max();
        assert!(worst <= Some(2), "{:?} {rgb:?}", bt601(yuv));
    }
}

#[test]
fn yuv_420_shares_chroma_between_four_pixels() {
    let (width, height) = (12, 6);
    let luma = |x: u32, y: u32| (40 + x * 13 + y * 7) as u8;
    let chroma = |x: u32, y: u32| (yuv_pair(x / 2, y / 2).2, yuv_pair(x / 2, y / 2).3);
    for (encoding, u_first) in [("nv12", true), ("nv21", false)] {
        for padding in [0, 4] {
            let luma_rows = (0..height).map(|y| (0..width).map(|x| luma(x, y)).collect::<Vec<_>>());
            let pair = |x, y| {
                let (u, v) = chroma(x, y);
                if u_first { [u, v] } else { [v, u] }
            };
            let chroma_rows = (0..height)
                .step_by(2)
                .map(|y| (0..width).step_by(2).flat_map(|x| pair(x, y)).collect::<Vec<_>>());
            let bytes = rows(luma_rows.chain(chroma_rows), padding);
            let decoded = color(decode_raw(&raw((width, height), encoding, &bytes)));
            let yuv = |x, y| [luma(x, y), chroma(x, y).0, chroma(x, y).1];
            assert_bt601(&decoded, yuv, encoding);
        }
    }
}

#[test]
fn depth_is_in_metres_and_unknown_is_nan() {
    for is_bigendian in [false, true] {
        let bytes = |v: u16| if is_bigendian { v.to_be_bytes() } else { v.to_le_bytes() };
        let packed = [[0, 1, 1234], [65535, 500, 0]].map(|row| row.map(bytes).concat());
        let bytes = rows(packed, 1);
        let decoded = depth(decode_raw(&RawImage { is_bigendian, ..raw((3, 2), "16UC1", &bytes) }));
        assert_eq!((decoded.width(), decoded.height()), (3, 2));
        let metres = decoded.metres();
        assert!(metres[0].is_nan() && metres[5].is_nan());
        assert_eq!(metres[1..5], [0.001, 1.234, 65.535, 0.5]);

        let bytes = |v: f32| if is_bigendian { v.to_be_bytes() } else { v.to_le_bytes() };
        let packed = [[f32::NAN, 0.25, f32::INFINITY], [0.0, -1.0, 12.5]];
        let bytes = rows(packed.map(|row| row.map(bytes).concat()), 3);
        let decoded = depth(decode_raw(&RawImage { is_bigendian, ..raw((3, 2), "32FC1", &bytes) }));
        let metres = decoded.metres();
        assert!([0, 2, 3, 4].iter().all(|&i| metres[i].is_nan()), "{metres:?}");
        assert_eq!((metres[1], metres[5]), (0.25, 12.5));
    }
}

#[test]
fn the_smallest_images_decode() {
    assert_eq!(color(decode_raw(&raw((1, 1), "bgr8", &(3, vec![1, 2, 3])))).into_raw(), [3, 2, 1]);
    assert_eq!(color(decode_raw(&raw((2, 1), "uyvy", &(4, vec![128; 4])))).len(), 6);
    assert_eq!(color(decode_raw(&raw((2, 2), "nv12", &(2, vec![128; 6])))).len(), 12);
}
