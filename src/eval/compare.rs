//! Two evaluations of the same images side by side.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::record::{EvalRecord, FORMAT};

/// Why two evaluations cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The file is of another form.
    #[error("expected an evaluation of the form {FORMAT:?}, found {found:?}")]
    Format {
        /// What the file says.
        found: String,
    },
    /// They had other things to find.
    #[error(
        "expected an evaluation of the same dataset (fingerprint {expected}), found one of {path} \
         (fingerprint {found})"
    )]
    Dataset {
        /// The fingerprint of this dataset.
        expected: String,
        /// The fingerprint of the earlier one.
        found: String,
        /// Where the earlier one was.
        path: String,
    },
    /// The same dataset, but other images of it.
    #[error(
        "expected an evaluation of the same images, found one of other images of the same dataset \
         ({images_then} then, {images_now} now): one of them set images aside or left some out"
    )]
    Images {
        /// Images of the earlier evaluation.
        images_then: usize,
        /// Images of this one.
        images_now: usize,
    },
}

/// The differences between two evaluations of the same images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The file of the earlier one.
    pub path: String,
    /// The version of the program that wrote it.
    pub owlet: String,
    /// The numbers over all categories, then and now.
    pub overall: Vec<NumberChange>,
    /// Groups, the largest difference of AP first.
    pub groups: Vec<Change>,
    /// Prompts, the largest difference of AP first.
    pub prompts: Vec<Change>,
}

/// One of the twelve numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberChange {
    /// Its short name.
    pub number: String,
    /// In the earlier evaluation.
    pub before: Option<f64>,
    /// In this one.
    pub now: Option<f64>,
}

/// A group or prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Its numbers in the earlier evaluation.
    pub before: Metrics,
    /// Its numbers in this one.
    pub now: Metrics,
}

impl Change {
    /// By how much its AP rose; 0 where it has none.
    #[must_use]
    pub fn rise(&self) -> f64 {
        rise(self.before.ap, self.now.ap)
    }
}

/// By how much a number rose; 0 where there is none on one side.
#[must_use]
pub fn rise(before: Option<f64>, now: Option<f64>) -> f64 {
    now.zip(before).map_or(0.0, |(now, before)| now - before)
}

impl Comparison {
    /// Whether a comparison with `earlier` would make sense, as far as it is known before anything
    /// is evaluated.
    ///
    /// # Errors
    /// [`CompareError`] where the form or the dataset differ.
    pub fn check(earlier: &EvalRecord, fingerprint: &str) -> Result<(), CompareError> {
        if earlier.format != FORMAT {
            return Err(CompareError::Format { found: earlier.format.clone() });
        }
        if earlier.dataset.fingerprint != fingerprint {
            return Err(CompareError::Dataset {
                expected: fingerprint.to_owned(),
                found: earlier.dataset.fingerprint.clone(),
                path: earlier.dataset.path.clone(),
            });
        }
        Ok(())
    }

    /// Compares `now` with `earlier`, which was read from `path`.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn of(path: &str, earlier: &EvalRecord, now: &EvalRecord) -> Result<Self, CompareError> {
        Self::check(earlier, &now.dataset.fingerprint)?;
        if earlier.dataset.evaluated_fingerprint != now.dataset.evaluated_fingerprint {
            return Err(CompareError::Images {
                images_then: earlier.dataset.images,
                images_now: now.dataset.images,
            });
        }
        let overall = earlier.overall.named().into_iter().zip(now.overall.named());
        let groups = |record: &EvalRecord| -> Vec<(String, Metrics)> {
            record.groups.iter().map(|group| (group.name.clone(), group.metrics)).collect()
        };
        let prompts = |record: &EvalRecord| -> Vec<(String, Metrics)> {
            record.prompts.iter().map(|prompt| (prompt.name.clone(), prompt.metrics)).collect()
        };
        Ok(Self {
            path: path.to_owned(),
            owlet: earlier.owlet.clone(),
            overall: overall
                .map(|((number, before), (_, now))| NumberChange {
                    number: number.to_owned(),
                    before,
                    now,
                })
                .collect(),
            groups: changes(groups(earlier), groups(now)),
            prompts: changes(prompts(earlier), prompts(now)),
        })
    }

    /// By how much AP over all categories fell; negative where it rose.
    #[must_use]
    pub fn fall(&self) -> f64 {
        self.overall.first().map_or(0.0, |ap| -rise(ap.before, ap.now))
    }
}

/// Those of one name side by side, the largest difference of AP first.
fn changes(before: Vec<(String, Metrics)>, now: Vec<(String, Metrics)>) -> Vec<Change> {
    let before: HashMap<_, _> = before.into_iter().collect();
    let mut changes: Vec<Change> = now
        .into_iter()
        .filter_map(|(name, now)| {
            let before = *before.get(&name)?;
            Some(Change { name, before, now })
        })
        .collect();
    // Stable: of equal differences in the order of the dataset.
    changes.sort_by(|a, b| b.rise().abs().total_cmp(&a.rise().abs()));
    changes
}
