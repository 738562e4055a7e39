//! The states of a managed node and the ways between them, as data.
//!
//! They are those of rcl (`rcl_lifecycle/src/default_state_machine.c`), with its numbers and names:
//! a client finds the same machine here as in any managed node.

use crate::wire::lifecycle_msgs::{state as id, transition};

/// A state of a managed node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LifecycleState {
    /// Not known. No node is in it; it is one of the states that a client is told of.
    Unknown = id::UNKNOWN,
    /// No model is loaded.
    Unconfigured = id::UNCONFIGURED,
    /// The model is loaded; no image is taken.
    Inactive = id::INACTIVE,
    /// Images come in, detections go out.
    Active = id::ACTIVE,
    /// The end.
    Finalized = id::FINALIZED,
    /// The model is being loaded.
    Configuring = id::CONFIGURING,
    /// The model is being freed.
    CleaningUp = id::CLEANING_UP,
    /// Everything is being freed.
    ShuttingDown = id::SHUTTING_DOWN,
    /// Subscriptions are being made.
    Activating = id::ACTIVATING,
    /// Subscriptions are being dropped.
    Deactivating = id::DEACTIVATING,
    /// A transition broke; what is left of the node is being freed.
    ErrorProcessing = id::ERROR_PROCESSING,
}

use LifecycleState::{
    Activating, Active, CleaningUp, Configuring, Deactivating, ErrorProcessing, Finalized,
    Inactive, ShuttingDown, Unconfigured, Unknown,
};

impl LifecycleState {
    /// All of them, in the order in which rcl lists them.
    pub const ALL: [Self; 11] = [
        Unknown,
        Unconfigured,
        Inactive,
        Active,
        Finalized,
        Configuring,
        CleaningUp,
        ShuttingDown,
        Activating,
        Deactivating,
        ErrorProcessing,
    ];

    /// Its number (`lifecycle_msgs/msg/State`).
    #[must_use]
    pub fn id(self) -> u8 {
        self as u8
    }

    /// Its name.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Unknown => "unknown",
            Unconfigured => "unconfigured",
            Inactive => "inactive",
            Active => "active",
            Finalized => "finalized",
            Configuring => "configuring",
            CleaningUp => "cleaningup",
            ShuttingDown => "shuttingdown",
            Activating => "activating",
            Deactivating => "deactivating",
            ErrorProcessing => "errorprocessing",
        }
    }

    /// Whether the node stays in it until somebody asks for something else.
    #[must_use]
    pub fn is_primary(self) -> bool {
        matches!(self, Unconfigured | Inactive | Active | Finalized)
    }
}

/// A way from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Its number (`lifecycle_msgs/msg/Transition`).
    pub id: u8,
    /// Its name. Ways out of a state in which something is done are named by how it went; they
    /// cannot be asked for.
    pub label: &'static str,
    /// From where.
    pub start: LifecycleState,
    /// To where.
    pub goal: LifecycleState,
}

/// How a thing that is done on the way went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Success,
    /// It is not, and all is as it was before.
    Failure,
    /// It is not, and nobody knows what is left.
    Error,
}

const fn ask(
    id: u8,
    label: &'static str,
    start: LifecycleState,
    goal: LifecycleState,
) -> Transition {
    Transition { id, label, start, goal }
}

const fn ended(
    id: u8,
    outcome: Outcome,
    start: LifecycleState,
    goal: LifecycleState,
) -> Transition {
    let label = match outcome {
        Outcome::Success => SUCCESS,
        Outcome::Failure => FAILURE,
        Outcome::Error => ERROR,
    };
    Transition { id, label, start, goal }
}

const SUCCESS: &str = "transition_success";
const FAILURE: &str = "transition_failure";
const ERROR: &str = "transition_error";

