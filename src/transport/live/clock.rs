//! The time that a node goes by.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::now;
use crate::types::Stamp;

/// The clock of a node: that of the machine, or one that is told what time it is (`use_sim_time`).
/// A simulation may stand still, run slowly and begin again.
#[derive(Debug, Default)]
pub struct NodeClock(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    is_simulated: bool,
    /// The newest time that was told; `None` before the first.
    told: Option<Stamp>,
    /// Counts the times at which time did not just go on: stamps of two eras have nothing to do
    /// with each other.
    era: u64,
}

/// When something was, for its age.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    at: Instant,
    simulated: Option<(u64, Stamp)>,
}

impl NodeClock {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the time from [`tell`](Self::tell) from now on, or from the machine.
    pub fn simulate(&self, is_simulated: bool) {
        let mut state = self.lock();
        if state.is_simulated != is_simulated {
            *state = State { is_simulated, told: None, era: state.era + 1 };
        }
    }

    /// What time it is, where it is simulated.
    pub fn tell(&self, stamp: Stamp) {
        let mut state = self.lock();
        // What was before the first time, and before a simulation began again, is another era.
        if state.told.is_none_or(|told| stamp < told) {
            state.era += 1;
        }
        state.told = Some(stamp);
    }

    /// The time; 0 where it is simulated and was not told yet, as in rcl.
    #[must_use]
    pub fn now(&self) -> Stamp {
        let state = *self.lock();
        if state.is_simulated { state.told.unwrap_or_default() } else { now() }
    }

    /// Whether it is simulated and nobody has told what time it is.
    #[must_use]
    pub fn waits_for_time(&self) -> bool {
        let state = self.lock();
        state.is_simulated && state.told.is_none()
    }

    /// Now, to ask its age later.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let state = *self.lock();
        let simulated = state.told.filter(|_| state.is_simulated).map(|told| (state.era, told));
        Moment { at: Instant::now(), simulated }
    }

    /// Seconds since then: of the simulation where both lie in one run of it, else of the machine.
    #[must_use]
    pub fn age_secs(&self, moment: Moment) -> f64 {
        let state = *self.lock();
        match (moment.simulated, state.told) {
            (Some((era, then)), Some(now)) if state.is_simulated && era == state.era => {
                now.secs_since(then)
            }
            _ => moment.at.elapsed().as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn ages_are_those_of_the_simulation_while_it_runs() {
        let clock = NodeClock::default();
        clock.simulate(true);
        assert!(clock.waits_for_time());
        assert_eq!(clock.now(), Stamp(0));
        clock.tell(Stamp(5 * SECOND));
        let moment = clock.moment();
        clock.tell(Stamp(65 * SECOND));
        assert_eq!(clock.now(), Stamp(65 * SECOND));
        assert_eq!(clock.age_secs(moment), 60.0);
        // It stands still, whatever the machine does.
        assert_eq!(clock.age_secs(moment), 60.0);
    }

    #[test]
    fn a_simulation_that_begins_again_and_a_change_of_clocks_make_no_ages_of_years() {
        let clock = NodeClock::default();
        let of_machine = clock.moment();
        assert!(clock.now() > Stamp(1_000_000 * SECOND));
        clock.simulate(true);
        let before_time = clock.moment();
        clock.tell(Stamp(100 * SECOND));
        let first_run = clock.moment();
        assert!(clock.age_secs(of_machine) < 60.0 && clock.age_secs(before_time) < 60.0);
        clock.tell(Stamp(SECOND));
        assert!((0.0..60.0).contains(&clock.age_secs(first_run)));
        clock.tell(Stamp(200 * SECOND));
        assert!((0.0..60.0).contains(&clock.age_secs(first_run)));
        clock.simulate(false);
        assert!((0.0..60.0).contains(&clock.age_secs(first_run)));
        assert!(clock.now() > Stamp(1_000_000 * SECOND));
    }
}
