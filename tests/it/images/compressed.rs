//! JPEG, PNG and compressed depth, against what Pillow decodes and what numpy encodes
//! (`tests/fixtures/images/make.py`).

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use owlet::types::Picture;
use owlet::vision::decode::{
    DecodeError, DecodeFileError, decode_compressed, decode_compressed_depth, decode_file,
};
use owlet::vision::encode::{encode_jpeg, encode_png};
use proptest::prelude::*;

use super::{color, depth, fixture, test_picture};

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn refusal(format: &str, data: &[u8]) -> DecodeError {
    match decode_compressed(format, data) {
        Err(error) => error,
        Ok(_) => panic!("{format:?} was decoded"),
    }
}

/// Largest and mean difference of two images of one size.
fn difference(a: &RgbImage, b: &RgbImage) -> (u8, f64) {
    assert_eq!(a.dimensions(), b.dimensions());
    let differences = || a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = differences().map(u64::from).sum();
    (differences().max().unwrap(), sum as f64 / a.len() as f64)
}

/// Pillow decodes with another release of libjpeg-turbo, which fixes each rounding.
#[test]
fn files_decode_exactly_as_pillow_decodes_them() {
    for name in [
        "color.jpg",
        "exif_turned.jpg",
        "grey.jpg",
        "rgb.jpg",
        "cmyk.jpg",
        "color_420_progressive.jpg",
        "odd_420.jpg",
        "odd_420_restarts.jpg",
        "odd_422.jpg",
        "odd_422_progressive.jpg",
        "palette.png",
        "alpha.png",
    ] {
        let stem = name.split_once('.').unwrap().0;
        let expected = color(decode_compressed("png", &fixture(&format!("{stem}.expected.png"))));
        let decoded = color(decode_compressed("", &fixture(name)));
        assert_eq!(difference(&decoded, &expected), (0, 0.0), "{name}");
    }
}

#[test]
fn the_container_is_told_by_content_and_colours_by_the_file() {
    let source = test_picture(17, 9);
    let bytes = encode_png(&source).unwrap();
    for format in [
        "png",
        "jpeg",
        "",
        "bgr8; png compressed bgr8",
        "rgb8; png compressed bgr8",
        "rgb8; jpeg compressed rgb8",
        "yuv422_yuy2; png compressed bgr8",
        "something else",
    ] {
        assert_eq!(color(decode_compressed(format, &bytes)), source, "{format}");
    }
    let jpeg = fixture("color.jpg");
    let expected = color(decode_compressed("jpeg", &jpeg));
    for format in ["jpg", "png", "rgb8; jpeg compressed bgr8", "mono8; jpeg compressed "] {
        assert_eq!(color(decode_compressed(format, &jpeg)), expected, "{format}");
    }
}

#[test]
fn deep_and_grey_pngs_become_8_bit_rgb() {
    let grey = ImageBuffer::from_fn(256, 256, |x, y| Luma([(y * 256 + x) as u16]));
    let rounded = |value: u32| ((value + 128) / 257) as u8;
    let expected = RgbImage::from_fn(256, 256, |x, y| Rgb([rounded(y * 256 + x); 3]));
    for format in ["png", "mono16; png compressed mono16"] {
        assert_eq!(color(decode_compressed(format, &png(grey.clone()))), expected, "{format}");
    }
    let deep = ImageBuffer::from_fn(5, 3, |x, y| Rgb([x as u16 * 9_000, y as u16 * 7_001, 65_535]));
    let expected =
        RgbImage::from_fn(5, 3, |x, y| Rgb([rounded(x * 9_000), rounded(y * 7_001), 255]));
    assert_eq!(color(decode_compressed("bgr16; png compressed bgr16", &png(deep))), expected);
}

#[test]
fn a_mosaic_in_a_png_is_interpolated_unless_the_sender_made_it_grey() {
    // Green behind an RGGB filter.
    let mosaic =
        ImageBuffer::from_fn(6, 4, |x, y| Luma([if (x + y) % 2 == 1 { 180_u8 } else { 0 }]));
    let green = RgbImage::from_pixel(6, 4, Rgb([0, 180, 0]));
    for format in
        ["bayer_rggb8; png compressed ", "bayer_rggb8; jpeg compressed ", "bayer_rggb8; png"]
    {
        assert_eq!(color(decode_compressed(format, &png(mosaic.clone()))), green, "{format}");
    }
    let wide =
        ImageBuffer::from_fn(6, 4, |x, y| Luma([u16::from(mosaic.get_pixel(x, y).0[0]) * 257]));
    assert_eq!(color(decode_compressed("bayer_rggb16; png compressed ", &png(wide))), green);

    let grey = color(decode_compressed("bayer_rggb8; jpeg compressed mono8", &png(mosaic.clone())));
    assert_eq!(grey.get_pixel(1, 0).0, [180; 3]);
    assert_eq!(grey.get_pixel(0, 0).0, [0; 3]);
    // An unknown pattern is not guessed at.
    let error = refusal("bayer_rgbw8; png compressed ", &png(mosaic));
    assert!(
        matches!(error, DecodeError::UnknownEncoding { encoding } if encoding == "bayer_rgbw8")
    );
}

