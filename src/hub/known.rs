//! The checkpoints that are known by a short name, and how a name is read.

use serde::Serialize;

use super::HubError;

/// A checkpoint that has a short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KnownModel {
    /// The short name, which is also its folder's name.
    pub name: &'static str,
    /// `owner/name` on the hub.
    pub repo: &'static str,
    /// `model_type` of its `config.json`.
    pub architecture: &'static str,
    /// Licence of the weights, as an SPDX identifier.
    pub licence: &'static str,
    /// Side of the network's square input, in pixels; 0 where it takes texts only.
    pub input_side_px: u32,
    /// Bytes of its weights in f32, from the number of parameters: the hub tells the exact size.
    pub approximate_bytes: u64,
}

/// Every checkpoint with a short name: detectors, then segmenters, then encoders.
///
/// The sizes are those of the architectures built from their configurations (f32).
pub const KNOWN_MODELS: &[KnownModel] = &[
    KnownModel {
        name: "owlvit-base-patch32",
        repo: "google/owlvit-base-patch32",
        architecture: "owlvit",
        licence: "Apache-2.0",
        input_side_px: 768,
        approximate_bytes: 613_000_000,
    },
    KnownModel {
        name: "owlvit-base-patch16",
        repo: "google/owlvit-base-patch16",
        architecture: "owlvit",
        licence: "Apache-2.0",
        input_side_px: 768,
        approximate_bytes: 611_000_000,
    },
    KnownModel {
        name: "owlvit-large-patch14",
        repo: "google/owlvit-large-patch14",
        architecture: "owlvit",
        licence: "Apache-2.0",
        input_side_px: 840,
        approximate_bytes: 1_736_000_000,
    },
    KnownModel {
        name: "owlv2-base-patch16-ensemble",
        repo: "google/owlv2-base-patch16-ensemble",
        architecture: "owlv2",
        licence: "Apache-2.0",
        input_side_px: 960,
        approximate_bytes: 620_000_000,
    },
    KnownModel {
        name: "owlv2-large-patch14-ensemble",
        repo: "google/owlv2-large-patch14-ensemble",
        architecture: "owlv2",
        licence: "Apache-2.0",
        input_side_px: 1008,
        approximate_bytes: 1_750_000_000,
    },
    KnownModel {
        name: "clipseg-rd64-refined",
        repo: "CIDAS/clipseg-rd64-refined",
        architecture: "clipseg",
        licence: "Apache-2.0",
        input_side_px: 352,
        approximate_bytes: 603_000_000,
    },
    KnownModel {
        name: "clipseg-rd64",
        repo: "CIDAS/clipseg-rd64",
        architecture: "clipseg",
        licence: "Apache-2.0",
        input_side_px: 352,
        approximate_bytes: 603_000_000,
    },
    KnownModel {
        name: "clipseg-rd16",
        repo: "CIDAS/clipseg-rd16",
        architecture: "clipseg",
        licence: "Apache-2.0",
        input_side_px: 352,
        approximate_bytes: 600_000_000,
    },
    KnownModel {
        name: "sam-vit-base",
        repo: "facebook/sam-vit-base",
        architecture: "sam",
        licence: "Apache-2.0",
        input_side_px: 1024,
        approximate_bytes: 375_000_000,
    },
    KnownModel {
        name: "sam-vit-large",
        repo: "facebook/sam-vit-large",
        architecture: "sam",
        licence: "Apache-2.0",
        input_side_px: 1024,
        approximate_bytes: 1_249_000_000,
    },
    KnownModel {
        name: "sam-vit-huge",
        repo: "facebook/sam-vit-huge",
        architecture: "sam",
        licence: "Apache-2.0",
        input_side_px: 1024,
        approximate_bytes: 2_564_000_000,
    },
    // The hub names no licence for the weights of GroupViT; the authors' code, which they were
    // released with, is under a licence of NVIDIA's own, for work that is not commercial. The hub
    // has no safetensors for the first of them: it has to be converted before it can be used.
    KnownModel {
        name: "groupvit-gcc-yfcc",
        repo: "nvidia/groupvit-gcc-yfcc",
        architecture: "groupvit",
        licence: "LicenseRef-NVIDIA-Source-Code",
        input_side_px: 224,
        approximate_bytes: 223_000_000,
    },
    KnownModel {
        name: "groupvit-gcc-redcaps",
        repo: "nvidia/groupvit-gcc-redcaps",
        architecture: "groupvit",
        licence: "LicenseRef-NVIDIA-Source-Code",
        input_side_px: 224,
        approximate_bytes: 223_000_000,
    },
    // The hub had no safetensors for the first of these when this was written.
    KnownModel {
        name: "clip-vit-base-patch32",
        repo: "openai/clip-vit-base-patch32",
        architecture: "clip",
        licence: "MIT",
        input_side_px: 224,
        approximate_bytes: 605_000_000,
    },
    KnownModel {
        name: "clip-vit-base-patch16",
        repo: "openai/clip-vit-base-patch16",
        architecture: "clip",
        licence: "MIT",
        input_side_px: 224,
        approximate_bytes: 598_000_000,
    },
    KnownModel {
        name: "clip-vit-large-patch14",
        repo: "openai/clip-vit-large-patch14",
        architecture: "clip",
        licence: "MIT",
        input_side_px: 224,
        approximate_bytes: 1_710_000_000,
    },
    KnownModel {
        name: "dinov2-small",
        repo: "facebook/dinov2-small",
        architecture: "dinov2",
        licence: "Apache-2.0",
        input_side_px: 224,
        approximate_bytes: 88_200_000,
    },
    KnownModel {
        name: "dinov2-base",
        repo: "facebook/dinov2-base",
        architecture: "dinov2",
        licence: "Apache-2.0",
        input_side_px: 224,
        approximate_bytes: 346_300_000,
    },
    KnownModel {
        name: "dino-vits16",
        repo: "facebook/dino-vits16",
        architecture: "vit",
        licence: "Apache-2.0",
        input_side_px: 224,
        approximate_bytes: 86_700_000,
    },
    KnownModel {
        name: "vit-base-patch16-224",
        repo: "google/vit-base-patch16-224",
        architecture: "vit",
        licence: "Apache-2.0",
        input_side_px: 224,
        approximate_bytes: 346_300_000,
    },
    KnownModel {
        name: "all-minilm-l6-v2",
        repo: "sentence-transformers/all-MiniLM-L6-v2",
        architecture: "bert",
        licence: "Apache-2.0",
        input_side_px: 0,
        approximate_bytes: 90_900_000,
    },
    KnownModel {
        name: "all-mpnet-base-v2",
        repo: "sentence-transformers/all-mpnet-base-v2",
        architecture: "mpnet",
        licence: "Apache-2.0",
        input_side_px: 0,
        approximate_bytes: 437_900_000,
    },
];

