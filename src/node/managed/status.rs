//! The status of a node in every state.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::lifecycle::LifecycleState;
use super::super::status::memory_bytes;
use super::silence::{Said, Silence};
use super::{ManagedNode, STATUS_EVERY};
use crate::transport::live::{ModelStatus, NodeInput, PromptsStatus, RequestCounts, State, Status};

impl ManagedNode {
    /// The status thread.
    pub(super) fn publish_status(&self) {
        let mut silence = Silence::default();
        loop {
            self.shared.transport.look_around();
            let status = self.make_status();
            self.shared.transport.status(&status);
            match silence.look(&status, Instant::now()) {
                Some(Said::Why(why)) => tracing::warn!("{why}"),
                Some(Said::Over) => tracing::info!("it has passed: images are looked at"),
                None => {}
            }
            if !self.shared.pulse.wait(STATUS_EVERY) {
                // The last word, before the transport is closed.
                return self.shared.transport.status(&self.make_status());
            }
        }
    }

    pub(super) fn make_status(&self) -> Status {
        let state = self.state();
        let mut status = match self.shared.running() {
            Some(running) => running.node().status(),
            None => self.without_model(),
        };
        match state {
            LifecycleState::Active => {}
            LifecycleState::Unconfigured => {
                (status.state, status.why) = match self.why() {
                    Some(why) => (State::CannotLoad, vec![format!("no model is loaded: {why}")]),
                    None => {
                        let why = "no model is loaded: it waits to be configured";
                        (State::Unconfigured, vec![why.to_owned()])
                    }
                };
            }
            LifecycleState::Inactive => {
                status.state = State::Inactive;
                let how = "it is inactive: it takes images when it is activated";
                status.why = vec![match self.why() {
                    Some(why) => format!("{how}; the newest attempt failed: {why}"),
                    None => how.to_owned(),
                }];
            }
            LifecycleState::Finalized => {
                status.state = State::Ended;
                status.why = vec!["it was shut down".to_owned()];
            }
            LifecycleState::Configuring => {
                status.state = State::Changing;
                status.why = vec![format!("the model {} is being loaded", status.model.name)];
            }
            other => {
                status.state = State::Changing;
                status.why = vec![format!("it is {}", other.label())];
            }
        }
        if self.shared.clock.waits_for_time() {
            let why = "use_sim_time is set and no time has come on /clock: stamps are 0";
            status.why.push(why.to_owned());
        }
        status
    }

    fn without_model(&self) -> Status {
        let transport = &*self.shared.transport;
        let config = self.shared.config().clone();
        Status {
            node: config.node,
            owlet: env!("CARGO_PKG_VERSION").to_owned(),
            state: State::Unconfigured,
            why: Vec::new(),
            uptime_secs: 0.0,
            memory_bytes: memory_bytes(),
            // As it was asked for.
            model: ModelStatus {
                name: config.model,
                device: config.device.to_string(),
                dtype: config.dtype.to_string(),
            },
            prompts: PromptsStatus { version: 0, names: Vec::new() },
            connected: transport.connections(),
            waits_for: transport.waits_for(),
            cameras: BTreeMap::new(),
            transforms: None,
            refused_images: None,
            requests: RequestCounts::default(),
        }
    }
}
