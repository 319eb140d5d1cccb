//! Slows those who guess passwords and codes of people, and locks nobody out.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keyward_iam::UnixMillis;

/// What is guessed at.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Guessed {
    /// The password of a sign-in name, whether or not anybody has it.
    Password,
    /// A code of a second factor.
    Code,
}

/// Attempts that are answered at once before others have to wait, in any [`ATTEMPT_WINDOW`].
pub const FREE_ATTEMPTS: u32 = 10;

/// After this long without a failure, failures are forgotten.
pub const ATTEMPT_WINDOW: Duration = Duration::from_secs(15 * 60);

/// Longest that an attempt waits before it is looked at; whoever would wait longer is told when to
/// come again.
pub const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Lanes that are counted one by one. A lane is an account and a class of sources, found by a keyed
/// hash: the memory is fixed, and nobody can aim at another's lane.
const LANES: usize = 65_536;

/// Counts failed attempts by account and slows further ones.
///
/// An account has one lane for each source from which its owner signed in before, and one for all
/// others: strangers' guesses slow strangers, and the owner at a usual place does not notice. In a
/// lane the first [`FREE_ATTEMPTS`] failures cost nothing; from then on attempts are looked at one
/// after another, with a pause between them that grows to ten seconds for passwords and to five
/// minutes for codes, of which there are a million only. A right password is always taken when its
/// turn comes; nothing is locked. Names that nobody has are treated alike.
#[derive(Debug)]
pub struct AccountThrottle {
    lanes: Mutex<Vec<Lane>>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    failures: u32,
    /// When the last failure was.
    last: u64,
    /// When the next attempt may be looked at.
    next: u64,
}

/// When an attempt may be looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// After this long: nothing, mostly.
    After(Duration),
    /// Not soon: come again after this long.
    ComeAgain(Duration),
}

impl Default for AccountThrottle {
    fn default() -> Self {
        Self {
            lanes: Mutex::new(vec![Lane::default(); LANES]),
            hasher: RandomState::new(),
        }
    }
}

/// The pause between attempts after so many failures, in milliseconds.
fn pause(guessed: Guessed, failures: u32) -> u64 {
    let over = failures.saturating_sub(FREE_ATTEMPTS);
    let most = match guessed {
        Guessed::Password => 10_000,
        Guessed::Code => 300_000,
    };
    match over {
        0 if failures < FREE_ATTEMPTS => 0,
        over => (1_000_u64 << (over.min(20) / 2)).min(most),
    }
}

impl AccountThrottle {
    /// A throttle that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lane(&self, guessed: Guessed, account: &str, known_source: Option<IpAddr>) -> usize {
        let source = known_source.map(|address| address.to_canonical());
        let hash = self.hasher.hash_one((guessed, account, source));
        hash as usize % LANES
    }

    fn with<T>(&self, lane: usize, now: u64, then: impl FnOnce(&mut Lane) -> T) -> T {
        // Nothing below panics half way.
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = &mut lanes[lane];
        let window = ATTEMPT_WINDOW.as_millis() as u64;
        // A clock that was set back makes nobody wait for it.
        if lane.last.saturating_add(window) <= now || lane.last > now.saturating_add(window) {
            *lane = Lane::default();
        }
        then(lane)
    }

    /// Asks for a place for an attempt. `known_source`: the source, if the account's owner signed in
    /// from there before.
    #[must_use]
    pub fn admit(
        &self,
        guessed: Guessed,
        account: &str,
        known_source: Option<IpAddr>,
        now: UnixMillis,
    ) -> Admission {
        let lane = self.lane(guessed, account, known_source);
        self.with(lane, now.0, |lane| {
            let pause = pause(guessed, lane.failures);
            if pause == 0 {
                return Admission::After(Duration::ZERO);
            }
            let wait = lane.next.saturating_sub(now.0);
            if wait > LONGEST_DELAY.as_millis() as u64 {
                return Admission::ComeAgain(Duration::from_millis(wait));
            }
            lane.next = now.0.saturating_add(wait).saturating_add(pause);
            Admission::After(Duration::from_millis(wait))
        })
    }

    /// Notes that an attempt failed.
    pub fn failed(
        &self,
        guessed: Guessed,
        account: &str,
        known_source: Option<IpAddr>,
        now: UnixMillis,
    ) {
        let lane = self.lane(guessed, account, known_source);
        self.with(lane, now.0, |lane| {
            lane.failures = lane.failures.saturating_add(1);
            lane.last = now.0;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_800_000_000_000;

    fn source(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    /// How many of many attempts, one each 100 ms for `seconds`, are looked at and fail.
    fn looked_at(guessed: Guessed, seconds: u64) -> u64 {
        let throttle = AccountThrottle::new();
        let mut looked_at = 0;
        for tenth in 0..seconds * 10 {
            let now = UnixMillis(START + tenth * 100);
            if let Admission::After(wait) = throttle.admit(guessed, "alice", None, now) {
                looked_at += 1;
                let then = UnixMillis(now.0 + wait.as_millis() as u64);
                throttle.failed(guessed, "alice", None, then);
            }
        }
        looked_at
    }

    #[test]
    fn guesses_are_few() {
        let passwords = looked_at(Guessed::Password, 3600);
        assert!((300..450).contains(&passwords), "{passwords} in an hour");
        let codes = looked_at(Guessed::Code, 3600);
        assert!((10..50).contains(&codes), "{codes} in an hour");
    }

    #[test]
    fn nobody_is_locked_out() {
        let throttle = AccountThrottle::new();
        let mut now = UnixMillis(START);
        for _ in 0..1000 {
            throttle.failed(Guessed::Password, "alice", None, now);
        }
        let at_once = Admission::After(Duration::ZERO);
        // Another account, and the owner at a usual place, do not notice.
        assert_eq!(throttle.admit(Guessed::Password, "bob", None, now), at_once);
        let usual = source(7);
        assert_eq!(
            throttle.admit(Guessed::Password, "alice", usual, now),
            at_once
        );
        // Elsewhere there is a turn within the longest pause.
        let mut waited = Duration::ZERO;
        let _ = throttle.admit(Guessed::Password, "alice", None, now);
        loop {
            match throttle.admit(Guessed::Password, "alice", None, now) {
                Admission::After(wait) => break waited += wait,
                Admission::ComeAgain(wait) => {
                    waited += wait;
                    now = UnixMillis(now.0 + wait.as_millis() as u64);
                }
            }
        }
        assert!(waited <= Duration::from_secs(10), "{waited:?}");
    }

    #[test]
    fn failures_are_forgotten() {
        let throttle = AccountThrottle::new();
        for _ in 0..100 {
            throttle.failed(Guessed::Code, "alice", None, UnixMillis(START));
        }
        let after = |seconds: u64| UnixMillis(START + seconds * 1000);
        let _ = throttle.admit(Guessed::Code, "alice", None, after(1));
        let later = throttle.admit(Guessed::Code, "alice", None, after(2));
        assert!(matches!(later, Admission::ComeAgain(_)), "{later:?}");
        let much_later = throttle.admit(Guessed::Code, "alice", None, after(901));
        assert_eq!(much_later, Admission::After(Duration::ZERO));
        // The clock was set back by a day.
        let earlier = UnixMillis(START - 86_400_000);
        let back = throttle.admit(Guessed::Code, "alice", None, earlier);
        assert_eq!(back, Admission::After(Duration::ZERO));
    }
}
