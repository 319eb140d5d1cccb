//! Slows those who guess, and nobody else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keyward_iam::UnixMillis;

/// Failed logins of one source that are answered at once, in any [`FAILURE_WINDOW`].
pub const FREE_FAILURES: usize = 10;

/// Over which time failed logins are counted.
pub const FAILURE_WINDOW: Duration = Duration::from_secs(10);

/// How long after the one before a further failed login is answered.
pub const FAILURE_SPACING: Duration = Duration::from_secs(1);

/// Longest wait before one answer: more connections at once than this has room for wait equally
/// long. It is as long as a connection has time to log in.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Sources that are counted one by one; those beyond, while so many are failing at the same time,
/// are counted as one.
pub const MAX_SOURCES: usize = 16_384;

/// Counts failed logins by source and tells how long the answer to a failed one has to wait.
///
/// A correct credential is never refused or delayed, whoever failed before from the same source:
/// what succeeds is not shown to the throttle at all. Nor does it forget failures because of a
/// success in between, so that one good key does not pay for guesses. Memory is bounded by
/// [`MAX_SOURCES`], and no source can push another out.
///
/// One value serves the whole process: every runtime of the gateway and the HTTP API.
#[derive(Debug, Default)]
pub struct LoginThrottle(Mutex<Sources>);

#[derive(Debug, Default)]
struct Sources {
    known: HashMap<Source, Failures>,
    /// Everybody who found no place in `known`.
    others: Failures,
    /// When `known` was last searched for what is over.
    swept: UnixMillis,
    /// All failures since the start.
    total: u64,
}

/// Who counts as one: an IPv4 address, or a /64 of IPv6, which is what one customer gets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Source {
    V4(u32),
    V6Prefix(u64),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => Self::V6Prefix((v6.to_bits() >> 64) as u64),
        }
    }
}

/// When the last failed logins of one source are answered, oldest first.
#[derive(Debug, Default)]
struct Failures {
    answers: [u64; FREE_FAILURES],
    count: usize,
}

impl Failures {
    /// Notes one more, and returns how long its answer waits, in milliseconds.
    fn add(&mut self, now: u64) -> u64 {
        const WINDOW: u64 = FAILURE_WINDOW.as_millis() as u64;
        const SPACING: u64 = FAILURE_SPACING.as_millis() as u64;
        const LONGEST: u64 = LONGEST_WAIT.as_millis() as u64;
        let full = self.count == FREE_FAILURES;
        let too_many = full && self.answers[0].saturating_add(WINDOW) > now;
        let wait = if too_many {
            let last = self.answers[FREE_FAILURES - 1];
            last.saturating_sub(now)
                .saturating_add(SPACING)
                .min(LONGEST)
        } else {
            0
        };
        if full {
            self.answers.rotate_left(1);
        } else {
            self.count += 1;
        }
        self.answers[self.count - 1] = now.saturating_add(wait);
        wait
    }

    /// Whether it can still make anybody wait. A last answer further away than any wait means that
    /// the clock was set back, and counts for nothing.
    fn counts(&self, now: u64) -> bool {
        const WINDOW: u64 = FAILURE_WINDOW.as_millis() as u64;
        const LONGEST: u64 = LONGEST_WAIT.as_millis() as u64;
        let last = self.count.checked_sub(1).map_or(0, |at| self.answers[at]);
        last.saturating_add(WINDOW) > now && last <= now.saturating_add(LONGEST)
    }
}

impl LoginThrottle {
    /// A throttle that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a failed login and returns how long to wait before it is answered: nothing for the
    /// first [`FREE_FAILURES`] in [`FAILURE_WINDOW`], at least [`FAILURE_SPACING`] from then on.
    ///
    /// Call it for failed logins only.
    #[must_use = "the answer to a failed login waits that long"]
    pub fn failed(&self, source: IpAddr, now: UnixMillis) -> Duration {
        // A panic elsewhere while it was locked cannot have left it half changed in a way that
        // matters: it would forget a failure at most.
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.total = sources.total.saturating_add(1);
        Duration::from_millis(sources.of(Source::of(source), now).add(now.0))
    }
}

