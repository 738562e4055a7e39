//! What a live node hangs on, by the parameter `transport`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use owlet::config::{Config, Transport};
use owlet::transport::live::{NodeInput, NodeOutput};
use owlet::transport::rmw_zenoh::{CheckedRmwZenoh, RmwZenohLink, RmwZenohOptions, SharedMemory};
use owlet::transport::ros::{LinkError, RosLink, RosTransport};
#[cfg(feature = "ros2")]
use owlet::transport::ros2::{CheckedRos2, Ros2Link, Ros2Options};
use owlet::transport::zenoh::{
    CheckedOptions, SessionOptions, ZenohError, ZenohOptions, ZenohTransport,
};

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
        cameras: Vec<String>,
    },
    #[cfg(feature = "ros2")]
    Ros2 {
        options: Box<CheckedRos2>,
        cameras: Vec<String>,
    },
}

/// A transport that is open.
#[derive(Clone)]
pub(crate) enum Opened {
    Zenoh { transport: Arc<ZenohTransport>, node: String },
    Ros { transport: Arc<RosTransport>, node: String },
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
    match config.transport {
        Transport::Zenoh => {
            let options = ZenohOptions {
                node: config.node.clone(),
                session,
                images: config.zenoh_images.clone(),
                cdr: config.zenoh_cdr,
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
            Ok(Checked::RmwZenoh { options: Box::new(options), cameras: config.cameras.clone() })
        }
        #[cfg(feature = "ros2")]
        Transport::Ros2 => {
            let options =
                Ros2Options { node: config.node.clone(), remap: config.ros_remap.clone() };
            let options = options.check().map_err(|error| Refused(error.to_string()))?;
            Ok(Checked::Ros2 { options: Box::new(options), cameras: config.cameras.clone() })
        }
        #[cfg(not(feature = "ros2"))]
        Transport::Ros2 => Err(Refused(
            "transport: expected zenoh or rmw_zenoh, found ros2, which this program was built \
             without (`cargo build --features ros2` in a sourced ROS 2)"
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
            Self::RmwZenoh { options, cameras } => {
                let link = RmwZenohLink::open(*options).map_err(link_with_advice)?;
                let node = link.node_name();
                tracing::info!(
                    "{node}: a router of rmw_zenoh is looked for at {}",
                    link.looks_at()
                );
                let transport = RosTransport::open(link, &cameras)?;
                Ok(Opened::Ros { transport, node })
            }
            #[cfg(feature = "ros2")]
            Self::Ros2 { options, cameras } => {
                let link = Arc::new(Ros2Link::open(*options)?);
                let node = link.node_name();
                let transport = RosTransport::open(link, &cameras)?;
                Ok(Opened::Ros { transport, node })
            }
        }
    }
}

impl Opened {
    /// What the node gives its results to.
    pub(crate) fn output(&self) -> Arc<dyn NodeOutput> {
        match self {
            Self::Zenoh { transport, .. } => Arc::clone(transport) as _,
            Self::Ros { transport, .. } => Arc::clone(transport) as _,
        }
    }

    /// Subscribes and answers from now on.
    ///
    /// # Errors
    /// A topic or a key that is refused.
    pub(crate) fn serve(&self, input: &Arc<dyn NodeInput>) -> anyhow::Result<()> {
        match self {
            Self::Zenoh { transport, .. } => transport.serve(input)?,
            Self::Ros { transport, .. } => {
                transport.serve(input)?;
                transport.activate()?;
            }
        }
        Ok(())
    }

    /// Where images are waited for and results go, in words.
    pub(crate) fn in_words(&self) -> String {
        let waits_for = self.output().waits_for();
        let images: Vec<_> = waits_for.into_iter().map(|waits| waits.keys).collect();
        let images = images.join(", ");
        match self {
            Self::Zenoh { node, .. } => format!("images on {images}, all else below owlet/{node}/"),
            Self::Ros { node, .. } => format!("images on {images}, all else below {node}/"),
        }
    }

    /// Leaves the network, so that everybody knows at once; waits no longer than `patience`.
    pub(crate) fn close(&self, patience: Duration) {
        match self {
            Self::Zenoh { transport, .. } => transport.close(patience),
            Self::Ros { transport, .. } => transport.close(patience),
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
