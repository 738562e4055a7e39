use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// Nothing here takes a hundredth of it.
const TOO_LONG: Duration = Duration::from_secs(60);

/// Does what the test tells it to, and says what it was asked to do.
struct Puppet {
    did: Sender<&'static str>,
    results: Receiver<Result<(), NotDone>>,
    can_recover: bool,
}

impl Puppet {
    fn act(&mut self, what: &'static str) -> Result<(), NotDone> {
        self.did.send(what).unwrap();
        self.results.recv().expect("the test says how it goes")
    }
}

impl Managed for Puppet {
    fn configure(&mut self) -> Result<(), NotDone> {
        self.act("configure")
    }

    fn activate(&mut self) -> Result<(), NotDone> {
        self.act("activate")
    }

    fn deactivate(&mut self) -> Result<(), NotDone> {
        self.act("deactivate")
    }

    fn clean_up(&mut self) -> Result<(), NotDone> {
        self.act("clean up")
    }

    fn shut_down(&mut self) {
        self.act("shut down").unwrap();
    }

    fn recover(&mut self) {
        self.did.send("recover").unwrap();
        assert!(self.can_recover, "told to panic");
    }
}

struct Stage {
    lifecycle: Lifecycle<Puppet>,
    did: Receiver<&'static str>,
    results: Sender<Result<(), NotDone>>,
    seen: Receiver<&'static Transition>,
}

impl Stage {
    fn new(can_recover: bool) -> Self {
        let (did_sender, did) = channel();
        let (results, results_receiver) = channel();
        let (seen_sender, seen) = channel();
        let puppet = Puppet { did: did_sender, results: results_receiver, can_recover };
        let lifecycle = Lifecycle::start(puppet).unwrap();
        lifecycle.listen(Box::new(move |transition| seen_sender.send(transition).unwrap()));
        Self { lifecycle, did, results, seen }
    }

    fn ask(&self, label: &str) -> Receiver<Result<(), NotChanged>> {
        let (reply, answer) = channel();
        self.lifecycle.change(0, label, Box::new(move |done| reply.send(done).unwrap()));
        answer
    }

    fn change(&self, label: &str, result: Result<(), NotDone>) -> Result<(), NotChanged> {
        self.results.send(result).unwrap();
        self.ask(label).recv_timeout(TOO_LONG).unwrap()
    }

    /// The states that were gone through since the last call.
    fn way(&self) -> Vec<&'static str> {
        let mut way = Vec::new();
        for transition in self.seen.try_iter() {
            if let Some(last) = way.last() {
                assert_eq!(*last, transition.start.label(), "no gap");
            } else {
                way.push(transition.start.label());
            }
            way.push(transition.goal.label());
        }
        way
    }

    fn did(&self) -> Vec<&'static str> {
        self.did.try_iter().collect()
    }
}

fn failed() -> NotDone {
    NotDone::Failed("no luck".to_owned())
}

fn broken() -> NotDone {
    NotDone::Broken("in pieces".to_owned())
}

#[test]
fn a_whole_life_is_told_step_by_step() {
    let stage = Stage::new(true);
    assert_eq!(stage.lifecycle.state(), LifecycleState::Unconfigured);
    for label in
        ["configure", "activate", "deactivate", "activate", "deactivate", "cleanup", "configure"]
    {
        stage.change(label, Ok(())).unwrap();
    }
    assert_eq!(stage.lifecycle.state(), LifecycleState::Inactive);
    stage.change("shutdown", Ok(())).unwrap();
    assert_eq!(
        stage.way().join(" "),
        "unconfigured configuring inactive activating active deactivating inactive activating \
         active deactivating inactive cleaningup unconfigured configuring inactive shuttingdown \
         finalized"
    );
    let refused = stage.ask("configure").recv_timeout(TOO_LONG).unwrap().unwrap_err();
    assert!(refused.to_string().ends_with("(there are: none)"), "{refused}");
}

#[test]
fn what_fails_leaves_the_state_before_and_its_reason() {
    let stage = Stage::new(true);
    let goes = |label, result| stage.change(label, result);
    assert_eq!(goes("configure", Err(failed())), Err(NotChanged::NotDone(failed())));
    assert_eq!(stage.lifecycle.state(), LifecycleState::Unconfigured);
    assert_eq!(stage.lifecycle.why(), Some(failed()));
    goes("configure", Ok(())).unwrap();
    assert_eq!(stage.lifecycle.why(), None);
    for (label, state) in
        [("activate", LifecycleState::Inactive), ("cleanup", LifecycleState::Inactive)]
    {
        goes(label, Err(failed())).unwrap_err();
        assert_eq!(stage.lifecycle.state(), state);
    }
    goes("activate", Ok(())).unwrap();
    goes("deactivate", Err(failed())).unwrap_err();
    assert_eq!(stage.lifecycle.state(), LifecycleState::Active);
}

