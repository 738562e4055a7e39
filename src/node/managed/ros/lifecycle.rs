//! The services of the lifecycle.

use std::sync::Arc;

use super::super::ManagedNode;
use crate::node::lifecycle::{LifecycleState, TRANSITIONS, Transition};
use crate::transport::ros::{Answer, Held, LinkError, Out, Qos, RosLink, serve};
use crate::wire::Message;
use crate::wire::lifecycle_msgs::{
    self as msgs, ChangeState, ChangeStateRequest, ChangeStateResponse, GetAvailableStates,
    GetAvailableStatesResponse, GetAvailableTransitions, GetAvailableTransitionsResponse, GetState,
    GetStateResponse, TransitionDescription, TransitionEvent,
};

pub(super) fn serve_lifecycle(
    link: &dyn RosLink,
    node: &Arc<ManagedNode>,
) -> Result<Vec<Held>, LinkError> {
    let events = Out::open::<TransitionEvent<'_>>(link, "~/transition_event", Qos::RELIABLE)?;
    let clock = Arc::clone(node.clock());
    node.on_transition(Box::new(move |way| {
        events.send(&TransitionEvent {
            timestamp: u64::try_from(clock.now().0).unwrap_or(0),
            transition: transition(way),
            start_state: state(way.start),
            goal_state: state(way.goal),
        });
    }));

    let for_change = Arc::clone(node);
    let change = serve::<ChangeState>(link, "~/change_state", move |request, answer| {
        change_state(&for_change, &request, answer);
    })?;
    let for_state = Arc::clone(node);
    let get = serve::<GetState>(link, "~/get_state", move |_nothing, answer| {
        answer.send(&GetStateResponse { current_state: state(for_state.state()) });
    })?;
    let states =
        serve::<GetAvailableStates>(link, "~/get_available_states", |_nothing, answer| {
            let available_states = LifecycleState::ALL.map(state).to_vec();
            answer.send(&GetAvailableStatesResponse { available_states });
        })?;
    let for_transitions = Arc::clone(node);
    let transitions = serve::<GetAvailableTransitions>(
        link,
        "~/get_available_transitions",
        move |_nothing, answer| describe(Transition::from(for_transitions.state()), answer),
    )?;
    let graph =
        serve::<GetAvailableTransitions>(link, "~/get_transition_graph", |_nothing, answer| {
            describe(TRANSITIONS.iter(), answer)
        })?;
    Ok(vec![change, get, states, transitions, graph])
}

fn change_state(node: &ManagedNode, request: &[u8], answer: Answer<ChangeState>) {
    let asked = match ChangeStateRequest::decode(request) {
        Ok(request) => request.transition,
        Err(error) => {
            tracing::warn!("change_state: {error}");
            return answer.send(&ChangeStateResponse { success: false });
        }
    };
    node.change(
        asked.id,
        &asked.label,
        Box::new(move |became| {
            if let Err(reason) = &became {
                tracing::warn!("change_state: {reason}");
            }
            answer.send(&ChangeStateResponse { success: became.is_ok() });
        }),
    );
}

fn describe(
    ways: impl Iterator<Item = &'static Transition>,
    answer: Answer<GetAvailableTransitions>,
) {
    let available_transitions = ways
        .map(|way| TransitionDescription {
            transition: transition(way),
            start_state: state(way.start),
            goal_state: state(way.goal),
        })
        .collect();
    answer.send(&GetAvailableTransitionsResponse { available_transitions });
}

fn state(state: LifecycleState) -> msgs::State<'static> {
    msgs::State { id: state.id(), label: state.label().into() }
}

fn transition(way: &'static Transition) -> msgs::Transition<'static> {
    msgs::Transition { id: way.id, label: way.label.into() }
}