/// All transitions.
pub static TRANSITIONS: [Transition; 25] = {
    use Outcome::{Error, Failure, Success};
    use transition as t;
    [
        ask(t::CONFIGURE, "configure", Unconfigured, Configuring),
        ended(t::ON_CONFIGURE_SUCCESS, Success, Configuring, Inactive),
        ended(t::ON_CONFIGURE_FAILURE, Failure, Configuring, Unconfigured),
        ended(t::ON_CONFIGURE_ERROR, Error, Configuring, ErrorProcessing),
        ask(t::CLEANUP, "cleanup", Inactive, CleaningUp),
        ended(t::ON_CLEANUP_SUCCESS, Success, CleaningUp, Unconfigured),
        ended(t::ON_CLEANUP_FAILURE, Failure, CleaningUp, Inactive),
        ended(t::ON_CLEANUP_ERROR, Error, CleaningUp, ErrorProcessing),
        ask(t::ACTIVATE, "activate", Inactive, Activating),
        ended(t::ON_ACTIVATE_SUCCESS, Success, Activating, Active),
        ended(t::ON_ACTIVATE_FAILURE, Failure, Activating, Inactive),
        ended(t::ON_ACTIVATE_ERROR, Error, Activating, ErrorProcessing),
        ask(t::DEACTIVATE, "deactivate", Active, Deactivating),
        ended(t::ON_DEACTIVATE_SUCCESS, Success, Deactivating, Inactive),
        ended(t::ON_DEACTIVATE_FAILURE, Failure, Deactivating, Active),
        ended(t::ON_DEACTIVATE_ERROR, Error, Deactivating, ErrorProcessing),
        ask(t::UNCONFIGURED_SHUTDOWN, "shutdown", Unconfigured, ShuttingDown),
        ask(t::INACTIVE_SHUTDOWN, "shutdown", Inactive, ShuttingDown),
        ask(t::ACTIVE_SHUTDOWN, "shutdown", Active, ShuttingDown),
        ended(t::ON_SHUTDOWN_SUCCESS, Success, ShuttingDown, Finalized),
        ended(t::ON_SHUTDOWN_FAILURE, Failure, ShuttingDown, Finalized),
        ended(t::ON_SHUTDOWN_ERROR, Error, ShuttingDown, ErrorProcessing),
        ended(t::ON_ERROR_SUCCESS, Success, ErrorProcessing, Unconfigured),
        ended(t::ON_ERROR_FAILURE, Failure, ErrorProcessing, Finalized),
        ended(t::ON_ERROR_ERROR, Error, ErrorProcessing, Finalized),
    ]
};

impl Transition {
    /// The ways out of a state.
    pub fn from(state: LifecycleState) -> impl Iterator<Item = &'static Self> {
        TRANSITIONS.iter().filter(move |transition| transition.start == state)
    }

    /// The way that is asked for from a state: by its name where one is given, as rclcpp has it
    /// (`ros2 service call` leaves numbers at 0), else by its number. `None` where no such way
    /// leads out of the state, and in a state in which something is being done.
    #[must_use]
    pub fn asked_for(state: LifecycleState, id: u8, label: &str) -> Option<&'static Self> {
        let is_it = |transition: &&Self| match label {
            "" => transition.id == id,
            label => transition.label == label,
        };
        Self::from(state).filter(|_| state.is_primary()).find(is_it)
    }

    /// The way out of a state in which something was done, by how it went; `None` from a state in
    /// which nothing is done.
    #[must_use]
    pub fn after(state: LifecycleState, outcome: Outcome) -> Option<&'static Self> {
        let label = match outcome {
            Outcome::Success => SUCCESS,
            Outcome::Failure => FAILURE,
            Outcome::Error => ERROR,
        };
        Self::from(state).find(|transition| transition.label == label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_name_one_transition_each_and_states_are_told_apart() {
        let mut ids: Vec<_> = TRANSITIONS.iter().map(|transition| transition.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), TRANSITIONS.len());
        let mut labels = LifecycleState::ALL.map(LifecycleState::label).to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), LifecycleState::ALL.len());
    }

    #[test]
    fn every_state_but_the_end_leads_somewhere_and_what_is_done_ends_in_three_ways() {
        for state in LifecycleState::ALL {
            let ways: Vec<_> = Transition::from(state).collect();
            match state {
                Unknown | Finalized => assert_eq!(ways, [] as [&Transition; 0]),
                state if state.is_primary() => {
                    assert!(ways.iter().all(|way| !way.goal.is_primary()), "{state:?}");
                }
                state => {
                    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Error] {
                        let way = Transition::after(state, outcome).unwrap();
                        assert!(way.goal.is_primary() || way.goal == ErrorProcessing, "{way:?}");
                    }
                    assert_eq!(ways.len(), 3, "{state:?}");
                }
            }
        }
    }

    #[test]
    fn of_all_requests_in_all_states_those_of_rcl_are_legal() {
        let legal = [
            (Unconfigured, 1, "configure", Configuring),
            (Unconfigured, 5, "shutdown", ShuttingDown),
            (Inactive, 2, "cleanup", CleaningUp),
            (Inactive, 3, "activate", Activating),
            (Inactive, 6, "shutdown", ShuttingDown),
            (Active, 4, "deactivate", Deactivating),
            (Active, 7, "shutdown", ShuttingDown),
        ];
        for state in LifecycleState::ALL {
            for id in 0..=u8::MAX {
                let expected = legal.iter().find(|row| row.0 == state && row.1 == id);
                let found = Transition::asked_for(state, id, "");
                assert_eq!(found.map(|way| way.goal), expected.map(|row| row.3), "{state:?} {id}");
            }
            for label in
                ["configure", "cleanup", "activate", "deactivate", "shutdown", SUCCESS, "x"]
            {
                let expected = legal.iter().find(|row| row.0 == state && row.2 == label);
                // A name wins over whatever number stands beside it.
                let found = Transition::asked_for(state, 99, label);
                assert_eq!(found.map(|way| way.id), expected.map(|row| row.1), "{state:?} {label}");
            }
        }
    }
}
