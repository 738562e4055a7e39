//! Why something was found by a bank, as JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Evidence, Explanation, PairEvidence};

/// The pairs of a bank that made a score, which is the sum of their products.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplanationRecord {
    /// The text of the prompt that scored best.
    pub text: String,
    /// Pairs that spoke for it, however many of them are listed.
    pub pairs: usize,
    /// The first of them, those that gave most.
    pub evidence: Vec<EvidenceRecord>,
}

/// What one pair has given to a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRecord {
    /// Its id and its weights.
    #[serde(flatten)]
    pub weights: Evidence,
    /// Its text.
    pub caption: String,
    /// Its picture's file or recording, or who taught it.
    pub source: String,
}

impl From<&Explanation> for ExplanationRecord {
    fn from(explanation: &Explanation) -> Self {
        let evidence = explanation.evidence.iter().map(|one| EvidenceRecord {
            weights: one.weights,
            caption: one.caption.to_string(),
            source: one.source.to_string(),
        });
        Self {
            text: explanation.text.to_string(),
            pairs: explanation.pairs,
            evidence: evidence.collect(),
        }
    }
}

impl From<ExplanationRecord> for Explanation {
    /// Without thumbnails, which records do not have.
    fn from(record: ExplanationRecord) -> Self {
        let evidence = record.evidence.into_iter().map(|one| PairEvidence {
            weights: one.weights,
            caption: Arc::from(one.caption),
            source: Arc::from(one.source),
            thumbnail: None,
        });
        Self { text: record.text.into(), pairs: record.pairs, evidence: evidence.collect() }
    }
}
