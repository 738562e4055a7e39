//! What a live node hangs on, by the parameter `transport`.

use std::sync::Arc;

use anyhow::anyhow;
use owlet::config::{Config, Transport};
use owlet::node::managed::ManagedNode;
use owlet::node::managed::ros::{Management, manage};
use owlet::transport::live::{LiveTransport, NodeClock, SpaceOutputs};
use owlet::transport::rmw_zenoh::{CheckedRmwZenoh, RmwZenohLink, RmwZenohOptions, SharedMemory};
use owlet::transport::ros::{LinkError, RosLink, RosTransport, RosTransportOptions};
#[cfg(feature = "ros2")]
use owlet::transport::ros2::{CheckedRos2, Ros2Link, Ros2Options};
use owlet::transport::zenoh::{
    CheckedOptions, SessionOptions, ZenohError, ZenohOptions, ZenohTransport,
};
use owlet::types::LocateMode;

use super::Refused;

/// Options of a transport that were checked: all that can be refused is refused before the model is
/// loaded.
pub(crate) enum Checked {
    Zenoh {
        options: Box<CheckedOptions>,
        node: String,
    },
    RmwZenoh {
        options: Box<CheckedRmwZenoh>,
        topics: RosTransportOptions,
    },
    #[cfg(feature = "ros2")]
    Ros2 {
        options: Box<CheckedRos2>,
        topics: RosTransportOptions,
    },
}

/// A transport that is open.
#[derive(Clone)]
pub(crate) enum Opened {
    Zenoh { transport: Arc<ZenohTransport>, node: String },
    Ros { transport: Arc<RosTransport>, link: Arc<dyn RosLink>, clock: Arc<NodeClock> },
}

/// Checks the options of the transport that is asked for.
///
/// # Errors
/// Every problem of theirs.
pub(crate) fn check(config: &Config) -> Result<Checked, Refused> {
    let session = SessionOptions {
        config: config.zenoh_config.clone(),
        mode: config.zenoh_mode.clone(),
        connect: config.zenoh_connect.clone(),
        listen: config.zenoh_listen.clone(),
    };
    let space = SpaceOutputs { picks: config.picks, heightmap: config.heightmap };
    let topics = || RosTransportOptions {
        cameras: config.cameras.clone(),
        locates: config.locate != LocateMode::Never,
        space,
    };
    match config.transport {
        Transport::Zenoh => {
            if let Some(rule) = config.ros_remap.iter().find(|rule| !rule.contains("__")) {
                tracing::warn!(
                    "ros_remap: {rule} moves a topic of ROS, and plain zenoh has none: zenoh_images \
                     names its keys, and with `--transport rmw_zenoh` the node speaks ROS"
                );
            }
            let options = ZenohOptions {
                node: config.node.clone(),
                session,
                images: config.zenoh_images.clone(),
                cdr: config.zenoh_cdr,
                locates: config.locate != LocateMode::Never,
                space,
            };
            let options = options.check().map_err(|error| Refused(error.to_string()))?;
            Ok(Checked::Zenoh { options: Box::new(options), node: config.node.clone() })
        }
        Transport::RmwZenoh => {
            let options = RmwZenohOptions {
                node: config.node.clone(),
                remap: config.ros_remap.clone(),
                domain_id: config.ros_domain_id,
                session,
                shared_memory: (config.ros_shm_mib > 0).then_some(SharedMemory {
                    pool_bytes: config.ros_shm_mib << 20,
                    threshold_bytes: config.ros_shm_threshold_bytes,
                }),
            };
            let options = options.check().map_err(|error| Refused(error.to_string()))?;
            Ok(Checked::RmwZenoh { options: Box::new(options), topics: topics() })
        }
        #[cfg(feature = "ros2")]
        Transport::Ros2 => {
            let options =
                Ros2Options { node: config.node.clone(), remap: config.ros_remap.clone() };
            let options = options.check().map_err(|error| Refused(error.to_string()))?;
            Ok(Checked::Ros2 { options: Box::new(options), topics: topics() })
        }
        #[cfg(not(feature = "ros2"))]
        Transport::Ros2 => Err(Refused(
            "transport: expected zenoh or rmw_zenoh, found ros2, which this program was built \
             without (`cargo build --features ros2` where a ROS 2 is sourced)"
                .to_owned(),
        )),
    }
}

impl Checked {
    /// Opens the transport; nothing is taken from it yet.
    ///
    /// # Errors
    /// No connection.
    pub(crate) fn open(self) -> anyhow::Result<Opened> {
        match self {
            Self::Zenoh { options, node } => {
                let transport = ZenohTransport::open(*options).map_err(with_advice)?;
                Ok(Opened::Zenoh { transport, node })
            }
            Self::RmwZenoh { options, topics } => {
                let link = RmwZenohLink::open(*options).map_err(link_with_advice)?;
                let node = link.node_name();
                tracing::info!(
                    "{node}: a router of rmw_zenoh is looked for at {}",
                    link.looks_at()
                );
                Opened::over(link, &topics)
            }
            #[cfg(feature = "ros2")]
            Self::Ros2 { options, topics } => Opened::over(Ros2Link::open(*options)?, &topics),
        }
    }
}

impl Opened {
    /// The topics of a node of ROS 2, over whichever link.
    fn over(link: Arc<dyn RosLink>, topics: &RosTransportOptions) -> anyhow::Result<Self> {
        let clock = Arc::<NodeClock>::default();
        let transport = RosTransport::open(Arc::clone(&link), topics, Arc::clone(&clock))?;
        Ok(Self::Ros { transport, link, clock })
    }

    /// The transport itself.
    pub(crate) fn transport(&self) -> Arc<dyn LiveTransport> {
        match self {
            Self::Zenoh { transport, .. } => Arc::clone(transport) as _,
            Self::Ros { transport, .. } => Arc::clone(transport) as _,
        }
    }

    /// The clock that its stamps come from.
    pub(crate) fn clock(&self) -> Arc<NodeClock> {
        match self {
            Self::Zenoh { .. } => Arc::default(),
            Self::Ros { clock, .. } => Arc::clone(clock),
        }
    }

    /// Serves lifecycle and parameters, where the transport has a way for them; `None` where
    /// nobody can ask for a transition.
    ///
    /// # Errors
    /// A topic or service that is refused.
    pub(crate) fn manage(&self, node: &Arc<ManagedNode>) -> anyhow::Result<Option<Management>> {
        match self {
            Self::Zenoh { .. } => Ok(None),
            Self::Ros { link, .. } => Ok(Some(manage(link, node)?)),
        }
    }

    /// Where images are waited for and results go, in words.
    pub(crate) fn in_words(&self) -> String {
        let waits_for = self.transport().waits_for();
        let images: Vec<_> = waits_for.into_iter().map(|waits| waits.keys).collect();
        let images = images.join(", ");
        match self {
            Self::Zenoh { node, .. } => format!("images on {images}, all else below owlet/{node}/"),
            Self::Ros { link, .. } => {
                format!("images on {images}, all else below {}/", link.node_name())
            }
        }
    }
}

const ADVICE: &str = "is the router there? see zenoh_connect, zenoh_listen, zenoh_mode";

fn with_advice(error: ZenohError) -> anyhow::Error {
    match error {
        ZenohError::Open { .. } => anyhow!("{error} ({ADVICE})"),
        error => error.into(),
    }
}

fn link_with_advice(error: LinkError) -> anyhow::Error {
    match error {
        LinkError::Open { .. } => anyhow!("{error} ({ADVICE})"),
        error => error.into(),
    }
}
