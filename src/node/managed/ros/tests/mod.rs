//! The node as a client in ROS sees it, over a link in memory.

mod lifecycle;
mod parameters;
mod prompts;

use std::sync::mpsc::{self, Receiver, Sender};

use super::stage::{Stage, TOO_LONG, image};
use crate::config::Config;
use crate::transport::live::{ImageError, ImageMessage, LiveImage, NodeInput, SingleImage};
use crate::transport::ros::{Qos, RosEndpoint, RosLink, ros_type};
use crate::types::Prompt;
use crate::wire::lifecycle_msgs::ChangeState;
use crate::wire::sensor_msgs::Image;
use crate::wire::vision_msgs::Detection2DArray;
use crate::wire::{Message, Service};

fn with_a_cat(config: &mut Config) {
    config.prompts = vec![Prompt::from_text("cat")];
}

/// An image that is not read before it may be.
struct Slow {
    begins: Sender<()>,
    may_end: Receiver<()>,
}

impl ImageMessage for Slow {
    fn decode(&self) -> Result<LiveImage, ImageError> {
        self.begins.send(()).unwrap();
        self.may_end.recv_timeout(TOO_LONG).unwrap();
        Err("nothing can be seen".into())
    }
}

/// Nor do prompts that come with it and have to be encoded: both is done on one thread.
#[test]
fn a_single_image_that_takes_long_holds_no_camera_up() {
    let stage = Stage::new(with_a_cat);
    stage.go(&["configure", "activate"]);
    let found = stage.hear::<Detection2DArray<'_>>("/cell/owlet/detections");
    let (begins, began) = mpsc::channel();
    let (lets_end, may_end) = mpsc::channel();
    let (tells, answered) = mpsc::channel();
    let message = Box::new(Slow { begins, may_end });
    let asked = SingleImage { message, prompts: None };
    let answer = move |answer: Result<_, String>| tells.send(answer.err()).unwrap();
    stage.node.detect("detect", asked, Box::new(answer));
    began.recv_timeout(TOO_LONG).unwrap();

    let endpoint = RosEndpoint {
        topic: "/cell/image",
        ros_type: ros_type::<Image<'_>>(),
        qos: Qos::SENSOR_DATA,
    };
    stage.client.publisher(endpoint).unwrap().publish(&image(7)).unwrap();
    let detections = found.next();
    let detections = Detection2DArray::decode(&detections).unwrap();
    assert_eq!(detections.header.stamp.sec, 7);
    assert!(answered.try_recv().is_err());
    lets_end.send(()).unwrap();
    let reason = answered.recv_timeout(TOO_LONG).unwrap();
    assert_eq!(reason.as_deref(), Some("nothing can be seen"));
}

/// Somebody has declared images and none comes: what may keep them is said, until one came.
#[test]
fn what_may_keep_images_from_coming_is_said() {
    let stage = Stage::new(with_a_cat);
    stage.go(&["configure", "activate"]);
    let why = || stage.node.status().why.join("; ");
    assert!(why().contains("no publisher is declared there"), "{}", why());
    assert!(!why().contains("may be lost"), "{}", why());
    let endpoint = RosEndpoint {
        topic: "/cell/image",
        ros_type: ros_type::<Image<'_>>(),
        qos: Qos::SENSOR_DATA,
    };
    let camera = stage.client.publisher(endpoint).unwrap();
    let expected = "nothing of it has come yet: /client (";
    assert!(why().contains(expected), "{}", why());
    assert!(why().contains("/cell/image: large ones may be lost"), "{}", why());
    let found = stage.hear::<Detection2DArray<'_>>("/cell/owlet/detections");
    camera.publish(&image(7)).unwrap();
    found.next();
    assert!(!why().contains("may be lost"), "{}", why());
}

#[test]
fn the_services_have_the_types_of_ros() {
    // What a client asks for by another type is not served.
    let stage = Stage::new(|_| ());
    let wrong = crate::transport::ros::RosType { name: ChangeState::TYPE, hash: "RIHS01_00" };
    assert!(stage.client.call("/cell/owlet/change_state", wrong, Vec::new()).is_none());
}
