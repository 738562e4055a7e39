//! A prompts file that gets one exemplar more.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use owlet::config::prompts;
use owlet::types::{Exemplar, ExemplarPicture, Prompt, PromptSet};
use owlet::vision::exemplar::format_name;
use tempfile::NamedTempFile;

use crate::app::Refused;

/// The longest part of a name that becomes the name of a picture, in characters.
const MAX_STEM: usize = 40;
/// Pictures of one name that may lie beside each other.
const MAX_PICTURES: usize = 10_000;

/// A prompts file, or the place where there is to be one.
pub(super) struct PromptsFile {
    path: PathBuf,
    folder: PathBuf,
    /// What stands in it; empty where there is none.
    text: String,
    prompts: Vec<Prompt>,
}

/// What became of it.
pub(super) struct Written {
    pub(super) picture: PathBuf,
    /// Exemplars of the prompt.
    pub(super) exemplars: usize,
    /// Prompts of the file.
    pub(super) prompts: usize,
}

impl PromptsFile {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let path = folder.join(path.file_name().context("--prompts: expected a file")?);
        let (text, prompts) = match fs::read_to_string(&path) {
            Ok(text) => {
                let prompts = prompts::read(&path).map_err(|error| Refused(error.to_string()))?;
                (text, prompts)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => (String::new(), Vec::new()),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Ok(Self { path, folder, text, prompts })
    }

    /// Writes the picture beside the file and the exemplar into it, into the prompt of this name or
    /// a new one. The file is replaced in one step; where anything fails it stays as it was.
    pub(super) fn add(&mut self, name: &str, exemplar: Exemplar) -> anyhow::Result<Written> {
        let encoded = &exemplar.picture.encoded;
        let mut prompts = self.prompts.clone();
        let place = prompts.iter().position(|prompt| prompt.name == name);
        let place = place.unwrap_or_else(|| {
            prompts.push(Prompt { name: name.to_owned(), ..Prompt::default() });
            prompts.len() - 1
        });
        let picture = self.write_picture(name, encoded)?;
        let written = ExemplarPicture {
            file: Some(picture.clone()),
            ..ExemplarPicture::clone(&exemplar.picture)
        };
        prompts[place].exemplars.push(Exemplar { picture: Arc::new(written), ..exemplar });
        let done = self.write(&prompts).inspect_err(|_| {
            // It stands in no file; what is left of it does no harm.
            let _ = fs::remove_file(&picture);
        });
        done?;
        let exemplars = prompts[place].exemplars.len();
        self.prompts = prompts;
        Ok(Written { picture, exemplars, prompts: self.prompts.len() })
    }

    /// Beside the file, under the first name that is free.
    fn write_picture(&self, name: &str, encoded: &[u8]) -> anyhow::Result<PathBuf> {
        let extension = match format_name(encoded) {
            "jpeg" => "jpg",
            other => other,
        };
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        for number in 1..=MAX_PICTURES {
            let path = self.folder.join(format!("{}-{number}.{extension}", stem(name)));
            match fs::File::create_new(&path) {
                Ok(mut file) => {
                    file.write_all(encoded).with_context(|| path.display().to_string())?;
                    return Ok(path);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            }
        }
        Err(Refused(format!("{MAX_PICTURES} pictures of {name:?} are there already")).into())
    }

    fn write(&self, prompts: &[Prompt]) -> anyhow::Result<()> {
        let set = PromptSet { version: 1, prompts: prompts.to_vec(), default_threshold: 0.0 };
        set.check().map_err(|refused| Refused(refused.to_string()))?;
        if prompts.len() > self.prompts.len() && !self.text.is_empty() {
            // A new prompt at the end leaves all that people wrote as it is.
            let [.., new] = prompts else { return Ok(()) };
            let gap = if self.text.ends_with('\n') { "" } else { "\n" };
            let longer =
                format!("{}{gap}{}", self.text, prompts::prompt_to_yaml(new, Some(&self.folder)));
            if self.replace(&longer, Some(prompts))? {
                return Ok(());
            }
        }
        let comment: Vec<_> = self
            .text
            .lines()
            .map_while(|line| line.strip_prefix('#'))
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        let text = prompts::to_yaml(prompts, &comment.join("\n"), Some(&self.folder));
        self.replace(&text, None).map(drop)
    }

    /// Puts `text` in place of the file in one step, where it says what is `expected`.
    fn replace(&self, text: &str, expected: Option<&[Prompt]>) -> anyhow::Result<bool> {
        let what = || self.path.display().to_string();
        let mut file = NamedTempFile::new_in(&self.folder).with_context(what)?;
        file.write_all(text.as_bytes()).with_context(what)?;
        if let Some(expected) = expected
            && prompts::read(file.path()).ok().as_deref() != Some(expected)
        {
            return Ok(false);
        }
        file.as_file().sync_all().with_context(what)?;
        if let Ok(about) = self.path.metadata() {
            fs::set_permissions(file.path(), about.permissions()).with_context(what)?;
        }
        file.persist(&self.path).map_err(|error| error.error).with_context(what)?;
        Ok(true)
    }
}

/// A name as part of a file's name: letters, digits and dashes.
fn stem(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let dashed: String = name.chars().take(MAX_STEM).map(plain).collect();
    let words: Vec<_> = dashed.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "exemplar".to_owned() } else { words.join("-") }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use owlet::types::PixelBox;
    use owlet::vision::exemplar::picture_of_image;

    use super::*;

    fn exemplar(red: u8) -> Exemplar {
        let image = RgbImage::from_pixel(32, 24, image::Rgb([red, 0, 0]));
        Exemplar {
            picture: Arc::new(picture_of_image(Arc::new(image)).unwrap()),
            box_in_source_px: Some(PixelBox::from_corners([1.0, 2.0, 20.0, 20.5])),
        }
    }

    #[test]
    fn a_file_is_made_and_extended_and_what_people_wrote_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.yaml");
        let written = PromptsFile::open(&path).unwrap().add("My Gadget!", exemplar(1)).unwrap();
        assert_eq!(written.picture, folder.path().join("my-gadget-1.png"));
        let read = prompts::read(&path).unwrap();
        assert_eq!(read[0].exemplars, [exemplar(1)]);
        assert!(read[0].texts.is_empty());

        let text = fs::read_to_string(&path).unwrap() + "  # mine\n  - a cat\n";
        fs::write(&path, &text).unwrap();
        let written = PromptsFile::open(&path).unwrap().add("猫", exemplar(2)).unwrap();
        assert_eq!(written.picture, folder.path().join("exemplar-1.png"));
        let longer = fs::read_to_string(&path).unwrap();
        assert!(longer.starts_with(&text), "{longer}");
        // Into a prompt that is there: the file is written anew.
        let mut file = PromptsFile::open(&path).unwrap();
        let written = file.add("My Gadget!", exemplar(3)).unwrap();
        assert_eq!((written.exemplars, written.prompts), (2, 3));
        assert_eq!(written.picture, folder.path().join("my-gadget-2.png"));
        let read = prompts::read(&path).unwrap();
        assert_eq!(read[0].exemplars, [exemplar(1), exemplar(3)]);
        assert_eq!((read[1].name.as_str(), read[2].name.as_str()), ("a cat", "猫"));
    }

    #[test]
    fn what_cannot_be_added_leaves_the_file_and_no_picture() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.yaml");
        let text = "prompts: [{name: gadget, asif: true}]\n";
        fs::write(&path, text).unwrap();
        let refused = PromptsFile::open(&path).unwrap().add("gadget", exemplar(1));
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains("asif: expected texts only, found exemplars"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(&path, "prompts: 7").unwrap();
        assert!(PromptsFile::open(&path).is_err());
    }
}