#[test]
fn what_breaks_or_panics_is_freed_and_may_be_configured_anew() {
    let stage = Stage::new(true);
    assert_eq!(stage.change("configure", Err(broken())), Err(NotChanged::NotDone(broken())));
    assert_eq!(stage.did(), ["configure", "recover"]);
    assert_eq!(stage.way(), ["unconfigured", "configuring", "errorprocessing", "unconfigured"]);
    stage.change("configure", Ok(())).unwrap();
    // `shut_down` of the puppet panics on an error.
    stage.change("shutdown", Err(broken())).unwrap_err();
    assert_eq!(stage.lifecycle.state(), LifecycleState::Unconfigured);

    let stage = Stage::new(false);
    stage.change("configure", Err(broken())).unwrap_err();
    assert_eq!(stage.way(), ["unconfigured", "configuring", "errorprocessing", "finalized"]);
    assert_eq!(stage.lifecycle.why(), Some(broken()));
}

#[test]
fn a_request_in_the_middle_of_another_is_refused_and_questions_are_answered() {
    let stage = Stage::new(true);
    let configured = stage.ask("configure");
    assert_eq!(stage.did.recv_timeout(TOO_LONG), Ok("configure"));
    assert_eq!(stage.lifecycle.state(), LifecycleState::Configuring);
    for label in ["configure", "activate", "shutdown", "transition_success"] {
        let refused = stage.ask(label).recv_timeout(TOO_LONG).unwrap();
        let state = LifecycleState::Configuring;
        assert_eq!(refused, Err(NotChanged::Busy { state }), "{label}");
    }
    let state = LifecycleState::Configuring;
    assert_eq!(stage.lifecycle.run(|_| ()), Err(TaskRefused::Busy { state }));
    stage.results.send(Ok(())).unwrap();
    assert_eq!(configured.recv_timeout(TOO_LONG).unwrap(), Ok(()));
    assert_eq!(stage.way(), ["unconfigured", "configuring", "inactive"]);
}

#[test]
fn tasks_run_between_transitions_and_the_queue_has_an_end() {
    let stage = Stage::new(true);
    let (go, gate) = channel::<()>();
    let (entered, inside) = channel();
    let first = move |_: &mut Puppet| {
        entered.send(()).unwrap();
        gate.recv().unwrap();
        panic!("a task that panics takes nothing with it");
    };
    stage.lifecycle.run(first).unwrap();
    assert_eq!(inside.recv_timeout(TOO_LONG), Ok(()));
    let (done, ran) = channel();
    let taken = (0..2 * MAX_TASKS)
        .take_while(|_| {
            let done = done.clone();
            stage.lifecycle.run(move |_| done.send(()).unwrap()).is_ok()
        })
        .count();
    assert_eq!(taken, MAX_TASKS);
    assert_eq!(stage.lifecycle.run(|_| ()), Err(TaskRefused::Full));
    go.send(()).unwrap();
    for _ in 0..taken {
        ran.recv_timeout(TOO_LONG).unwrap();
    }
    stage.change("configure", Ok(())).unwrap();
}

#[test]
fn the_end_deactivates_and_shuts_down_from_every_state() {
    for (steps, did) in [
        (&[] as &[&str], &["shut down"] as &[&str]),
        (&["configure"], &["shut down"]),
        (&["configure", "activate"], &["deactivate", "shut down"]),
    ] {
        let stage = Stage::new(true);
        for step in steps {
            stage.change(step, Ok(())).unwrap();
        }
        stage.did();
        (0..2).for_each(|_| stage.results.send(Ok(())).unwrap());
        assert!(stage.lifecycle.end(TOO_LONG));
        assert_eq!(stage.lifecycle.state(), LifecycleState::Finalized);
        assert_eq!(stage.did(), did);
        let refused = stage.ask("configure").recv_timeout(TOO_LONG).unwrap();
        assert_eq!(refused, Err(NotChanged::Ending));
        assert_eq!(stage.lifecycle.run(|_| ()), Err(TaskRefused::Ending));
    }
}

#[test]
fn the_end_does_not_wait_for_a_step_that_takes_long() {
    let stage = Stage::new(true);
    let configured = stage.ask("configure");
    assert_eq!(stage.did.recv_timeout(TOO_LONG), Ok("configure"));
    assert!(!stage.lifecycle.end(Duration::from_millis(1)));
    assert_eq!(stage.lifecycle.state(), LifecycleState::Finalized);
    assert_eq!(stage.way(), ["unconfigured", "configuring", "errorprocessing", "finalized"]);
    // What it did in the meantime changes nothing any more.
    stage.results.send(Ok(())).unwrap();
    configured.recv_timeout(TOO_LONG).unwrap().unwrap();
    assert_eq!(stage.lifecycle.state(), LifecycleState::Finalized);
    assert_eq!(stage.way(), [""; 0]);
}