#[test]
fn depth_in_a_png_is_depth_where_the_format_says_so() {
    let bytes = fixture("depth_16uc1.png");
    let image = depth(decode_compressed("16UC1; png compressed ", &bytes));
    assert_depth(image.metres(), 0.000_5);
    // The same bytes with no word about depth are a grey picture.
    assert_eq!(color(decode_compressed("png", &bytes)).dimensions(), (40, 24));

    let error = refusal("16UC1; png compressed ", &encode_png(&test_picture(4, 4)).unwrap());
    assert!(error.to_string().ends_with("found PNG of 8-bit RGB"), "{error}");
    let error = refusal("16UC1; jpeg compressed ", &fixture("grey.jpg"));
    assert!(error.to_string().ends_with("found JPEG of 8-bit grey"), "{error}");
    assert!(matches!(refusal("32FC1; png compressed ", &bytes), DecodeError::NotDepth { .. }));
}

/// The depths of `make.py`: 0.4 m to 12 m in equal steps, the first five unknown.
fn assert_depth(metres: &[f32], tolerance: f32) {
    assert_eq!(metres.len(), 40 * 24);
    assert!(metres[..5].iter().all(|z| z.is_nan()));
    for (i, &z) in metres.iter().enumerate().skip(5) {
        let expected = 0.4 + 11.6 * i as f32 / 959.0;
        // NaN must not pass for near.
        assert!((z - expected).abs() <= tolerance, "{i}: {z}, expected {expected}");
    }
}

#[test]
fn compressed_depth_in_millimetres() {
    let bytes = fixture("depth_16uc1.compressed_depth");
    for format in ["16UC1; compressedDepth png", "16UC1; compressedDepth", "16UC1"] {
        // Half a millimetre of rounding.
        assert_depth(decode_compressed_depth(format, &bytes).unwrap().metres(), 0.000_501);
        assert_depth(depth(decode_compressed(format, &bytes)).metres(), 0.000_501);
    }
}

#[test]
fn compressed_depth_as_inverse_depth() {
    let bytes = fixture("depth_32fc1.compressed_depth");
    let image = decode_compressed_depth("32FC1; compressedDepth png", &bytes).unwrap();
    let metres = image.metres();
    assert!(metres[..5].iter().all(|z| z.is_nan()));
    for (i, &z) in metres.iter().enumerate().skip(5) {
        let expected = 0.4 + 11.6 * i as f32 / 959.0;
        if expected >= 10.0 {
            assert!(z.is_nan(), "{i}: beyond the sender's range, {z}");
        } else {
            // One step of the inverse depth a / z with a = 10100: z^2 / a, and rounding.
            let step = expected * expected / 10_100.0 * 1.01 + 1e-6;
            assert!((z - expected).abs() <= step, "{i}: {z}, expected {expected}");
        }
    }
}

#[test]
fn compressed_depth_as_run_lengths() {
    // Header, 3x2 pixels, then 0 0 5 / 4 0 70 coded by hand (see the unit test of the codec).
    let mut bytes = vec![0; 12];
    bytes.extend([3, 0, 0, 0, 2, 0, 0, 0]);
    bytes.extend([0x22A1_111C_u32, 0x8200_0000].map(u32::to_le_bytes).concat());
    let image = decode_compressed_depth("16UC1; compressedDepth rvl", &bytes).unwrap();
    assert_eq!((image.width(), image.height()), (3, 2));
    let known: Vec<_> = image.metres().iter().filter(|z| !z.is_nan()).copied().collect();
    assert_eq!(known, [0.005, 0.004, 0.07]);

    // The same values as inverse depth: 12 / (v - 2).
    bytes[4..8].copy_from_slice(&12_f32.to_le_bytes());
    bytes[8..12].copy_from_slice(&2_f32.to_le_bytes());
    let image = decode_compressed_depth("32FC1; compressedDepth rvl", &bytes).unwrap();
    let known: Vec<_> = image.metres().iter().filter(|z| !z.is_nan()).copied().collect();
    assert_eq!(known, [4.0, 6.0, 12.0 / 68.0]);
}

