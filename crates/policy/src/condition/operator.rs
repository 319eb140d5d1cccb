//! The operators of conditions.

use std::fmt;

/// Declares the operators with their names and opposites.
macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident $(not $positive:ident)?,)*) => {
        /// How a value of a request is compared with the values of a condition.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operator {
            $($(#[$doc])* $name,)*
        }

        impl Operator {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in the native dialect, AWS's and Alibaba's.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The operator that it is the negation of; itself if it is none.
            pub fn positive(self) -> Self {
                match self {
                    $($(Self::$name => Self::$positive,)?)*
                    other => other,
                }
            }
        }
    };
}

operators! {
    /// The same text.
    StringEquals,
    /// None of these texts.
    StringNotEquals not StringEquals,
    /// The same text but for letter case.
    StringEqualsIgnoreCase,
    /// None of these texts, whatever the letter case.
    StringNotEqualsIgnoreCase not StringEqualsIgnoreCase,
    /// A pattern of `*` and `?`.
    StringLike,
    /// None of these patterns.
    StringNotLike not StringLike,
    /// A pattern in the server's own syntax.
    GlobLike,
    /// None of these patterns.
    GlobNotLike not GlobLike,
    /// The same number.
    NumericEquals,
    /// None of these numbers.
    NumericNotEquals not NumericEquals,
    /// Smaller.
    NumericLessThan,
    /// Smaller or the same.
    NumericLessThanEquals,
    /// Larger.
    NumericGreaterThan,
    /// Larger or the same.
    NumericGreaterThanEquals,
    /// The same moment.
    DateEquals,
    /// None of these moments.
    DateNotEquals not DateEquals,
    /// Earlier.
    DateLessThan,
    /// Earlier or the same.
    DateLessThanEquals,
    /// Later.
    DateGreaterThan,
    /// Later or the same.
    DateGreaterThanEquals,
    /// The same truth value.
    Bool,
    /// The same bytes, given in base64.
    BinaryEquals,
    /// Inside a network.
    IpAddress,
    /// Outside these networks.
    NotIpAddress not IpAddress,
    /// A pattern for each of the six parts of an ARN.
    ArnEquals,
    /// None of these patterns.
    ArnNotEquals not ArnEquals,
    /// As `ArnEquals`.
    ArnLike,
    /// As `ArnNotEquals`.
    ArnNotLike not ArnLike,
    /// `true`: the request does not have the key; `false`: it has.
    Null,
}

/// How several values of a request count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetOperator {
    /// All of them must satisfy the operator; none do.
    ForAllValues,
    /// One of them must.
    ForAnyValue,
}

impl Operator {
    /// The operator of this name, letter case included.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|operator| operator.name() == name)
    }

    /// Whether it asks that none of its values match.
    pub fn is_negated(self) -> bool {
        self.positive() != self
    }

    /// Whether variables may stand in its values: those that compare text (AWS: "IAM policy
    /// elements: Variables and tags").
    pub fn takes_variables(self) -> bool {
        matches!(
            self.positive(),
            Self::StringEquals
                | Self::StringEqualsIgnoreCase
                | Self::StringLike
                | Self::GlobLike
                | Self::ArnEquals
                | Self::ArnLike
        )
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
