//! Images of one camera, raw or compressed.
//!
//! A camera driver with image_transport offers both and encodes pictures only for who subscribes.
//! Both topics are listened to until the first picture comes; then the other one is left alone, so
//! that nothing is encoded, sent and looked at twice. When pictures stay away both are tried again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::topics::ros_type;
use super::{Held, LinkError, Qos, RosBytes, RosEndpoint, RosLink, RosType};
use crate::transport::frames::{MessagePicture, frame_from_message};
use crate::transport::live::{ImageError, ImageMessage, LiveImage, NodeInput, WaitsFor, now};
use crate::types::{Picture, Stamp, StampSource};
use crate::wire::sensor_msgs::{CompressedImage, Image};

/// Pictures that stay away for so long may be on the other topic now.
const QUIET: Duration = Duration::from_secs(3);

/// How pictures travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    Compressed,
}

impl Form {
    const ALL: [Self; 2] = [Self::Raw, Self::Compressed];

    fn ros_type(self) -> RosType {
        match self {
            Self::Raw => ros_type::<Image<'_>>(),
            Self::Compressed => ros_type::<CompressedImage<'_>>(),
        }
    }
}

/// Both image topics of one camera.
pub(super) struct ImageFeed {
    camera: Arc<str>,
    /// Full names, in the order of [`Form::ALL`].
    topics: [Arc<str>; 2],
    arrivals: Arc<Mutex<Arrivals>>,
    subscriptions: Mutex<Subscriptions>,
}

struct Arrivals {
    /// What came first, of which all others are looked at.
    in_use: Option<Form>,
    newest: Instant,
    newest_image: Option<Arc<ReceivedImage>>,
}

impl Arrivals {
    fn new() -> Self {
        Self { in_use: None, newest: Instant::now(), newest_image: None }
    }
}

#[derive(Default)]
struct Subscriptions {
    /// Who takes the images; `None` while nobody does.
    input: Option<Arc<dyn NodeInput>>,
    held: [Option<Held>; 2],
}

impl ImageFeed {
    /// `topic` is the one of raw images, before remapping.
    pub(super) fn new(link: &dyn RosLink, camera: &str, topic: &str) -> Self {
        let raw = link.resolve(topic);
        // As image_transport does: who remaps `image` means all of its forms, and each form can be
        // remapped by its full name.
        let compressed = link.resolve(&format!("{raw}/compressed"));
        Self {
            camera: camera.into(),
            topics: [raw.into(), compressed.into()],
            arrivals: Arc::new(Mutex::new(Arrivals::new())),
            subscriptions: Mutex::default(),
        }
    }

    pub(super) fn open(
        &self,
        link: &dyn RosLink,
        input: &Arc<dyn NodeInput>,
    ) -> Result<(), LinkError> {
        let mut subscriptions = lock(&self.subscriptions);
        subscriptions.input = Some(Arc::clone(input));
        *lock(&self.arrivals) = Arrivals::new();
        for form in Form::ALL {
            subscriptions.held[form as usize] = Some(self.subscribe(link, form, input)?);
        }
        Ok(())
    }

    pub(super) fn close(&self) {
        *lock(&self.subscriptions) = Subscriptions::default();
    }

    /// Leaves the topic alone that is not needed, or takes it up again: never called from a
    /// callback of the link.
    pub(super) fn settle(&self, link: &dyn RosLink) {
        let mut subscriptions = lock(&self.subscriptions);
        let Some(input) = subscriptions.input.clone() else { return };
        let in_use = {
            let mut arrivals = lock(&self.arrivals);
            if arrivals.newest.elapsed() > QUIET {
                arrivals.in_use = None;
            }
            arrivals.in_use
        };
        for form in Form::ALL {
            let is_wanted = in_use.is_none_or(|in_use| in_use == form);
            let held = &mut subscriptions.held[form as usize];
            match (is_wanted, held.is_some()) {
                (true, false) => match self.subscribe(link, form, &input) {
                    Ok(subscription) => *held = Some(subscription),
                    Err(error) => tracing::warn!("{error}"),
                },
                (false, true) => *held = None,
                _ => {}
            }
        }
    }