#[test]
fn compressed_depth_is_refused_where_it_cannot_be_right() {
    let good = fixture("depth_32fc1.compressed_depth");
    let refuse = |format: &str, data: &[u8]| decode_compressed_depth(format, data).unwrap_err();
    for format in ["jpeg", "mono16; compressedDepth png", "16UC1; compressedDepth zstd", ""] {
        assert!(
            matches!(refuse(format, &good), DecodeError::UnknownDepthFormat { .. }),
            "{format}"
        );
    }
    let format = "32FC1; compressedDepth png";
    assert!(matches!(
        refuse(format, &good[..11]),
        DecodeError::DepthHeaderMissing { expected: 12, found: 11 }
    ));
    for (a, b) in [(0.0, 1.0), (-3.0, 1.0), (f32::NAN, 1.0), (1.0, f32::INFINITY)] {
        let header = [[0; 4], a.to_le_bytes(), b.to_le_bytes()].concat();
        let error = refuse(format, &[&header, &good[12..]].concat());
        assert!(matches!(error, DecodeError::DepthQuantisation { .. }), "{a} {b}: {error}");
    }
    assert!(matches!(refuse(format, &good[..200]), DecodeError::Corrupt { container: "PNG", .. }));
    assert!(matches!(refuse(format, &good[..12]), DecodeError::UnknownContainer { len: 0, .. }));
    let rgb = [&good[..12], &encode_png(&test_picture(4, 4)).unwrap()].concat();
    assert!(matches!(refuse(format, &rgb), DecodeError::NotDepth { .. }));
}

#[test]
fn what_is_neither_jpeg_nor_png_is_refused_with_its_first_bytes() {
    let error = refusal("h264", &[0, 0, 0, 1, 0x67, 0x42, 0, 0x1f, 9]);
    assert_eq!(
        error.to_string(),
        "neither JPEG nor PNG: 9 bytes that begin with 00 00 00 01 67 42 00 1f, declared as \
         format \"h264\""
    );
    assert!(refusal("jpeg", &[]).to_string().contains("0 bytes that begin with nothing"));
}

#[test]
fn what_is_cut_off_is_refused() {
    for name in ["color.jpg", "color_420_progressive.jpg", "grey.jpg", "cmyk.jpg", "palette.png"] {
        let whole = fixture(name);
        // The last chunk of a PNG holds no pixels: it may be missing, an end of pixels may not.
        let end = if name.ends_with("png") { 40 } else { 1 };
        for kept in [3, 10, whole.len() / 4, whole.len() / 2, whole.len() - 40, whole.len() - end] {
            let error = refusal("", &whole[..kept]);
            let told = matches!(
                error,
                DecodeError::JpegCutOff { .. }
                    | DecodeError::Corrupt { .. }
                    | DecodeError::UnknownContainer { .. }
            );
            assert!(told, "{name} cut to {kept}: {error}");
        }
        // What follows the end is not part of the image.
        let padded = [&whole[..], &[0; 64]].concat();
        assert_eq!(color(decode_compressed("", &padded)), color(decode_compressed("", &whole)));
    }
}

/// What libjpeg-turbo puts in place of damaged pixels, with no more than a warning, is no picture.
#[test]
fn damaged_pixels_are_refused_and_padding_is_not() {
    let whole = fixture("odd_420.jpg");
    let end = whole.len() - 2;
    let within_scan = end - 200;
    let mut taller = whole.clone();
    let frame = whole.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    taller[frame + 6] += 16;
    for (damaged, told) in [
        ([&whole[..within_scan], &whole[end..]].concat(), "premature end of data"),
        // No code is sixteen ones.
        ([&whole[..within_scan], &[0xff, 0].repeat(8), &whole[end - 20..]].concat(), "bad Huffman"),
        (taller, "premature end of data"),
    ] {
        let error = refusal("jpeg", &damaged);
        assert!(matches!(error, DecodeError::Corrupt { container: "JPEG", .. }), "{error}");
        assert!(error.to_string().contains(told), "{error}, expected {told}");
    }

    let padded = [&whole[..end], &[0; 7], &whole[end..]].concat();
    assert_eq!(color(decode_compressed("", &padded)), color(decode_compressed("", &whole)));
}

/// Each scan is a pass over all pixels: a few bytes could keep the decoder busy.
#[test]
fn endless_scans_are_refused() {
    let whole = fixture("color_420_progressive.jpg");
    let last = whole.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
    let (before_end, end) = whole.split_at(whole.len() - 2);
    let endless = [before_end, &before_end[last..].repeat(200), end].concat();
    let error = refusal("jpeg", &endless);
    assert!(error.to_string().contains("more than 100 scans"), "{error}");
}

