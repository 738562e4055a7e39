//! Owlet: a perception node for robots. A camera frame and a set of prompts go in; labelled boxes
//! come out.
//!
//! The crate is a house with floors. Each module may use the floors below its own and nothing
//! above or beside it, except where the table says "together"; a test reads the imports and holds
//! that.
//!
//! | floor | modules | what lives there |
//! | --- | --- | --- |
//! | 0 | [`types`] | the words: stamps, frames, prompts, boxes, detections, timings |
//! | 1 | [`vision`], [`wire`], [`config`], [`hub`] | host image work; message structs and CDR; configuration; checkpoints on disk and on the hub |
//! | 2 | [`tasks`], [`nn`] | the contract of every task; shared torch blocks |
//! | 3 | [`weights`], [`tokenize`], [`models`] (together) | strict loading; text to ids; one file per architecture |
//! | 4 | [`detect`] | a task: preprocess, forward, decode |
//! | 5 | [`pipeline`], [`transport`], [`report`] | the inference thread and its mailboxes; recordings in and out; pages for people |
//!
//! Above them stands the binary: `app` wires configuration, transport and pipeline, and `main` is
//! the command line.
//!
//! `tch::` is named only on floors 2 to 4, `opencv::` only under [`vision`]. Units and spaces
//! stand in names: see [`types`].

pub mod config;
pub mod detect;
pub mod hub;
pub mod models;
pub mod nn;
pub mod pipeline;
pub mod report;
pub mod tasks;
pub mod tokenize;
pub mod transport;
pub mod types;
pub mod vision;
pub mod weights;
pub mod wire;