impl LoginThrottle {
    /// How many failed logins there were since the start, of all sources.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Sources {
    /// The failures that a source is counted with.
    fn of(&mut self, source: Source, now: UnixMillis) -> &mut Failures {
        if self.known.len() >= MAX_SOURCES && !self.known.contains_key(&source) {
            self.sweep(now);
        }
        let full = self.known.len() >= MAX_SOURCES;
        let failures = match self.known.entry(source) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if full => &mut self.others,
            Entry::Vacant(free) => free.insert(Failures::default()),
        };
        if !failures.counts(now.0) {
            *failures = Failures::default();
        }
        failures
    }

    /// Forgets what is over; at most once a second, since it looks at everything.
    fn sweep(&mut self, now: UnixMillis) {
        let since = now.0.abs_diff(self.swept.0);
        if since >= FAILURE_SPACING.as_millis() as u64 {
            self.swept = now;
            self.known.retain(|_, failures| failures.counts(now.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_800_000_000_000;

    fn v4(host: u32) -> IpAddr {
        IpAddr::V4((0x0A00_0000 + host).into())
    }

    /// Waits of failures at these times, in milliseconds after the start, from one source.
    fn waits(times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let throttle = LoginThrottle::new();
        let wait = |at| throttle.failed(v4(1), UnixMillis(START + at)).as_millis() as u64;
        times.into_iter().map(wait).collect()
    }

    #[test]
    fn waits_by_time() {
        let ten = |waits: &[u64]| [&[0; 10], waits].concat();
        let cases: [(&str, Vec<u64>, Vec<u64>); 6] = [
            ("ten at once are free", vec![0; 10], vec![0; 10]),
            ("then one a second", vec![0; 13], ten(&[1000, 2000, 3000])),
            (
                "one after another",
                [vec![0; 10], vec![0, 1000, 2000, 3000]].concat(),
                ten(&[1000, 1000, 1000, 1000]),
            ),
            (
                "slower than the limit",
                (0..30).map(|n| n * 1001).collect(),
                vec![0; 30],
            ),
            (
                "after ten quiet seconds",
                [vec![0; 10], vec![10_000]].concat(),
                ten(&[0]),
            ),
            (
                "just before",
                [vec![0; 10], vec![9_999]].concat(),
                ten(&[1000]),
            ),
        ];
        for (name, times, expected) in cases {
            assert_eq!(waits(times), expected, "{name}");
        }
    }

    #[test]
    fn no_wait_is_longer_than_the_longest() {
        let waits = waits([0; 1000]);
        assert_eq!(waits.iter().max(), Some(&10_000));
        assert!(waits.is_sorted());
    }

    #[test]
    fn the_eleventh_in_any_ten_seconds_waits() {
        // Random gaps; a client that waits for each answer before it tries again.
        let mut state = 12345_u64;
        let throttle = LoginThrottle::new();
        let mut now = START;
        let mut answers: Vec<u64> = Vec::new();
        for _ in 0..5000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            now += (state >> 33) % 2500;
            let wait = throttle.failed(v4(1), UnixMillis(now)).as_millis() as u64;
            let recent = answers
                .iter()
                .rev()
                .take_while(|&&at| at + 10_000 > now)
                .count();
            assert_eq!(
                wait > 0,
                recent >= 10,
                "after {recent} in ten seconds: {wait} ms"
            );
            now += wait;
            answers.push(now);
        }
    }

    #[test]
    fn who_counts_as_one() {
        let cases = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::1", "127.0.0.1", false),
            ("::1", "0.0.0.0", false),
            ("::1", "2001:db8::1", false),
        ];
        for (first, second, one) in cases {
            let throttle = LoginThrottle::new();
            let fail = |ip: &str| throttle.failed(ip.parse().unwrap(), UnixMillis(START));
            for _ in 0..10 {
                assert_eq!(fail(first), Duration::ZERO);
            }
            assert_eq!(fail(second) > Duration::ZERO, one, "{first} and {second}");
        }
    }

    #[test]
    fn memory_is_bounded_and_nobody_is_pushed_out() {
        let throttle = LoginThrottle::new();
        let fail = |host, at| throttle.failed(v4(host), UnixMillis(START + at));
        for _ in 0..11 {
            let _ = fail(0, 0);
        }
        for host in 1..100_000 {
            let _ = fail(host, 1);
        }
        assert_eq!(throttle.0.lock().unwrap().known.len(), MAX_SOURCES);
        assert!(
            fail(0, 2) > Duration::ZERO,
            "the first source is still counted"
        );
        assert_eq!(
            fail(1, 2),
            Duration::ZERO,
            "one that failed once before is not slowed"
        );
        assert!(
            fail(200_000, 2) > Duration::ZERO,
            "who finds no place shares one"
        );
        assert_eq!(
            fail(200_001, 60_000),
            Duration::ZERO,
            "room again when all is over"
        );
        assert_eq!(throttle.0.lock().unwrap().known.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_slows_nobody_for_long() {
        let throttle = LoginThrottle::new();
        let _ = (0..20)
            .map(|_| throttle.failed(v4(1), UnixMillis(START)))
            .last();
        let hour = 3_600_000;
        assert_eq!(
            throttle.failed(v4(1), UnixMillis(START - hour)),
            Duration::ZERO
        );
        assert_eq!(throttle.failed(v4(1), UnixMillis(u64::MAX)), Duration::ZERO);
        assert_eq!(throttle.failed(v4(1), UnixMillis(0)), Duration::ZERO);
    }
}
