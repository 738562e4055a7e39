//! Exemplars of a prompt set, through the network.

use std::sync::Arc;

use tch::{Tensor, no_grad};

use super::OwlDetector;
use crate::detect::exemplars::{EncodedExemplars, query_of};
use crate::types::{Exemplar, ExemplarPicture, PromptProblem, PromptSet};

impl OwlDetector {
    /// The queries of all exemplars, and why some have none. Those of the set in use and of the one
    /// before, which an image with prompts of its own parts from it, are not encoded again, and a
    /// picture goes through the network once. A set that is refused anyhow is not looked at.
    pub(super) fn encode_exemplars(
        &mut self,
        set: &PromptSet,
    ) -> (EncodedExemplars, Vec<PromptProblem>) {
        let mut encoded = EncodedExemplars::default();
        let mut problems = Vec::new();
        if set.exemplars().next().is_none() || set.check().is_err() {
            return (encoded, problems);
        }
        let mut features: Option<(Arc<ExemplarPicture>, Tensor)> = None;
        for (index, prompt) in set.prompts.iter().enumerate() {
            for (number, exemplar) in prompt.exemplars.iter().enumerate() {
                let in_use = self.prompts.as_ref();
                let known = in_use
                    .and_then(|in_use| in_use.exemplars.find(exemplar))
                    .or_else(|| self.shown_before.find(exemplar));
                let query = match known {
                    Some(query) => Ok(query),
                    None => self.encode_exemplar(exemplar, &mut features),
                };
                match query {
                    Ok(query) => {
                        encoded.known.push((exemplar.clone(), query));
                        encoded.prompt_of_exemplar.push(index);
                    }
                    Err(reason) => problems.push(PromptProblem {
                        prompt: prompt.name.clone(),
                        reason: format!("exemplars[{number}]: {reason}"),
                    }),
                }
            }
        }
        (encoded, problems)
    }

    /// `newest` holds the features of the picture that was looked at last: the exemplars of one
    /// picture mostly stand together.
    fn encode_exemplar(
        &mut self,
        exemplar: &Exemplar,
        newest: &mut Option<(Arc<ExemplarPicture>, Tensor)>,
    ) -> Result<Tensor, String> {
        let picture = &exemplar.picture;
        let features = match newest {
            Some((known, features)) if Arc::ptr_eq(known, picture) => features.shallow_clone(),
            _ => {
                let pixel_values = self
                    .pixel_values(&[Arc::clone(&picture.image)])
                    .map_err(|error| error.to_string())?;
                let features =
                    self.model.image_features(&pixel_values).map_err(|error| error.to_string())?;
                *newest = Some((Arc::clone(picture), features.shallow_clone()));
                features
            }
        };
        let (width, height) = picture.image.dimensions();
        let geometry = self.preprocessor.recipe().geometry(width, height);
        no_grad(|| query_of(&self.model, &features, &geometry, exemplar))
            .map_err(|error| error.to_string())
    }
}
