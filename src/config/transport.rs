//! What a live node speaks, and where it listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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

/// An address to listen on: `127.0.0.1:9464`, or a port alone, which is one of loopback. `None`
/// where the text is neither.
pub(super) fn listen_address(text: &str) -> Option<SocketAddr> {
    let of_loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    text.parse().map(of_loopback).or_else(|_| text.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_loopback() {
        let read = |text| listen_address(text).map(|address| address.to_string());
        assert_eq!(read("9464").as_deref(), Some("127.0.0.1:9464"));
        assert_eq!(read("[::1]:9464").as_deref(), Some("[::1]:9464"));
        assert_eq!(read("0.0.0.0:1").as_deref(), Some("0.0.0.0:1"));
        for wrong in ["", "70000", "localhost", "127.0.0.1"] {
            assert_eq!(read(wrong), None);
        }
    }
}
