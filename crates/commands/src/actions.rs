//! Actions, and sets of them.

use crate::catalogue::{COMMAND_COUNT, CommandId, find_listed, generated::ROWS};
use crate::lists;

/// How many actions there are.
pub const ACTION_COUNT: usize = COMMAND_COUNT + lists::CONTROL_ACTIONS.len();

/// `kvdb:Connect`.
pub const CONNECT: ActionId = ActionId(COMMAND_COUNT as u16);

/// The words of an [`ActionBits`].
const WORDS: usize = ACTION_COUNT.div_ceil(64);

/// One action: its place, dense from 0 to [`ACTION_COUNT`]. The first [`COMMAND_COUNT`] are those of
/// the commands, in the same order; `kvdb:Connect` and the control plane's follow.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ActionId(pub(crate) u16); // INVARIANT: below ACTION_COUNT

impl ActionId {
    /// `kvdb:ExecuteGet`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.index().checked_sub(COMMAND_COUNT) {
            None => CommandId(self.0).command().action,
            Some(at) => lists::CONTROL_ACTIONS[at],
        }
    }

    /// Its place, from 0 to [`ACTION_COUNT`].
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The command that it is for.
    #[must_use]
    #[inline]
    pub const fn command(self) -> Option<CommandId> {
        if self.is_execute() {
            Some(CommandId(self.0))
        } else {
            None
        }
    }

    /// Whether it is the action of a command.
    #[must_use]
    #[inline]
    pub const fn is_execute(self) -> bool {
        self.index() < COMMAND_COUNT
    }

    /// Whether it reads or writes all keys of a database although it is no command: making and
    /// restoring a snapshot.
    #[must_use]
    pub fn uses_keyspace(self) -> bool {
        matches!(self.name(), "kvdb:CreateSnapshot" | "kvdb:RestoreSnapshot")
    }

    /// Whether key fields speak of it: commands, and what uses all keys at once.
    #[must_use]
    #[inline]
    pub fn has_keys(self) -> bool {
        self.is_execute() || self.uses_keyspace()
    }

    /// Whether its service is `kvdb`.
    #[must_use]
    pub fn is_kvdb(self) -> bool {
        self.is_execute() || self.name().starts_with("kvdb:")
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..ACTION_COUNT as u16).map(Self)
    }
}

impl std::fmt::Debug for ActionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The action of exactly that name; letter case counts.
#[must_use]
pub fn action(name: &str) -> Option<ActionId> {
    let names = sorted();
    let at = names.binary_search_by_key(&name, |(known, _)| known).ok()?;
    Some(names[at].1)
}

/// All actions by name, sorted.
pub(crate) fn sorted() -> &'static [(&'static str, ActionId)] {
    static SORTED: std::sync::LazyLock<Box<[(&str, ActionId)]>> = std::sync::LazyLock::new(|| {
        let mut names: Box<[_]> = ActionId::all().map(|id| (id.name(), id)).collect();
        names.sort_unstable();
        names
    });
    &SORTED
}

/// A set of actions.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct ActionBits([u64; WORDS]);

impl ActionBits {
    /// No action.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Adds an action.
    #[inline]
    pub const fn insert(&mut self, action: ActionId) {
        self.0[action.index() / 64] |= 1 << (action.index() % 64);
    }

    /// Takes an action out.
    #[inline]
    pub const fn remove(&mut self, action: ActionId) {
        self.0[action.index() / 64] &= !(1 << (action.index() % 64));
    }

    /// Whether the action is in it.
    #[must_use]
    #[inline]
    pub const fn contains(&self, action: ActionId) -> bool {
        self.0[action.index() / 64] >> (action.index() % 64) & 1 != 0
    }

    /// The actions of either.
    #[must_use]
    #[inline]
    pub const fn union(&self, other: &Self) -> Self {
        let mut all = Self::EMPTY;
        let mut at = 0;
        while at < WORDS {
            all.0[at] = self.0[at] | other.0[at];
            at += 1;
        }
        all
    }

    /// The actions of both.
    #[must_use]
    #[inline]
    pub const fn intersect(&self, other: &Self) -> Self {
        let mut common = Self::EMPTY;
        let mut at = 0;
        while at < WORDS {
            common.0[at] = self.0[at] & other.0[at];
            at += 1;
        }
        common
    }

    /// The actions of this one that are not in the other.
    #[must_use]
    #[inline]
    pub const fn subtract(&self, other: &Self) -> Self {
        let mut rest = Self::EMPTY;
        let mut at = 0;
        while at < WORDS {
            rest.0[at] = self.0[at] & !other.0[at];
            at += 1;
        }
        rest
    }

    /// Whether some action is in both.
    #[must_use]
    #[inline]
    pub const fn intersects(&self, other: &Self) -> bool {
        !self.intersect(other).is_empty()
    }

    /// Whether every action of this one is in the other.
    #[must_use]
    #[inline]
    pub const fn is_subset_of(&self, other: &Self) -> bool {
        self.subtract(other).is_empty()
    }

    /// Whether there is none.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        let mut some = 0;
        let mut at = 0;
        while at < WORDS {
            some |= self.0[at];
            at += 1;
        }
        some == 0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The actions in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = ActionId> {
        ActionId::all().filter(|action| self.contains(*action))
    }

    /// The actions of commands that are listed by name.
    pub(crate) const fn listed(names: &[&'static str]) -> Self {
        let mut bits = Self::EMPTY;
        let mut at = 0;
        while at < names.len() {
            bits.insert(ActionId(find_listed(names[at]) as u16));
            at += 1;
        }
        bits
    }

    /// The actions of commands in an ACL category.
    pub(crate) const fn in_category(category: u32) -> Self {
        let mut bits = Self::EMPTY;
        let mut at = 0;
        while at < COMMAND_COUNT {
            if ROWS[at].categories & category != 0 {
                bits.insert(ActionId(at as u16));
            }
            at += 1;
        }
        bits
    }
}

impl Default for ActionBits {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl FromIterator<ActionId> for ActionBits {
    fn from_iter<I: IntoIterator<Item = ActionId>>(actions: I) -> Self {
        let mut bits = Self::EMPTY;
        for action in actions {
            bits.insert(action);
        }
        bits
    }
}

impl std::fmt::Debug for ActionBits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

const fn execute() -> ActionBits {
    let mut bits = ActionBits::EMPTY;
    let mut at = 0;
    while at < COMMAND_COUNT {
        bits.insert(ActionId(at as u16));
        at += 1;
    }
    bits
}

/// The actions of all commands.
#[must_use]
pub fn execute_actions() -> &'static ActionBits {
    static BITS: ActionBits = execute();
    &BITS
}

/// The actions of [`lists::CONNECT_ONLY`]: they need only `kvdb:Connect` unless denied by name.
#[must_use]
pub fn connect_only_actions() -> &'static ActionBits {
    static BITS: ActionBits = ActionBits::listed(lists::CONNECT_ONLY);
    &BITS
}

/// The actions of [`lists::ALWAYS`]: always possible.
#[must_use]
pub fn always_actions() -> &'static ActionBits {
    static BITS: ActionBits = ActionBits::listed(lists::ALWAYS);
    &BITS
}

/// The actions of [`lists::ADMINISTRATIVE`]: refused unless administration is on.
#[must_use]
pub fn administrative_actions() -> &'static ActionBits {
    static BITS: ActionBits = ActionBits::listed(lists::ADMINISTRATIVE);
    &BITS
}
