//! When a token is renewed, and how often a failing issuer is asked.

use std::time::Duration;

/// When the cache renews a token ahead of its end, and how it paces an issuer that fails or serves dead tokens.
///
/// ```
/// use std::time::Duration;
/// use backstory_auth::RefreshPolicy;
///
/// let policy = RefreshPolicy::default();
/// // A token that lives for two hours is renewed a minute ahead, one that lives for 100 s ten seconds ahead.
/// assert_eq!(policy.margin(Duration::from_secs(7_200)), Duration::from_secs(60));
/// assert_eq!(policy.margin(Duration::from_secs(100)), Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefreshPolicy {
    longest_margin: Duration,
    first_pause: Duration,
    longest_pause: Duration,
}

impl Default for RefreshPolicy {
    /// The margin of contract (a.3): 60 s, or a tenth of the life if that is less. Pauses of 1 s, doubling up to 60 s.
    fn default() -> Self {
        Self {
            longest_margin: Duration::from_secs(60),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

impl RefreshPolicy {
    /// The longest time ahead of its end that a token is renewed; a short-lived token has a tenth of its life.
    #[must_use]
    pub fn with_longest_margin(mut self, margin: Duration) -> Self {
        self.longest_margin = margin;
        self
    }

    /// The pauses after failures: the first, and what it doubles up to. Each real pause lies between half of that and
    /// all of it, by chance, so that many clients don't come back at once. Neither is less than a millisecond.
    #[must_use]
    pub fn with_pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first.max(Duration::from_millis(1));
        self.longest_pause = longest.max(self.first_pause);
        self
    }

    /// How long before its end a token with this life is renewed at the latest.
    pub fn margin(&self, life: Duration) -> Duration {
        self.longest_margin.min(life / 10)
    }

    /// The age at which a token with this life begins to be renewed: the margin ahead of its end, and up to a tenth of
    /// the margin earlier, by chance.
    pub(crate) fn ages_after(&self, life: Duration, chance: Chance) -> Duration {
        let margin = self.margin(life);
        life.saturating_sub(margin + chance.share_of(margin / 10))
    }

    /// The pause after this many failures in a row; none before the first.
    pub(crate) fn pause(&self, failures: u32, chance: Chance) -> Duration {
        let full = self.full_pause(failures);
        full / 2 + chance.share_of(full - full / 2)
    }

    /// The pause after this many failures in a row, without chance.
    pub(crate) fn full_pause(&self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                self.first_pause.saturating_mul(factor).min(self.longest_pause)
            }
        }
    }

    /// For how long an issuer that asks for a pause is left alone: what it asks for, within reason.
    pub(crate) fn granted_pause(&self, asked: Duration) -> Duration {
        asked.min(self.longest_pause.saturating_mul(10))
    }
}

/// A draw between 0 and 1, made outside of the pure parts and handed to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Chance(pub(crate) u16);

impl Chance {
    pub(crate) fn draw() -> Self {
        Self(rand::random())
    }

    fn share_of(self, whole: Duration) -> Duration {
        // Two steps, as a whole of years times 65,535 would not fit.
        let step = whole / u32::from(u16::MAX);
        step * u32::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_double_from_the_first_to_the_longest() {
        let policy = RefreshPolicy::default();
        let pauses: Vec<u64> = (0..9).map(|failures| policy.full_pause(failures).as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(policy.full_pause(u32::MAX), Duration::from_secs(60));
    }

    proptest! {
        #[test]
        fn a_token_is_renewed_no_later_than_its_margin_and_little_earlier(life in 0_u64..1 << 40, draw: u16) {
            let (policy, life) = (RefreshPolicy::default(), Duration::from_millis(life));
            let margin = policy.margin(life);
            let ahead = life - policy.ages_after(life, Chance(draw));
            prop_assert!(margin <= ahead && ahead <= margin + margin / 10);
            prop_assert!(margin <= Duration::from_secs(60) && margin <= life / 10);
        }

        #[test]
        fn a_pause_lies_between_half_and_all_of_what_the_failures_call_for(failures in 1_u32.., draw: u16) {
            let policy = RefreshPolicy::default();
            let (pause, full) = (policy.pause(failures, Chance(draw)), policy.full_pause(failures));
            prop_assert!(full / 2 <= pause && pause <= full);
        }
    }
}
