//! Key specifications: where the keys of a command are, and what happens to them.

crate::bits::bits! {
    /// What a command does with a key, in the words of `COMMAND GETKEYSANDFLAGS`.
    ///
    /// The first four tell how the key's value as a whole is handled, the next four what happens
    /// to the data in it; access control goes by the latter.
    KeyFlags: u16, values in key_flag;
    /// Reads the value, does not change it.
    READ_ONLY K_RO = "RO",
    /// Reads and changes the value.
    READ_WRITE K_RW = "RW",
    /// Overwrites the value without reading it.
    OVERWRITE K_OW = "OW",
    /// Deletes the key.
    REMOVE K_RM = "RM",
    /// The data in the value can reach the caller.
    ACCESS K_ACCESS = "access",
    /// Data in the value is replaced.
    UPDATE K_UPDATE = "update",
    /// Data is added, none is replaced or deleted.
    INSERT K_INSERT = "insert",
    /// Data in the value, or the key, is deleted.
    DELETE K_DELETE = "delete",
    /// Not a key: a channel, or a word that only chooses a cluster slot.
    NOT_KEY K_NOT_KEY = "not_key",
    /// The specification misses some keys.
    INCOMPLETE K_INCOMPLETE = "incomplete",
    /// The flags depend on the other arguments.
    VARIABLE_FLAGS K_VARIABLE_FLAGS = "variable_flags",
}

impl KeyFlags {
    /// Whether some of the four flags about data are there.
    const DATA: Self = Self(Self::ACCESS.0 | Self::INSERT.0 | Self::UPDATE.0 | Self::DELETE.0);

    /// Whether the call reads the key: its data (`access`), or something about it (none of
    /// `access`, `insert`, `update`, `delete`, as in `EXISTS`).
    #[must_use]
    #[inline]
    pub const fn reads(self) -> bool {
        self.contains(Self::ACCESS) || !self.intersects(Self::DATA)
    }

    /// Whether the call changes the key: `insert`, `update` or `delete`.
    #[must_use]
    #[inline]
    pub const fn writes(self) -> bool {
        self.0 & (Self::INSERT.0 | Self::UPDATE.0 | Self::DELETE.0) != 0
    }
}

/// Where some keys of a command are, and what happens to them.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// What happens to these keys.
    pub flags: KeyFlags,
    /// How the first word is found.
    pub begin: BeginSearch,
    /// How the others are found from there.
    pub find: FindKeys,
}

/// Where the keys of a specification begin.
#[derive(Clone, Copy, Debug)]
pub enum BeginSearch {
    /// At this word; the command's name is word 0.
    Index(u16),
    /// After this word, in any letter case.
    Keyword {
        /// In lower case.
        word: &'static str,
        /// The first word looked at; negative: counted from the end, and searched backwards.
        start: i16,
    },
    /// Only a parser of its own can tell.
    Unknown,
}

/// Which words are keys, from where the specification begins.
#[derive(Clone, Copy, Debug)]
pub enum FindKeys {
    /// Every `step`th word up to `last`.
    Range {
        /// From the beginning; negative: from the end of the call, -1 being the last word.
        last: i16,
        /// At least 1.
        step: u16,
        /// With a negative `last`: only the first 1/`limit` of the words that follow; 0 and 1: all.
        limit: u16,
    },
    /// As many as a word tells.
    KeyNum {
        /// Where the number is, from the beginning.
        count: u16,
        /// Where the first key is, from the beginning.
        first: u16,
        /// At least 1.
        step: u16,
    },
    /// Only a parser of its own can tell.
    Unknown,
}