/// Cameras that send motion JPEG leave out the Huffman tables that everybody knows.
#[test]
fn motion_jpeg_without_tables_decodes() {
    let whole = fixture("color.jpg");
    let mut stripped = whole[..2].to_vec();
    let mut at = 2;
    while whole[at + 1] != 0xda {
        let length = 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
        if whole[at + 1] != 0xc4 {
            stripped.extend_from_slice(&whole[at..at + length]);
        }
        at += length;
    }
    stripped.extend_from_slice(&whole[at..]);
    assert!(stripped.len() + 400 < whole.len(), "the tables take 420 bytes");
    assert_eq!(color(decode_compressed("jpeg", &stripped)), color(decode_compressed("", &whole)));
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    // The size in the header of a PNG, its checksum made good.
    let mut bomb = encode_png(&test_picture(4, 4)).unwrap();
    bomb[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    let checksum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
    let error = refusal("png", &bomb);
    assert!(matches!(error, DecodeError::TooLarge { width: 16384, height: 16384 }), "{error}");

    // The same in the frame header of a JPEG.
    let mut bomb = fixture("color.jpg");
    let frame = bomb.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bomb[frame + 5..frame + 9].copy_from_slice(&[0x75, 0x30, 0x75, 0x30]);
    let error = refusal("jpeg", &bomb);
    assert!(matches!(error, DecodeError::TooLarge { width: 30000, height: 30000 }), "{error}");
}

/// The checksum of PNG chunks, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn files_are_told_by_content_and_errors_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let source = test_picture(8, 6);
    let misnamed = folder.path().join("a photo.jpg");
    std::fs::write(&misnamed, encode_png(&source).unwrap()).unwrap();
    assert_eq!(decode_file(&misnamed).unwrap(), source);

    let text = folder.path().join("notes.png");
    std::fs::write(&text, "no picture").unwrap();
    let error = decode_file(&text).unwrap_err();
    assert!(matches!(error, DecodeFileError::Decode { .. }));
    assert!(error.to_string().contains("notes.png: neither JPEG nor PNG"), "{error}");

    let missing = decode_file(&folder.path().join("missing.png")).unwrap_err();
    assert!(matches!(missing, DecodeFileError::Read { .. }));
    assert!(missing.to_string().contains("missing.png"), "{missing}");
    assert!(matches!(decode_file(folder.path()), Err(DecodeFileError::Read { .. })));
}

#[test]
fn a_real_photo_decodes_and_survives_encoding() {
    let Some(data) = std::env::var_os("OWLET_TEST_DATA") else {
        println!("skipped: OWLET_TEST_DATA is not set");
        return;
    };
    let photo = std::path::Path::new(&data).join("coco_39769/000000039769.png");
    let image = decode_file(&photo).unwrap();
    assert_eq!(image.dimensions(), (640, 480));
    let jpeg = encode_jpeg(&image, 95).unwrap();
    let (_, mean) = difference(&color(decode_compressed("jpeg", &jpeg)), &image);
    // 3.938 levels with Pillow at this quality and 4:2:0 as well, for the chroma of a colourful
    // photo; a swapped channel would be 40.
    assert!((mean - 3.938).abs() < 0.01, "{mean}");
}

proptest! {
    /// Whole files with a few bytes changed, under any format: a picture or an error.
    #[test]
    fn no_damage_panics(
        name in proptest::sample::select(vec![
            "color.jpg", "color_420_progressive.jpg", "grey.jpg", "cmyk.jpg", "palette.png",
            "alpha.png", "depth_16uc1.png", "depth_16uc1.compressed_depth",
            "depth_32fc1.compressed_depth",
        ]),
        format in prop_oneof![
            proptest::sample::select(vec![
                "jpeg", "16UC1; png compressed ", "bayer_rggb8; png compressed ", "16UC1",
                "32FC1; compressedDepth png", "16UC1; compressedDepth rvl",
            ]).prop_map(str::to_owned),
            ".{0,20}",
        ],
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut data = fixture(name);
        for (at, byte) in damage {
            let at = at.index(data.len());
            data[at] = byte;
        }
        if let Some(cut) = cut {
            data.truncate(cut.index(data.len()));
        }
        match decode_compressed(&format, &data) {
            Ok(Picture::Color(image)) => prop_assert!(image.width() > 0),
            Ok(Picture::Depth(image)) => prop_assert!(image.width() > 0),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
