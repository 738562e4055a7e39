//! The keys of a node, and the cameras in them.

use zenoh::key_expr::{OwnedKeyExpr, keyexpr};

use super::super::live::SpaceKeys;

/// The last part of a depth picture's key, and of a calibration's.
pub(super) const DEPTH: &str = "depth";
pub(super) const CAMERA_INFO: &str = "camera_info";

/// All keys of one node.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    node: OwnedKeyExpr,
    images: Vec<OwnedKeyExpr>,
}

impl Keys {
    /// The keys of the node called `node`, with images at these expressions, or at
    /// `owlet/<node>/camera/*/image` where there are none.
    ///
    /// # Errors
    /// Each expression that is none, and each that takes in what the node itself publishes.
    pub(super) fn new(node: &str, images: &[String]) -> Result<Self, Vec<String>> {
        let node = OwnedKeyExpr::autocanonize(format!("owlet/{node}"))
            .map_err(|error| vec![format!("node: expected a key, found {node:?}: {error}")])?;
        let mut keys = Self { node, images: Vec::new() };
        if images.is_empty() {
            keys.images.push(keys.below("camera/*/image"));
        }
        let own = keys.own();
        let mut problems = Vec::new();
        for (index, text) in images.iter().enumerate() {
            match OwnedKeyExpr::autocanonize(text.clone()) {
                Ok(expression) => match own.iter().find(|own| expression.intersects(own)) {
                    Some(own) => problems.push(format!(
                        "zenoh_images[{index}]: expected keys of images only, found {text:?}, \
                         which takes in what the node publishes on {own}"
                    )),
                    None => keys.images.push(expression),
                },
                Err(error) => problems.push(format!(
                    "zenoh_images[{index}]: expected a key expression, found {text:?}: {error}"
                )),
            }
        }
        if problems.is_empty() { Ok(keys) } else { Err(problems) }
    }

    /// Where images are waited for.
    pub(super) fn images(&self) -> impl Iterator<Item = &OwnedKeyExpr> {
        self.images.iter()
    }

    /// The key of the liveliness token.
    pub(super) fn node(&self) -> OwnedKeyExpr {
        self.node.clone()
    }

    /// Where what belongs to images is waited for, `what` being `depth` for instance: the last part
    /// of the images' expression is replaced by it. An expression whose last part has wildcards has
    /// nothing beside it. With each, the expression of the images.
    pub(super) fn beside(&self, what: &str) -> Vec<(OwnedKeyExpr, OwnedKeyExpr)> {
        let beside = |images: &OwnedKeyExpr| Some((beside(images, what)?, images.clone()));
        self.images.iter().filter_map(beside).collect()
    }

    /// Where depth and calibration of a camera are waited for, in words; `None` where they cannot
    /// come.
    pub(super) fn space_of(&self, camera: &str) -> Option<SpaceKeys> {
        Some(SpaceKeys {
            depth: self.in_words(DEPTH, camera)?,
            calibration: self.in_words(CAMERA_INFO, camera)?,
        })
    }

    /// The key itself where images come on the default expression, or else the expressions.
    fn in_words(&self, what: &str, camera: &str) -> Option<String> {
        let beside = self.beside(what);
        let default = OwnedKeyExpr::new(format!("{}/camera/{camera}/{what}", self.node)).ok();
        let is_default = |keys: &OwnedKeyExpr| default.as_ref().is_some_and(|it| keys.includes(it));
        if beside.iter().any(|(keys, _)| is_default(keys)) {
            return default.map(|key| key.to_string());
        }
        let keys: Vec<_> = beside.iter().map(|(keys, _)| keys.to_string()).collect();
        (!keys.is_empty()).then(|| keys.join(", "))
    }

    pub(super) fn transforms(&self) -> OwnedKeyExpr {
        self.below("tf")
    }

    pub(super) fn static_transforms(&self) -> OwnedKeyExpr {
        self.below("tf_static")
    }

    pub(super) fn prompts(&self) -> OwnedKeyExpr {
        self.below("prompts")
    }

    pub(super) fn prompts_answer(&self) -> OwnedKeyExpr {
        self.below("prompts/answer")
    }

    pub(super) fn detect(&self) -> OwnedKeyExpr {
        self.below("detect")
    }

    pub(super) fn teach(&self) -> OwnedKeyExpr {
        self.below("teach")
    }

    pub(super) fn status(&self) -> OwnedKeyExpr {
        self.below("status")
    }

    /// A key for one of the outputs of a camera; `None` where its name cannot stand in a key.
    pub(super) fn output(&self, output: &str, camera: &str) -> Option<OwnedKeyExpr> {
        OwnedKeyExpr::new(format!("{}/{output}/{camera}", self.node)).ok()
    }

    /// What the node itself publishes or answers on.
    fn own(&self) -> Vec<OwnedKeyExpr> {
        let below = [
            "detections/**",
            "detections_cdr/**",
            "detections_3d/**",
            "detections_3d_cdr/**",
            "cloud/**",
            "instances_cdr/**",
            "pick/**",
            "pick_cdr/**",
            "heightmap/**",
            "heightmap_scores/**",
            "heightmap_labels/**",
            "heightmap_color/**",
            "heightmap_prompts/**",
            "overlay/**",
            "prompts/**",
        ];
        let others = [
            self.detect(),
            self.teach(),
            self.status(),
            self.transforms(),
            self.static_transforms(),
        ];
        below.map(|key| self.below(key)).into_iter().chain(others).collect()
    }

    fn below(&self, rest: &str) -> OwnedKeyExpr {
        let rest = keyexpr::new(rest).expect("it is a constant of this file");
        &*self.node / rest
    }
}

