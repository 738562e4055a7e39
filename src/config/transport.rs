//! What a live node speaks.

use std::fmt;
use std::str::FromStr;

/// What a live node speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Plain zenoh, without ROS.
    #[default]
    Zenoh,
    /// ROS 2 as rmw_zenoh speaks it, with no ROS installed.
    RmwZenoh,
    /// ROS 2 through rcl, with whatever middleware the ROS around it uses.
    Ros2,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Zenoh, Self::RmwZenoh, Self::Ros2];

    /// As it stands in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zenoh => "zenoh",
            Self::RmwZenoh => "rmw_zenoh",
            Self::Ros2 => "ros2",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no transport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected zenoh, rmw_zenoh or ros2, found {found:?}")]
pub struct UnknownTransport {
    /// The text.
    pub found: String,
}

impl FromStr for Transport {
    type Err = UnknownTransport;

    fn from_str(text: &str) -> Result<Self, UnknownTransport> {
        let known = Self::ALL.into_iter().find(|transport| transport.name() == text);
        known.ok_or_else(|| UnknownTransport { found: text.to_owned() })
    }
}