    fn subscribe(
        &self,
        link: &dyn RosLink,
        form: Form,
        input: &Arc<dyn NodeInput>,
    ) -> Result<Held, LinkError> {
        let topic = Arc::clone(&self.topics[form as usize]);
        let endpoint = RosEndpoint {
            topic: &self.topics[form as usize],
            ros_type: form.ros_type(),
            qos: Qos::SENSOR_DATA,
        };
        let camera = Arc::clone(&self.camera);
        // One camera has one name for its pictures, in whatever form they come.
        let label = Arc::clone(&self.topics[Form::Raw as usize]);
        let (arrivals, input) = (Arc::clone(&self.arrivals), Arc::clone(input));
        link.subscribe(
            endpoint,
            Box::new(move |bytes| {
                let topic = Arc::clone(&topic);
                let message = Arc::new(ReceivedImage { topic, form, bytes, received: now() });
                {
                    let mut arrivals = lock(&arrivals);
                    if *arrivals.in_use.get_or_insert(form) != form {
                        return;
                    }
                    arrivals.newest = Instant::now();
                    arrivals.newest_image = Some(Arc::clone(&message));
                }
                input.image(&camera, &label, Box::new(message));
            }),
        )
    }

    /// The full name of the topic of raw images, which stands for the camera.
    pub(super) fn topic(&self) -> &str {
        &self.topics[Form::Raw as usize]
    }

    /// Whether a request means this camera: by its name, or by one of its topics.
    pub(super) fn is_called(&self, name: &str) -> bool {
        *self.camera == *name || self.topics.iter().any(|topic| **topic == *name)
    }

    /// The newest image, as it came.
    pub(super) fn newest(&self) -> Option<Arc<ReceivedImage>> {
        lock(&self.arrivals).newest_image.clone()
    }

    /// Where images are waited for, and who publishes there something else.
    pub(super) fn waits_for(&self, link: &dyn RosLink) -> [WaitsFor; 2] {
        Form::ALL.map(|form| {
            let topic = &self.topics[form as usize];
            let wanted = form.ros_type().name;
            let (right, wrong): (Vec<_>, Vec<_>) =
                link.publishers_on(topic).into_iter().partition(|seen| seen.type_name == wanted);
            let remark = |seen: &super::PublisherSeen| {
                format!("{} publishes {} there, not {wanted}", seen.node, seen.type_name)
            };
            let none_came = self.newest().is_none();
            let lost = link.loses_large_messages().filter(|_| none_came && !right.is_empty());
            WaitsFor {
                keys: topic.to_string(),
                publishers: Some(right.len()),
                seen: right.iter().map(|seen| format!("{} ({})", seen.node, seen.qos)).collect(),
                remarks: wrong.iter().map(remark).chain(lost.map(str::to_owned)).collect(),
            }
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can leave them half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An image as it came. Its bytes stay where the link has them until it is decoded.
pub(super) struct ReceivedImage {
    topic: Arc<str>,
    form: Form,
    bytes: Box<dyn RosBytes>,
    received: Stamp,
}

/// A message whose pixels are depths.
#[derive(Debug, thiserror::Error)]
#[error("{topic}: expected a colour image, found depth ({encoding})")]
struct Depth {
    topic: String,
    encoding: String,
}

impl ImageMessage for Arc<ReceivedImage> {
    fn decode(&self) -> Result<LiveImage, ImageError> {
        let bytes = self.bytes.bytes();
        let picture = frame_from_message(&self.topic, self.form.ros_type().name, &bytes)?;
        live_image(&self.topic, picture, self.received)
    }
}

/// A colour image with the stamp of its header.
pub(super) fn live_image(
    topic: &str,
    picture: MessagePicture,
    received: Stamp,
) -> Result<LiveImage, ImageError> {
    let MessagePicture { header, picture, encoding } = picture;
    let Picture::Color(image) = picture else {
        return Err(Depth { topic: topic.to_owned(), encoding }.into());
    };
    Ok(LiveImage { header, stamp_from: StampSource::Camera, received, encoding, image })
}