/// The short names, for messages.
pub(super) fn known_names() -> String {
    KNOWN_MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
}

/// End of the name of a folder that is being fetched.
pub(super) const PARTIAL_SUFFIX: &str = ".partial";

/// End of the name of a folder that is being replaced.
pub(super) const OLD_SUFFIX: &str = ".old";

/// A model of the hub: a short name or `owner/name`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName {
    repo: String,
    known: Option<&'static KnownModel>,
}

impl ModelName {
    /// Reads a short name or `owner/name`.
    ///
    /// # Errors
    /// [`HubError::UnknownName`] for a bare name that is not in [`KNOWN_MODELS`];
    /// [`HubError::BadName`] for what cannot be a repository of the hub.
    pub fn parse(name: &str) -> Result<Self, HubError> {
        if let Some(known) =
            KNOWN_MODELS.iter().find(|known| known.name == name || known.repo == name)
        {
            return Ok(Self { repo: known.repo.to_owned(), known: Some(known) });
        }
        let Some((owner, rest)) = name.split_once('/') else {
            check_segment(name, name)?;
            return Err(HubError::UnknownName { name: name.to_owned(), known: known_names() });
        };
        check_segment(name, owner)?;
        check_segment(name, rest)?;
        Ok(Self { repo: name.to_owned(), known: None })
    }

    /// `owner/name` on the hub.
    #[must_use]
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// What the table says of it, if it has a short name.
    #[must_use]
    pub fn known(&self) -> Option<&'static KnownModel> {
        self.known
    }

    /// The name that people use: the short one where there is one.
    #[must_use]
    pub fn display(&self) -> &str {
        self.known.map_or(&self.repo, |known| known.name)
    }

    /// Name of its folder: the short name, or `owner--name`, so that two owners never share one.
    #[must_use]
    pub fn folder(&self) -> String {
        self.known.map_or_else(|| self.repo.replace('/', "--"), |known| known.name.to_owned())
    }
}

