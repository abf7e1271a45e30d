//! A budget that bounds how much retrying may multiply the load on a server that is down.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How many thousandths of a repetition one repetition costs: fractions of a deposit are kept exactly.
const ONE: u64 = 1_000;

/// Repetitions that may still be made, shared by all clones.
///
/// It starts with a reserve. Each call pays a fraction of a repetition in (never above the reserve), each repetition
/// takes a whole one out. So of `n` calls at most `reserve + n × per_call` are repetitions, however the calls fail: a
/// server that is down sees little more than the calls themselves, while a lone failure is always repeated.
#[derive(Clone)]
pub struct RetryBudget(Option<Arc<Shared>>);

struct Shared {
    deposit: u64,
    reserve: u64,
    left: Mutex<u64>,
}

impl RetryBudget {
    /// A budget of `reserve` repetitions, to which each call adds `per_call` (between 0 and 1, to a thousandth).
    pub fn new(reserve: u32, per_call: f64) -> Self {
        let reserve = u64::from(reserve) * ONE;
        // A float to integer cast saturates, and NaN becomes 0.
        let deposit = (per_call.clamp(0.0, 1.0) * ONE as f64).round() as u64;
        Self(Some(Arc::new(Shared { deposit, reserve, left: Mutex::new(reserve) })))
    }

    /// A budget that is never used up.
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// Pays in for one call.
    pub(crate) fn call_began(&self) {
        if let Some(shared) = &self.0 {
            let mut left = shared.left.lock().unwrap_or_else(PoisonError::into_inner);
            *left = (*left + shared.deposit).min(shared.reserve);
        }
    }

    /// Takes one repetition out, if a whole one is left.
    pub(crate) fn take(&self) -> bool {
        let Some(shared) = &self.0 else { return true };
        let mut left = shared.left.lock().unwrap_or_else(PoisonError::into_inner);
        match left.checked_sub(ONE) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => false,
        }
    }
}

/// A reserve of 50 repetitions, and one more for every five calls.
impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(50, 0.2)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left =
            self.0.as_ref().map(|shared| *shared.left.lock().unwrap_or_else(PoisonError::into_inner) / ONE);
        f.debug_struct("RetryBudget").field("left", &left).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_reserve_is_spent_repetition_by_repetition() {
        let budget = RetryBudget::new(2, 0.0);
        assert_eq!([budget.take(), budget.take(), budget.take()], [true, true, false]);
    }

    #[test]
    fn an_unlimited_budget_is_never_used_up() {
        let budget = RetryBudget::unlimited();
        assert!((0..1_000).all(|_| budget.take()));
        assert_eq!(format!("{budget:?}"), "RetryBudget { left: None }");
    }

    #[test]
    fn what_is_left_is_shown_in_whole_repetitions() {
        let budget = RetryBudget::new(3, 0.5);
        assert!(budget.take() && budget.take());
        budget.call_began();
        assert_eq!(format!("{budget:?}"), "RetryBudget { left: Some(1) }");
    }

    #[test]
    fn five_calls_pay_for_one_repetition() {
        let budget = RetryBudget::new(1, 0.2);
        assert!(budget.take());
        for _ in 0..4 {
            budget.call_began();
            assert!(!budget.take());
        }
        budget.call_began();
        assert!(budget.take());
    }

    #[test]
    fn idle_times_do_not_save_up_more_than_the_reserve() {
        let budget = RetryBudget::new(1, 1.0);
        for _ in 0..100 {
            budget.call_began();
        }
        assert_eq!([budget.take(), budget.take()], [true, false]);
    }

    #[test]
    fn the_default_is_fifty_and_one_for_every_five_calls() {
        let budget = RetryBudget::default();
        assert_eq!((0..60).filter(|_| budget.take()).count(), 50);
        for _ in 0..25 {
            budget.call_began();
        }
        assert_eq!((0..60).filter(|_| budget.take()).count(), 5);
    }

    #[test]
    fn a_share_that_is_none_is_taken_for_the_nearest() {
        for (per_call, after_three_calls) in [(7.5, 3), (-1.0, 0), (f64::NAN, 0), (f64::INFINITY, 3)] {
            let budget = RetryBudget::new(10, per_call);
            while budget.take() {}
            for _ in 0..3 {
                budget.call_began();
            }
            assert_eq!((0..10).filter(|_| budget.take()).count(), after_three_calls, "{per_call}");
        }
    }

    #[test]
    fn clones_share_what_is_left() {
        let budget = RetryBudget::new(1, 0.0);
        assert!(budget.clone().take());
        assert!(!budget.take());
    }

    proptest! {
        #[test]
        fn repetitions_never_exceed_the_reserve_and_the_share(
            reserve in 0_u32..20, thousandths in 0_u32..1000, calls in prop::collection::vec(any::<bool>(), 0..400),
        ) {
            let budget = RetryBudget::new(reserve, f64::from(thousandths) / 1000.0);
            let (mut began, mut taken) = (0_u64, 0_u64);
            for is_call in calls {
                if is_call {
                    budget.call_began();
                    began += 1;
                } else if budget.take() {
                    taken += 1;
                }
                prop_assert!(taken * 1000 <= u64::from(reserve) * 1000 + began * u64::from(thousandths));
            }
        }
    }
}
