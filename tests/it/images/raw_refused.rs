//! Raw images that contradict themselves.

use owlet::types::Picture;
use owlet::vision::decode::{DecodeError, RawImage, decode_raw, known_encodings};
use proptest::prelude::*;

fn refusal(width: u32, height: u32, encoding: &str, step: u32, data: &[u8]) -> DecodeError {
    let image = RawImage { width, height, encoding, is_bigendian: false, step, data };
    match decode_raw(&image) {
        Err(error) => error,
        Ok(picture) => panic!("decoded to {picture:?}"),
    }
}

#[test]
fn an_encoding_nobody_knows_is_refused_with_those_that_are() {
    let error = refusal(2, 2, "yuv411", 6, &[0; 12]);
    assert!(matches!(&error, DecodeError::UnknownEncoding { encoding } if encoding == "yuv411"));
    let text = error.to_string();
    assert!(known_encodings().all(|known| text.contains(known)), "{text}");
    // Names are exact: a wrong case is a wrong name.
    assert!(matches!(refusal(1, 1, "RGB8", 3, &[0; 3]), DecodeError::UnknownEncoding { .. }));
}

#[test]
fn step_and_data_must_agree_with_the_size() {
    let error = refusal(4, 2, "rgb8", 11, &[0; 22]);
    assert_eq!(
        error.to_string(),
        "step 11 is smaller than a row: 4 pixels of \"rgb8\" take 12 bytes"
    );
    for found in [0, 23, 25] {
        let error = refusal(4, 2, "rgb8", 12, &vec![0; found]);
        assert_eq!(
            error.to_string(),
            format!("the data have {found} bytes, but step 12 and height 2 of \"rgb8\" make 24")
        );
    }
    // Only the luma plane.
    let error = refusal(4, 2, "nv12", 4, &[0; 8]).to_string();
    assert!(error.contains("make 12") && error.contains("chroma"), "{error}");
    assert!(matches!(
        refusal(4, 2, "16UC1", 7, &[0; 14]),
        DecodeError::StepTooSmall { row_bytes: 8, step: 7, .. }
    ));
}

#[test]
fn sizes_that_an_encoding_cannot_describe_are_refused() {
    let rule = |width, height, encoding| match refusal(width, height, encoding, 64, &[]) {
        DecodeError::SizeRule { rule, .. } => rule,
        other => panic!("{other}"),
    };
    assert_eq!(rule(5, 2, "uyvy"), "an even width");
    assert_eq!(rule(5, 2, "yuv422_yuy2"), "an even width");
    assert_eq!(rule(4, 3, "nv12"), "an even width and height");
    assert_eq!(rule(3, 4, "nv21"), "an even width and height");
    assert_eq!(rule(2, 8, "bayer_rggb8"), "at least 3x3 pixels");
    assert_eq!(rule(8, 2, "bayer_grbg16"), "at least 3x3 pixels");
    assert!(matches!(refusal(0, 3, "rgb8", 0, &[]), DecodeError::Empty { width: 0, height: 3 }));
    assert!(matches!(refusal(3, 0, "rgb8", 9, &[]), DecodeError::Empty { .. }));
}

#[test]
fn giant_sizes_are_refused_without_overflow_or_memory() {
    for encoding in known_encodings() {
        let error = refusal(u32::MAX - 1, u32::MAX - 1, encoding, u32::MAX, &[]);
        assert!(matches!(error, DecodeError::TooLarge { .. }), "{encoding}: {error}");
    }
    // A small image whose step announces more than there is.
    assert!(matches!(
        refusal(4, 4, "rgb8", u32::MAX, &[0; 64]),
        DecodeError::DataLength { expected: 17_179_869_180, found: 64, .. }
    ));
}

fn an_encoding() -> impl Strategy<Value = String> {
    let known: Vec<&'static str> = known_encodings().collect();
    prop_oneof![9 => proptest::sample::select(known).prop_map(str::to_owned), 1 => ".{0,12}"]
}

proptest! {
    /// Any fields, any bytes: a picture of the announced size or an error.
    #[test]
    fn no_fields_panic(
        width in prop_oneof![4 => 0_u32..20, 1 => any::<u32>()],
        height in prop_oneof![4 => 0_u32..20, 1 => any::<u32>()],
        encoding in an_encoding(),
        is_bigendian: bool,
        step in prop_oneof![4 => 0_u32..200, 1 => any::<u32>()],
        data in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let image =
            RawImage { width, height, encoding: &encoding, is_bigendian, step, data: &data };
        check_picture(&image)?;
    }

    /// The same with data of the right length, so that conversion is reached.
    #[test]
    fn no_pixels_panic(
        width in 1_u32..20,
        height in 1_u32..20,
        encoding in proptest::sample::select(known_encodings().collect::<Vec<_>>()),
        is_bigendian: bool,
        padding in 0_u32..9,
        seed: u8,
    ) {
        let per_pixel = [1, 2, 3, 4, 6, 8];
        for step in per_pixel.map(|bytes| bytes * width + padding) {
            for rows in [height, height + height / 2] {
                let data: Vec<u8> =
                    (0..step * rows).map(|i| (i as u8).wrapping_mul(seed)).collect();
                check_picture(&RawImage { width, height, encoding, is_bigendian, step, data: &data })?;
            }
        }
    }
}

fn check_picture(image: &RawImage<'_>) -> Result<(), TestCaseError> {
    let size = match decode_raw(image) {
        Ok(Picture::Color(rgb)) => rgb.dimensions(),
        Ok(Picture::Depth(depth)) => (depth.width(), depth.height()),
        Err(error) => {
            prop_assert!(!error.to_string().is_empty());
            prop_assert!(!matches!(error, DecodeError::OpenCv { .. }), "{error}");
            return Ok(());
        }
    };
    prop_assert_eq!(size, (image.width, image.height));
    Ok(())
}