/// What image_transport adds to the name of a topic of images that are compressed.
const COMPRESSED: &str = "/compressed";
/// Parts of keys that say that there are images, and not whose.
const NO_NAMES: [&str; 3] = ["image", "image_raw", "compressed"];

/// The camera's name: what the wildcards of `expression` stand for in `key`, joined by `/`. Where
/// they stand for nothing, the last part of the key that is none of [`NO_NAMES`]. `None` where the
/// key has wildcards itself, or does not match.
pub(super) fn camera_name(expression: &keyexpr, key: &str) -> Option<String> {
    if key.contains('*') {
        return None;
    }
    let pattern: Vec<_> = expression.as_str().split('/').collect();
    let chunks: Vec<_> = key.split('/').collect();
    let captured = capture(&pattern, &chunks)?;
    if !captured.is_empty() {
        return Some(captured.join("/"));
    }
    let last = chunks.iter().rev().find(|chunk| !NO_NAMES.contains(chunk))?;
    Some((*last).to_owned())
}

/// The key beside that of images: its last part is `what`. `None` where that part has wildcards, or
/// is `what` already. What belongs to compressed images stands where it stands for raw ones.
pub(super) fn beside(images: &str, what: &str) -> Option<OwnedKeyExpr> {
    let (rest, last) = raw(images).rsplit_once('/')?;
    if last.contains('*') || last == what {
        return None;
    }
    OwnedKeyExpr::new(format!("{rest}/{what}")).ok()
}

/// The camera of a key beside that of its images, named as for its images.
pub(super) fn camera_beside(images: &keyexpr, key: &str) -> Option<String> {
    let (above, _) = raw(images).rsplit_once('/')?;
    let last = &images.as_str()[above.len()..];
    let (rest, _) = key.rsplit_once('/')?;
    camera_name(images, &format!("{rest}{last}"))
}

fn raw(images: &str) -> &str {
    images.strip_suffix(COMPRESSED).unwrap_or(images)
}

/// The parts of `key` that the wildcards of `pattern` stand for.
fn capture<'a>(pattern: &[&str], key: &[&'a str]) -> Option<Vec<&'a str>> {
    let Some((first, rest)) = pattern.split_first() else {
        return key.is_empty().then(Vec::new);
    };
    if *first == "**" {
        return (0..=key.len()).find_map(|taken| {
            let after = capture(rest, &key[taken..])?;
            Some([&key[..taken], &after].concat())
        });
    }
    let (chunk, others) = key.split_first()?;
    let after = || capture(rest, others);
    match first.contains('*') {
        true => {
            let is_match = keyexpr::new(*first).ok()?.includes(keyexpr::new(*chunk).ok()?);
            is_match.then(after)?.map(|after| [&[*chunk], after.as_slice()].concat())
        }
        false => (first == chunk).then(after)?,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_named_by_what_the_wildcards_stand_for() {
        for (expression, key, expected) in [
            ("owlet/owlet/camera/*/image", "owlet/owlet/camera/front/image", Some("front")),
            ("cell/*/arm/*/rgb", "cell/3/arm/left/rgb", Some("3/left")),
            ("robot/**/image", "robot/head/left/image", Some("head/left")),
            ("robot/**", "robot/image", Some("image")),
            ("robot/**/image", "robot/image", Some("robot")),
            ("robot/front/image", "robot/front/image", Some("front")),
            ("robot/front", "robot/front", Some("front")),
            ("robot/cam$*/image", "robot/cam7/image", Some("cam7")),
            ("robot/cam$*/image", "robot/lidar/image", None),
            ("robot/*/image", "robot/*/image", None),
            ("image", "image", None),
            ("robot/front/image_raw/compressed", "robot/front/image_raw/compressed", Some("front")),
        ] {
            let expression = keyexpr::new(expression).unwrap();
            assert_eq!(camera_name(expression, key).as_deref(), expected, "{expression} {key}");
        }
    }

    #[test]
    fn what_belongs_to_images_stands_beside_them() {
        for (images, key, expected) in [
            ("owlet/owlet/camera/*/image", "owlet/owlet/camera/front/depth", "front"),
            ("cell/*/arm/*/rgb", "cell/3/arm/left/depth", "3/left"),
            ("robot/**/image", "robot/head/left/depth", "head/left"),
            ("robot/front/image", "robot/front/depth", "front"),
            ("robot/*/image_raw/compressed", "robot/front/depth", "front"),
            ("robot/front/image_raw/compressed", "robot/front/depth", "front"),
        ] {
            let expression = keyexpr::new(images).unwrap();
            let depth = beside(images, "depth").unwrap();
            assert!(depth.includes(keyexpr::new(key).unwrap()), "{depth} {key}");
            assert_eq!(camera_beside(expression, key).as_deref(), Some(expected));
        }
        for images in ["robot/**", "robot/cam$*", "image", "robot/depth"] {
            assert_eq!(beside(images, "depth"), None, "{images}");
        }
    }

    #[test]
    fn expressions_that_are_none_or_take_in_the_outputs_are_refused_together() {
        let images = ["a//b", "**", "owlet/left/overlay/*", "owlet/other/overlay/*", "a/#"];
        let problems = Keys::new("left", &images.map(str::to_owned)).unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[0].starts_with("zenoh_images[0]: expected a key expression"));
        assert!(problems[1].contains("publishes on owlet/left/"), "{problems:?}");
        assert!(problems[2].contains("owlet/left/overlay/**"), "{problems:?}");
        let keys = Keys::new("cell/left", &[]).unwrap();
        let images: Vec<_> = keys.images().map(ToString::to_string).collect();
        assert_eq!(images, ["owlet/cell/left/camera/*/image"]);
        let output = keys.output("detections", "front").unwrap();
        assert_eq!(output.as_str(), "owlet/cell/left/detections/front");
    }
}
