//! `lifecycle_msgs`: the states of a managed node, and the services that move it between them.

use std::borrow::Cow;

use super::cdr::{Service, message};

/// The values of [`State::id`].
pub mod state {
    /// Not known.
    pub const UNKNOWN: u8 = 0;
    /// Made, and nothing more: no model, no topics.
    pub const UNCONFIGURED: u8 = 1;
    /// Ready, and still.
    pub const INACTIVE: u8 = 2;
    /// At work.
    pub const ACTIVE: u8 = 3;
    /// About to be destroyed.
    pub const FINALIZED: u8 = 4;
    /// On the way from unconfigured to inactive.
    pub const CONFIGURING: u8 = 10;
    /// On the way from inactive to unconfigured.
    pub const CLEANING_UP: u8 = 11;
    /// On the way to finalized.
    pub const SHUTTING_DOWN: u8 = 12;
    /// On the way from inactive to active.
    pub const ACTIVATING: u8 = 13;
    /// On the way from active to inactive.
    pub const DEACTIVATING: u8 = 14;
    /// A transition has failed in a way that has to be cleaned up.
    pub const ERROR_PROCESSING: u8 = 15;
}

/// The values of [`Transition::id`]: what may be asked for, and how it went.
pub mod transition {
    /// To make the node. Not for [`ChangeState`](super::ChangeState).
    pub const CREATE: u8 = 0;
    /// From unconfigured to inactive.
    pub const CONFIGURE: u8 = 1;
    /// From inactive to unconfigured.
    pub const CLEANUP: u8 = 2;
    /// From inactive to active.
    pub const ACTIVATE: u8 = 3;
    /// From active to inactive.
    pub const DEACTIVATE: u8 = 4;
    /// From unconfigured to finalized.
    pub const UNCONFIGURED_SHUTDOWN: u8 = 5;
    /// From inactive to finalized.
    pub const INACTIVE_SHUTDOWN: u8 = 6;
    /// From active to finalized.
    pub const ACTIVE_SHUTDOWN: u8 = 7;
    /// To destroy the node. Not for [`ChangeState`](super::ChangeState).
    pub const DESTROY: u8 = 8;
    /// Configuring went well.
    pub const ON_CONFIGURE_SUCCESS: u8 = 10;
    /// Configuring did not go, and left nothing behind.
    pub const ON_CONFIGURE_FAILURE: u8 = 11;
    /// Configuring broke.
    pub const ON_CONFIGURE_ERROR: u8 = 12;
    /// Cleaning up went well.
    pub const ON_CLEANUP_SUCCESS: u8 = 20;
    /// Cleaning up did not go.
    pub const ON_CLEANUP_FAILURE: u8 = 21;
    /// Cleaning up broke.
    pub const ON_CLEANUP_ERROR: u8 = 22;
    /// Activating went well.
    pub const ON_ACTIVATE_SUCCESS: u8 = 30;
    /// Activating did not go, and left nothing behind.
    pub const ON_ACTIVATE_FAILURE: u8 = 31;
    /// Activating broke.
    pub const ON_ACTIVATE_ERROR: u8 = 32;
    /// Deactivating went well.
    pub const ON_DEACTIVATE_SUCCESS: u8 = 40;
    /// Deactivating did not go.
    pub const ON_DEACTIVATE_FAILURE: u8 = 41;
    /// Deactivating broke.
    pub const ON_DEACTIVATE_ERROR: u8 = 42;
    /// Shutting down went well.
    pub const ON_SHUTDOWN_SUCCESS: u8 = 50;
    /// Shutting down did not go.
    pub const ON_SHUTDOWN_FAILURE: u8 = 51;
    /// Shutting down broke.
    pub const ON_SHUTDOWN_ERROR: u8 = 52;
    /// An error was cleaned up: unconfigured again.
    pub const ON_ERROR_SUCCESS: u8 = 60;
    /// An error could not be cleaned up: finalized.
    pub const ON_ERROR_FAILURE: u8 = 61;
    /// Cleaning up after an error broke: finalized.
    pub const ON_ERROR_ERROR: u8 = 62;
}

message! {
    /// `lifecycle_msgs/msg/State`.
    #[derive(Eq)]
    pub struct State<'a> = "lifecycle_msgs/msg/State" {
        /// One of [`state`].
        pub id: u8,
        /// Its name: `unconfigured`.
        pub label: Cow<'a, str>,
    }
}

message! {
    /// `lifecycle_msgs/msg/Transition`.
    #[derive(Eq)]
    pub struct Transition<'a> = "lifecycle_msgs/msg/Transition" {
        /// One of [`transition`].
        pub id: u8,
        /// Its name: `configure`. In a request, what counts where the id is 0.
        pub label: Cow<'a, str>,
    }
}

message! {
    /// `lifecycle_msgs/msg/TransitionDescription`.
    #[derive(Eq)]
    pub struct TransitionDescription<'a> = "lifecycle_msgs/msg/TransitionDescription" {
        /// What can be done.
        pub transition: Transition<'a>,
        /// From where.
        pub start_state: State<'a>,
        /// To where.
        pub goal_state: State<'a>,
    }
}

