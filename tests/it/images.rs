//! From message bytes to pixels and from boxes to pictures.

mod compressed;
mod overlay;
mod raw;
mod raw_refused;

use image::RgbImage;
use owlet::types::{DepthImage, Picture};
use owlet::vision::decode::DecodeError;

fn color(decoded: Result<Picture, DecodeError>) -> RgbImage {
    match decoded {
        Ok(Picture::Color(image)) => image,
        Ok(Picture::Depth(_)) => panic!("depth where colour was expected"),
        Err(error) => panic!("{error}"),
    }
}

fn depth(decoded: Result<Picture, DecodeError>) -> DepthImage {
    match decoded {
        Ok(Picture::Depth(image)) => image,
        Ok(Picture::Color(_)) => panic!("colour where depth was expected"),
        Err(error) => panic!("{error}"),
    }
}

/// No two pixels alike, every channel different, no symmetry.
fn test_picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let at = y * width + x;
        image::Rgb([(at * 7 + 3) as u8, (at * 13 + 101) as u8, (at * 29 + 57) as u8])
    })
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/images/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