/// Splits `NAME@REVISION` as it stands on a command line.
///
/// # Errors
/// [`HubError::BadRevision`] for an empty revision or one that git would refuse.
pub fn split_revision(text: &str) -> Result<(&str, Option<&str>), HubError> {
    match text.split_once('@') {
        None => Ok((text, None)),
        Some((name, revision)) => {
            check_revision(revision)?;
            Ok((name, Some(revision)))
        }
    }
}

/// Refuses what cannot be a branch, a tag, a commit or a `refs/…` name.
pub(super) fn check_revision(revision: &str) -> Result<(), HubError> {
    let why = if revision.is_empty() {
        "it is empty"
    } else if revision.len() > 255 {
        "it is longer than 255 characters"
    } else if revision.contains("..") {
        "it contains `..`"
    } else if revision
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\@#%".contains(c))
    {
        "it contains a character that no branch, tag or commit has"
    } else {
        return Ok(());
    };
    Err(HubError::BadRevision { revision: revision.to_owned(), why })
}

/// One half of `owner/name`: what the hub allows, and nothing that a path could be bent with.
fn check_segment(name: &str, segment: &str) -> Result<(), HubError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let why = if segment.is_empty() {
        "a part of it is empty"
    } else if segment.len() > 96 {
        "a part of it is longer than 96 characters"
    } else if !segment.chars().all(allowed) {
        "only letters, digits, `-`, `_` and `.` are allowed, with one `/`"
    } else if segment.starts_with(['.', '-']) || segment.contains("..") || segment.contains("--") {
        "it must not start with `.` or `-`, nor contain `..` or `--`"
    } else if segment.ends_with(PARTIAL_SUFFIX) || segment.ends_with(OLD_SUFFIX) {
        "names that end in `.partial` or `.old` are kept for folders under way"
    } else {
        return Ok(());
    };
    Err(HubError::BadName { name: name.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_and_their_repositories_are_one_model() {
        let short = ModelName::parse("owlvit-base-patch32").unwrap();
        assert_eq!(short.repo(), "google/owlvit-base-patch32");
        assert_eq!(short.folder(), "owlvit-base-patch32");
        assert_eq!(ModelName::parse("google/owlvit-base-patch32").unwrap(), short);
        let other = ModelName::parse("somebody/owlvit-base-patch32").unwrap();
        assert_eq!(other.folder(), "somebody--owlvit-base-patch32");
        assert_eq!(other.display(), "somebody/owlvit-base-patch32");
    }

    #[test]
    fn an_unknown_short_name_lists_the_known_ones() {
        let message = ModelName::parse("owlvit-huge").unwrap_err().to_string();
        for known in KNOWN_MODELS {
            assert!(message.contains(known.name), "{message}");
        }
    }

    #[test]
    fn names_that_could_bend_a_path_are_refused() {
        for name in [
            "",
            "/",
            "a/",
            "/a",
            "../etc",
            "a/..",
            "a/b/c",
            "a/.hidden",
            "a b/c",
            "a\\b/c",
            "-a/b",
            "a--b/c",
            "a/b?c",
            "a/b.partial",
            "x.old",
            "ä/b",
        ] {
            let error = ModelName::parse(name).unwrap_err();
            assert!(matches!(error, HubError::BadName { .. }), "{name:?} gave {error:?}");
        }
        let long = format!("a/{}", "b".repeat(97));
        assert!(matches!(ModelName::parse(&long), Err(HubError::BadName { .. })));
    }

    #[test]
    fn revisions() {
        assert_eq!(split_revision("google/x").unwrap(), ("google/x", None));
        assert_eq!(split_revision("x@v1").unwrap(), ("x", Some("v1")));
        assert_eq!(split_revision("x@refs/pr/3").unwrap(), ("x", Some("refs/pr/3")));
        for text in ["x@", "x@a..b", "x@a b", "x@a@b", "x@a?b", "x@a\nb"] {
            let error = split_revision(text).unwrap_err();
            assert!(matches!(error, HubError::BadRevision { .. }), "{text:?} gave {error:?}");
        }
    }
}
