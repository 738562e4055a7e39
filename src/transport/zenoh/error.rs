//! Why there is no session.

use std::fmt::Display;

/// Why a node cannot be reached over zenoh.
#[derive(Debug, thiserror::Error)]
pub enum ZenohError {
    /// Options that make no sense.
    #[error("zenoh: {}", .problems.join("\nzenoh: "))]
    Refused {
        /// Each with the name of its parameter, what was expected and what was found.
        problems: Vec<String>,
    },
    /// No session.
    #[error("zenoh: no session: {reason}")]
    Open {
        /// zenoh's own words.
        reason: String,
    },
    /// A key that could not be declared.
    #[error("zenoh: {key}: {reason}")]
    Declare {
        /// The key expression.
        key: String,
        /// zenoh's own words.
        reason: String,
    },
}

impl ZenohError {
    pub(super) fn declare(key: &impl Display, reason: &dyn Display) -> Self {
        Self::Declare { key: key.to_string(), reason: reason.to_string() }
    }
}
