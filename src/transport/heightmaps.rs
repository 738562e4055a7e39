//! A heightmap as the pictures that travel.

use crate::types::Heightmap;
use crate::wire::sensor_msgs::Image;
use crate::wire::std_msgs::Header;

/// The pictures of one heightmap: column and row of a pixel are those of its cell.
pub struct HeightmapPictures<'a> {
    map: &'a Heightmap,
    header: Header<'a>,
    prompts_encoding: String,
}

impl<'a> HeightmapPictures<'a> {
    /// Of a heightmap.
    #[must_use]
    pub fn of(map: &'a Heightmap) -> Self {
        let prompts_encoding = format!("32FC{}", map.prompts);
        Self { map, header: Header::from(&map.header), prompts_encoding }
    }

    /// All of them, in the order in which every transport has its topics: heights, scores, labels,
    /// colours, scores of each prompt. Pixels are borrowed.
    #[must_use]
    pub fn all(&self) -> [Option<Image<'_>>; 5] {
        [
            Some(self.heights()),
            Some(self.scores()),
            Some(self.labels()),
            Some(self.colours()),
            self.prompt_scores(),
        ]
    }

    /// `32FC1`: metres above the lower bound of z; NaN where nothing was seen.
    #[must_use]
    pub fn heights(&self) -> Image<'_> {
        self.image("32FC1", 4, bytemuck::cast_slice(&self.map.heights_m))
    }

    /// `32FC1`: the best score of what was found there, 0 for nothing.
    #[must_use]
    pub fn scores(&self) -> Image<'_> {
        self.image("32FC1", 4, bytemuck::cast_slice(&self.map.scores))
    }

    /// `32FCn`: for each of the n prompts of the set a channel with the best score of what was found
    /// of it there, 0 for nothing. `None` where they would be too many.
    #[must_use]
    pub fn prompt_scores(&self) -> Option<Image<'_>> {
        let scores = self.map.prompt_scores.as_ref().filter(|scores| !scores.is_empty())?;
        let bytes = 4 * self.map.prompts;
        Some(self.image(&self.prompts_encoding, bytes, bytemuck::cast_slice(scores)))
    }

    /// `mono8`: the place of its prompt in the set, from 1; 0 for none.
    #[must_use]
    pub fn labels(&self) -> Image<'_> {
        self.image("mono8", 1, self.map.labels.as_raw())
    }

    /// `rgb8`: the colours from above; black where nothing was seen.
    #[must_use]
    pub fn colours(&self) -> Image<'_> {
        self.image("rgb8", 3, self.map.colours.as_raw())
    }

    fn image<'b>(&'b self, encoding: &'b str, bytes: u32, data: &'b [u8]) -> Image<'b> {
        Image {
            header: self.header,
            height: self.map.height,
            width: self.map.width,
            encoding,
            is_bigendian: u8::from(cfg!(target_endian = "big")),
            step: bytes * self.map.width,
            data,
        }
    }
}
