//! Owlet: a perception node for robots. A camera frame and a set of prompts go in; labelled boxes
//! or masks come out.
//!
//! The crate is a house with floors. Each module may use the floors below its own and nothing
//! above or beside it, except where the table says "together"; a test reads the imports and holds
//! that.
//!
//! | floor | modules | what lives there |
//! | --- | --- | --- |
//! | 0 | [`types`] | the words: stamps, frames, prompts, boxes, detections, timings |
//! | 1 | [`vision`], [`geometry`], [`track`], [`wire`], [`hub`] | host image work; cameras, transforms and places in space; ids over time; message structs and CDR; checkpoints on disk and on the hub |
//! | 2 | [`config`], [`tasks`], [`nn`] | configuration and prompt files; the contract of every task; shared torch blocks |
//! | 3 | [`weights`], [`tokenize`], [`models`] (together) | strict loading; text to ids; one file per architecture |
//! | 4 | [`detect`], [`segment`], [`ground`] | a task each: preprocess, forward, decode; things told by pairs of pictures and texts |
//! | 5 | [`pipeline`], [`transport`], [`eval`], [`spatial`] | the inference thread and its mailboxes; recordings and live messages in and out; how good detections are; boxes in metres |
//! | 6 | [`report`], [`node`] | pages for people; a live node, whatever transport it hangs on |
//!
//! Above them stands the binary: `app` wires configuration, transport and pipeline, and `main` is
//! the command line.
//!
//! `tch::` is named only on floors 2 to 4, `opencv::` only under [`vision`], `zenoh::` only under
//! `transport::zenoh`, `hiroz::` (with the zenoh words that it hands over) only under
//! `transport::rmw_zenoh`, `r2r::` only under `transport::ros2`. Units and spaces stand in names: see [`types`].

pub mod config;
pub mod detect;
pub mod eval;
pub mod geometry;
pub mod ground;
pub mod hub;
pub mod models;
pub mod nn;
pub mod node;
pub mod pipeline;
pub mod report;
pub mod segment;
pub mod spatial;
pub mod tasks;
pub mod tokenize;
pub mod track;
pub mod transport;
pub mod types;
pub mod vision;
pub mod weights;
pub mod wire;
