//! The kinds of things that an organisation has, and what each of them can have.

use keyward_policy::PolicyKind;

/// A kind of thing: a row of [`KINDS`].
#[derive(Debug)]
pub(super) struct Kind {
    /// As in paths, and the folder of its files.
    pub(super) word: &'static str,
    /// Other words that files may use.
    aliases: &'static [&'static str],
    /// What it can have, in the order in which it is written.
    pub(super) fields: &'static [Field],
}

/// What a thing can have.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) rule: Rule,
}

/// What is set when a file says nothing, and whether it can change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rule {
    /// Nothing is set then.
    Free,
    /// It stays as it is then.
    Stays,
    /// Said once, when the thing is made.
    Fixed,
    /// Counts when the thing is made; nothing is done about it afterwards.
    Once,
    /// For readers only: nothing is done about it.
    Shown,
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Text,
    Flag,
    Number,
    Time,
    /// A path; short ones are of this kind, or with a `/` of the organisation.
    Path(&'static str),
    Tags,
    Policies,
    Document(PolicyKind),
    /// Documents by number.
    Versions,
    /// Where a database's data is. A password is told of, and never there.
    Backend,
    /// Any object; entries of nothing count as left out.
    Object,
    /// Any list.
    List,
    /// What claims and certificates map to: a list of objects with paths in them.
    Mappings,
}

const fn field(name: &'static str, form: Form) -> Field {
    Field {
        name,
        form,
        rule: Rule::Free,
    }
}

const fn ruled(name: &'static str, form: Form, rule: Rule) -> Field {
    Field { name, form, rule }
}

const NAME: Field = field("name", Form::Text);
const TAGS: Field = field("tags", Form::Tags);
const BOUNDARY: Field = field("boundary", Form::Policies);
const RESOURCE_POLICY: Field = field("resource_policy", Form::Document(PolicyKind::Resource));
const ACCESS_KEYS: Field = ruled("access_keys", Form::Object, Rule::Shown);

/// The kind of what is no thing of its own: its path is that of the trust.
pub(super) const ACCEPTANCE: &str = "acceptance";

/// Every kind, in the order in which things are made.
pub(super) static KINDS: [Kind; 10] = [
    Kind {
        word: "org",
        aliases: &["organisation"],
        fields: &[
            NAME,
            TAGS,
            field("aliases", Form::Object),
            field("max_key_lifetime_seconds", Form::Number),
            field("max_active_keys", Form::Number),
            BOUNDARY,
            field("guardrails", Form::Policies),
            RESOURCE_POLICY,
        ],
    },
    Kind {
        word: "kvdb",
        aliases: &["database", "db"],
        fields: &[
            NAME,
            field("description", Form::Text),
            TAGS,
            ruled("backend", Form::Backend, Rule::Stays),
            field("administration", Form::Flag),
            RESOURCE_POLICY,
        ],
    },
    Kind {
        word: "programmatic_identity",
        aliases: &["identity"],
        fields: &[
            NAME,
            TAGS,
            field("default_database", Form::Path("kvdb")),
            BOUNDARY,
            RESOURCE_POLICY,
            ACCESS_KEYS,
        ],
    },
    Kind {
        word: "identity_provider",
        aliases: &["provider"],
        fields: &[
            NAME,
            ruled("type", Form::Text, Rule::Fixed),
            ruled("issuer", Form::Text, Rule::Fixed),
            field("audiences", Form::List),
            ruled("algorithms", Form::List, Rule::Stays),
            field("jwks", Form::Object),
            field("shared", Form::Flag),
            field("max_token_age_seconds", Form::Number),
            ruled("sign_in", Form::Text, Rule::Fixed),
            field("pem", Form::Text),
            field("mappings", Form::Mappings),
            TAGS,
            RESOURCE_POLICY,
        ],
    },
    Kind {
        word: "org_user",
        aliases: &[],
        fields: &[NAME, TAGS, BOUNDARY, RESOURCE_POLICY],
    },
    Kind {
        word: "role",
        aliases: &[],
        fields: &[
            NAME,
            field("description", Form::Text),
            ruled("max_session_seconds", Form::Number, Rule::Stays),
            TAGS,
            BOUNDARY,
            RESOURCE_POLICY,
        ],
    },
    Kind {
        word: "group",
        aliases: &[],
        fields: &[NAME, TAGS, BOUNDARY, RESOURCE_POLICY],
    },
    Kind {
        word: "policy",
        aliases: &[],
        fields: &[
            NAME,
            field("document", Form::Document(PolicyKind::Identity)),
            ruled("default_version", Form::Number, Rule::Once),
            ruled("versions", Form::Versions, Rule::Once),
        ],
    },
    Kind {
        word: "trust",
        aliases: &[],
        fields: &[
            ruled("trustor", Form::Path("group"), Rule::Fixed),
            ruled("trustee", Form::Path("programmatic_identity"), Rule::Fixed),
            ruled("trust_kind", Form::Text, Rule::Fixed),
            field("expires_at", Form::Time),
            field("conditions", Form::Object),
            field("policies", Form::Policies),
        ],
    },
    // That an identity of the organisation accepts the trust of another organisation.
    Kind {
        word: ACCEPTANCE,
        aliases: &[],
        fields: &[
            ruled("trustor", Form::Path("org"), Rule::Fixed),
            ruled("trustee", Form::Path("programmatic_identity"), Rule::Fixed),
        ],
    },
];

impl Kind {
    pub(super) fn named(word: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .find(|kind| kind.word == word || kind.aliases.contains(&word))
    }

    pub(super) fn field(&self, name: &str) -> Option<&'static Field>
    where
        Self: 'static,
    {
        let fields = self.fields;
        fields.iter().find(|field| field.name == name)
    }
}
