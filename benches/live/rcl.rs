//! The way through rcl: camera and node in one process, and in two.

use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;

use owlet::transport::live::LiveTransport;
use owlet::transport::ros::RosLink;
use owlet::transport::ros2::{Ros2Link, Ros2Options};

use super::{Linked, PATIENCE, Run, echo, over, report, start_over};

/// The word before what this program is to answer frames with, as the other process.
const ANSWER_WITH: &str = "--answer-with";

fn open(name: &str) -> Arc<dyn RosLink> {
    let options = Ros2Options { node: name.to_owned(), remap: Vec::new() };
    Ros2Link::open(options.check().expect("good options")).expect("a sourced ROS 2")
}

pub(super) fn linked() -> Linked {
    ["owlet", "camera"].map(open)
}

/// Answers frames until its input ends, where this is the other process.
pub(super) fn is_other_process() -> bool {
    let mut words = std::env::args().skip_while(|word| word != ANSWER_WITH).skip(1);
    let Some(with) = words.next() else { return false };
    let node = open("owlet");
    let wait = || io::copy(&mut io::stdin(), &mut io::sink()).expect("an input");
    if with == "echo" {
        let held = echo(&*node);
        wait();
        drop(held);
        node.close(PATIENCE);
    } else {
        let (running, transport) = start_over(node);
        wait();
        running.end(PATIENCE);
        transport.close(PATIENCE);
    }
    true
}

/// An echo and then a node, each in a process of its own.
pub(super) fn between_processes(frames: usize) {
    let program = std::env::current_exe().expect("this program");
    let [echoed, whole] =
        [("echo", "answered on the spot"), ("owlet", "owlet")].map(|(with, what)| {
            let mut other = Command::new(&program)
                .args([ANSWER_WITH, with])
                .stdin(Stdio::piped())
                .spawn()
                .expect("this program once more");
            let camera = open("camera");
            let run = Run { frames, other_process: Some(other.id()) };
            let median = over(&format!("ros2 (rcl), two processes, {what}"), run, &*camera);
            drop(other.stdin.take());
            other.wait().expect("it ends");
            camera.close(PATIENCE);
            median
        });
    report(format_args!("  of which owlet's own: {:.2} ms (median)", whole - echoed));
}