message! {
    /// `lifecycle_msgs/msg/TransitionEvent`.
    #[derive(Eq)]
    pub struct TransitionEvent<'a> = "lifecycle_msgs/msg/TransitionEvent" {
        /// When it was done, in nanoseconds of the node's clock.
        pub timestamp: u64,
        /// What was done.
        pub transition: Transition<'a>,
        /// From where.
        pub start_state: State<'a>,
        /// To where.
        pub goal_state: State<'a>,
    }
}

message! {
    /// Asks for a transition.
    #[derive(Eq)]
    pub struct ChangeStateRequest<'a> = "lifecycle_msgs/srv/ChangeState_Request" {
        /// The one that is asked for.
        pub transition: Transition<'a>,
    }
}

message! {
    /// How it went.
    #[derive(Copy, Eq)]
    pub struct ChangeStateResponse = "lifecycle_msgs/srv/ChangeState_Response" {
        /// Whether the node is where the transition leads.
        pub success: bool,
    }
}

/// `lifecycle_msgs/srv/ChangeState`, served as `~/change_state`.
#[derive(Clone, Copy, Debug)]
pub struct ChangeState;

impl Service for ChangeState {
    const TYPE: &'static str = "lifecycle_msgs/srv/ChangeState";
    const TYPE_HASH: &'static str =
        "RIHS01_356fe34f0475a43acf54542013af4167b0e729f77ea22ffb045c6ad8e20668e5";
    type Request<'a> = ChangeStateRequest<'a>;
    type Response<'a> = ChangeStateResponse;
}

message! {
    /// Asks for the state.
    #[derive(Copy, Eq)]
    pub struct GetStateRequest = "lifecycle_msgs/srv/GetState_Request" {}
}

message! {
    /// The state.
    #[derive(Eq)]
    pub struct GetStateResponse<'a> = "lifecycle_msgs/srv/GetState_Response" {
        /// Where the node is.
        pub current_state: State<'a>,
    }
}

/// `lifecycle_msgs/srv/GetState`, served as `~/get_state`.
#[derive(Clone, Copy, Debug)]
pub struct GetState;

impl Service for GetState {
    const TYPE: &'static str = "lifecycle_msgs/srv/GetState";
    const TYPE_HASH: &'static str =
        "RIHS01_800a0a5aae599782b02932de0caf563f6dc4e7e94b794eadde075ba2cbef9795";
    type Request<'a> = GetStateRequest;
    type Response<'a> = GetStateResponse<'a>;
}

message! {
    /// Asks which states there are.
    #[derive(Copy, Eq)]
    pub struct GetAvailableStatesRequest = "lifecycle_msgs/srv/GetAvailableStates_Request" {}
}

message! {
    /// The states.
    #[derive(Eq)]
    pub struct GetAvailableStatesResponse<'a> = "lifecycle_msgs/srv/GetAvailableStates_Response" {
        /// All that the node can be in.
        pub available_states: Vec<State<'a>>,
    }
}

/// `lifecycle_msgs/srv/GetAvailableStates`, served as `~/get_available_states`.
#[derive(Clone, Copy, Debug)]
pub struct GetAvailableStates;

impl Service for GetAvailableStates {
    const TYPE: &'static str = "lifecycle_msgs/srv/GetAvailableStates";
    const TYPE_HASH: &'static str =
        "RIHS01_00a07d79d2207d71e81a8cbc1880e5d924cc16d4688ea8e8e06e443dc8f8aa1d";
    type Request<'a> = GetAvailableStatesRequest;
    type Response<'a> = GetAvailableStatesResponse<'a>;
}

message! {
    /// Asks which transitions there are.
    #[derive(Copy, Eq)]
    pub struct GetAvailableTransitionsRequest
        = "lifecycle_msgs/srv/GetAvailableTransitions_Request" {}
}

message! {
    /// The transitions.
    #[derive(Eq)]
    pub struct GetAvailableTransitionsResponse<'a>
        = "lifecycle_msgs/srv/GetAvailableTransitions_Response"
    {
        /// What is asked of the service, from the state that the node is in or all of them.
        pub available_transitions: Vec<TransitionDescription<'a>>,
    }
}

/// `lifecycle_msgs/srv/GetAvailableTransitions`, served as `~/get_available_transitions` (from the
/// state that the node is in) and `~/get_transition_graph` (all).
#[derive(Clone, Copy, Debug)]
pub struct GetAvailableTransitions;

impl Service for GetAvailableTransitions {
    const TYPE: &'static str = "lifecycle_msgs/srv/GetAvailableTransitions";
    const TYPE_HASH: &'static str =
        "RIHS01_59b7ecefce0982a8a844b9f2c4f14764c1c4543cc55e72924e2aa4adad83e9bc";
    type Request<'a> = GetAvailableTransitionsRequest;
    type Response<'a> = GetAvailableTransitionsResponse<'a>;
}
