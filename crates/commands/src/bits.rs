//! Sets of named bits.

/// Declares a set of bits with the name of each, in the order in which servers list them, and a
/// private module of the plain values for the generated table.
macro_rules! bits {
    (
        $(#[$docs:meta])* $set:ident: $int:ty, values in $values:ident;
        $($(#[$bit_docs:meta])* $bit:ident $value:ident = $name:literal),+ $(,)?
    ) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
        pub struct $set(pub(crate) $int);

        pub(crate) mod $values {
            $crate::bits::bits!(@values $int; 1; $($value)+);
        }

        impl $set {
            /// No bit.
            pub const EMPTY: Self = Self(0);
            $($(#[$bit_docs])* pub const $bit: Self = Self($values::$value);)+
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$bit, $name)),+];

            /// Whether all bits of `other` are here.
            #[must_use]
            #[inline]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether some bit of `other` is here.
            #[must_use]
            #[inline]
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// The bits of both.
            #[must_use]
            #[inline]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Whether there is no bit.
            #[must_use]
            #[inline]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The names of the bits, as servers spell and order them.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::ALL.iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, name)| *name)
            }

            /// The bit of that name.
            #[must_use]
            pub fn by_name(name: &str) -> Option<Self> {
                Self::ALL.iter().find(|(_, known)| *known == name).map(|(bit, _)| *bit)
            }
        }

        impl std::fmt::Debug for $set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_set().entries(self.names()).finish()
            }
        }
    };
    (@values $int:ty; $at:expr; $value:ident $($rest:ident)*) => {
        pub(crate) const $value: $int = $at;
        $crate::bits::bits!(@values $int; $at << 1; $($rest)*);
    };
    (@values $int:ty; $at:expr;) => {};
}
pub(crate) use bits;
