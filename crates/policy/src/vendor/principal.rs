//! Principals in the vendors' terms: whom a statement names, and who asks.

use crate::finding::quoted;
use crate::{Dialect, Effect};

/// Longest name, in bytes.
const MAX_NAME_LEN: usize = 2048;

/// A name of a principal, as a document has it or as a request brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// `*`: everybody, without an identity too.
    Everyone,
    /// Whoever has no identity.
    Anonymous,
    /// An account as a whole; of a request, its root.
    Account(Box<str>),
    /// A user: account and name, path included.
    User(Box<str>, Box<str>),
    /// A role: account and name, path included, whatever its session is.
    Role(Box<str>, Box<str>),
    /// One session of a role: account, role and session. Of a request the role's name has its path
    /// if that is known; in a document it never has one.
    Session(Box<str>, Box<str>, Box<str>),
    /// A session of a federated user: account and name.
    FederatedUser(Box<str>, Box<str>),
    /// A provider that somebody was authenticated by.
    Federated(Box<str>),
    /// A service of the vendor.
    Service(Box<str>),
}

/// Whom a statement speaks of: `Principal` or `NotPrincipal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principals {
    /// `NotPrincipal`.
    pub(crate) negated: bool,
    pub(crate) names: Box<[PrincipalName]>,
}

/// One principal of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PrincipalName {
    text: Box<str>,
    name: Name,
    partition: Option<Box<str>>,
}

/// Who asks, in a vendor's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorPrincipal {
    dialect: Dialect,
    name: Name,
    partition: Option<Box<str>>,
}

/// AWS's partition in an ARN: accounts of two partitions are two accounts, whatever their numbers.
fn partition(dialect: Dialect, text: &str) -> Option<Box<str>> {
    let mut parts = text.split(':');
    let is_arn = dialect == Dialect::Aws && parts.next() == Some("arn");
    parts.next().filter(|_| is_arn).map(Into::into)
}

impl VendorPrincipal {
    /// Reads the vendor's name of who asks: an ARN of a user, role, role session, federated user
    /// or account root; an account number; a service; a provider; `anonymous` or `*` for nobody.
    ///
    /// # Errors
    /// What is no such name: what is wrong with it.
    pub fn parse(dialect: Dialect, text: &str) -> Result<Self, String> {
        let name = match text {
            "anonymous" | "*" => Name::Anonymous,
            _ => parse(dialect, text)?,
        };
        let name = match name {
            Name::Everyone => Name::Anonymous,
            name => name,
        };
        Ok(Self {
            dialect,
            name,
            partition: partition(dialect, text),
        })
    }

    /// What a Keyward identity is called, by its full path and the account number of its
    /// organisation; `session` is the name of a role's session. `None` for what has no name in the
    /// dialect: groups, and people apart from an organisation.
    pub fn of_identity(
        dialect: Dialect,
        path: &str,
        account: &str,
        session: Option<&str>,
    ) -> Option<Self> {
        let account: Box<str> = account.into();
        let segments: Vec<&str> = path.split('/').collect();
        let name = match segments[..] {
            ["unauthenticated"] => Name::Anonymous,
            ["org", _] => Name::Account(account),
            ["org", _, "programmatic_identity", id] => Name::User(account, id.into()),
            ["org", _, "org_user", id] => Name::User(account, format!("org_user/{id}").into()),
            ["org", _, "role", id] => match session {
                Some(session) => Name::Session(account, id.into(), session.into()),
                None => Name::Role(account, id.into()),
            },
            _ => return None,
        };
        Some(Self {
            dialect,
            name,
            partition: (dialect == Dialect::Aws).then(|| "aws".into()),
        })
    }

    /// The dialect whose name it is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Its account; `None` for services, providers and whoever has no identity.
    pub fn account(&self) -> Option<&str> {
        account(&self.name)
    }

    /// Whether it is nobody.
    pub fn is_anonymous(&self) -> bool {
        self.name == Name::Anonymous
    }

    /// Whether it is an account itself: its root, or the organisation.
    pub fn is_account(&self) -> bool {
        matches!(self.name, Name::Account(_))
    }

    /// Its ARN, as conditions see it: of a role's session the role's. `partition` is AWS's, such as
    /// `aws`. `None` for services and providers.
    pub fn arn(&self, partition: &str) -> Option<String> {
        Some(match (&self.name, self.dialect) {
            (Name::Account(account), Dialect::Aws) => {
                format!("arn:{partition}:iam::{account}:root")
            }
            (Name::Account(account), Dialect::Tencent) => {
                format!("qcs::cam::uin/{account}:uin/{account}")
            }
            (Name::Account(account), _) => format!("acs:ram::{account}:root"),
            (Name::User(account, name), Dialect::Aws) => {
                format!("arn:{partition}:iam::{account}:user/{name}")
            }
            (Name::User(account, name), Dialect::Tencent) => {
                format!("qcs::cam::uin/{account}:uin/{name}")
            }
            (Name::User(account, name), _) => format!("acs:ram::{account}:user/{name}"),
            (Name::Role(account, role) | Name::Session(account, role, _), Dialect::Aws) => {
                format!("arn:{partition}:iam::{account}:role/{role}")
            }
            (Name::Role(account, role) | Name::Session(account, role, _), Dialect::Tencent) => {
                format!("qcs::cam::uin/{account}:roleName/{role}")
            }
            (Name::Role(account, role) | Name::Session(account, role, _), _) => {
                format!("acs:ram::{account}:role/{role}")
            }
            (Name::FederatedUser(account, name), _) => {
                format!("arn:{partition}:sts::{account}:federated-user/{name}")
            }
            (Name::Everyone | Name::Anonymous | Name::Federated(_) | Name::Service(_), _) => {
                return None;
            }
        })
    }
}

fn account(name: &Name) -> Option<&str> {
    match name {
        Name::Account(account)
        | Name::User(account, _)
        | Name::Role(account, _)
        | Name::Session(account, ..)
        | Name::FederatedUser(account, _) => Some(account),
        Name::Everyone | Name::Anonymous | Name::Federated(_) | Name::Service(_) => None,
    }
}

impl PrincipalName {
    /// Parses one of a member of `Principal`: `AWS`, `RAM`, `qcs`, `Service`, `Federated`; without
    /// one, the value stands alone.
    pub(crate) fn parse(dialect: Dialect, member: &str, text: &str) -> Result<Self, String> {
        let shown = quoted(text);
        if text.is_empty() || text.len() > MAX_NAME_LEN {
            return Err(format!("{shown} names nobody"));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("control character in {shown}"));
        }
        let plain = |name| {
            if text.contains(['*', '?']) || text.contains("${") {
                return Err(format!(
                    "wildcard or variable in {shown}: write the whole name"
                ));
            }
            Ok(name)
        };
        let name = match member {
            _ if text == "*"
                && !matches!(member, "Service" | "service" | "Federated" | "federated") =>
            {
                Name::Everyone
            }
            "Service" | "service" => plain(Name::Service(text.to_ascii_lowercase().into()))?,
            "Federated" | "federated" => plain(Name::Federated(text.into()))?,
            _ if text
                .strip_prefix("acs:ram:*:")
                .unwrap_or(text)
                .contains(['*', '?'])
                || text.contains("${") =>
            {
                return Err(format!(
                    "wildcard or variable in {shown}: a principal is written out, only the lone \
                     `*` stands for everybody"
                ));
            }
            _ => match parse(dialect, text)? {
                Name::Federated(_) | Name::Service(_) => {
                    return Err(format!(
                        "{shown} is a provider or a service: write it under `Federated` or \
                         `Service`"
                    ));
                }
                name => name,
            },
        };
        Ok(Self {
            text: text.into(),
            name,
            partition: partition(dialect, text),
        })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is `*`.
    pub(crate) fn is_everyone(&self) -> bool {
        self.name == Name::Everyone
    }

    /// The account whose whole it names.
    pub(crate) fn as_account(&self) -> Option<&str> {
        match &self.name {
            Name::Account(account) => Some(account),
            _ => None,
        }
    }

    /// Whether it is not of another partition than who asks.
    fn is_of_partition(&self, who: &VendorPrincipal) -> bool {
        match (&self.partition, &who.partition) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        }
    }

    /// Does it name who asks, by any of its names, its account's included?
    fn names_any(&self, dialect: Dialect, who: &Name) -> bool {
        match (&self.name, who) {
            (Name::Account(own), who) => account(who) == Some(&**own),
            _ => self.names_itself(dialect, who),
        }
    }

    /// Does it name who asks, and not only its account?
    fn names_itself(&self, dialect: Dialect, who: &Name) -> bool {
        let same_role = |own: &str, other: &str| match dialect {
            // Alibaba writes roles in lower case.
            Dialect::Alibaba => own.eq_ignore_ascii_case(other),
            // The ARN of a session has no path.
            Dialect::Aws => own == other || last(own) == other || own == last(other),
            _ => own == other,
        };
        match (&self.name, who) {
            (Name::Everyone, _) => true,
            (Name::Role(account, role), Name::Session(of, other, _)) => {
                account == of && same_role(role, other)
            }
            (Name::Role(account, role), Name::Role(of, other)) => {
                let equal = match dialect {
                    Dialect::Alibaba => role.eq_ignore_ascii_case(other),
                    _ => role == other,
                };
                account == of && equal
            }
            (Name::Session(account, role, session), Name::Session(of, other, own)) => {
                account == of && session == own && same_role(role, other)
            }
            (own, who) => own == who,
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Principals {
    /// Whether a statement with this effect speaks of who asks.
    ///
    /// An account in an Allow names the account alone: what its identities may do, they may through
    /// it, by the policies of their own account. In a Deny it names everybody in it. `NotPrincipal`
    /// in a Deny spares only those whose every name is listed, their account's included; in an
    /// Allow whoever has one name listed is left out.
    pub(crate) fn names(&self, effect: Effect, who: &VendorPrincipal) -> bool {
        let (dialect, name) = (who.dialect, &who.name);
        let names = || self.names.iter().filter(|own| own.is_of_partition(who));
        let itself = || names().any(|own| own.names_itself(dialect, name));
        let any = || names().any(|own| own.names_any(dialect, name));
        match (self.negated, effect) {
            (false, Effect::Allow) => itself(),
            (false, Effect::Deny) => any(),
            (true, Effect::Allow) => !any(),
            (true, Effect::Deny) => !self.lists_every_name(who),
        }
    }

    /// Whether the list has the account of who asks, the role of a session, and itself.
    fn lists_every_name(&self, who: &VendorPrincipal) -> bool {
        let names = || self.names.iter().filter(|own| own.is_of_partition(who));
        let (dialect, who) = (who.dialect, &who.name);
        let listed = |one: &Name| names().any(|own| own.name == Name::Everyone || own.name == *one);
        let session_listed = |account: &str, role: &str, session: &str| {
            names().any(|own| match &own.name {
                Name::Everyone => true,
                Name::Session(..) => own.names_itself(
                    dialect,
                    &Name::Session(account.into(), role.into(), session.into()),
                ),
                _ => false,
            })
        };
        let account_listed = || match account(who) {
            Some(account) => listed(&Name::Account(account.into())),
            None => true,
        };
        let itself = match who {
            Name::Session(account, role, session) => {
                let role_listed = names().any(|own| match &own.name {
                    Name::Everyone => true,
                    Name::Role(..) => own.names_itself(dialect, who),
                    _ => false,
                });
                role_listed && session_listed(account, role, session)
            }
            Name::Role(..) => names().any(|own| own.names_itself(dialect, who)),
            who => listed(who),
        };
        itself && account_listed()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.names)
            + self
                .names
                .iter()
                .map(|name| 2 * name.text.len())
                .sum::<usize>()
    }
}

fn is_account(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn parse(dialect: Dialect, text: &str) -> Result<Name, String> {
    match dialect {
        Dialect::Aws => parse_aws(text),
        Dialect::Tencent => parse_tencent(text),
        _ => parse_alibaba(text),
    }
}

fn parse_aws(text: &str) -> Result<Name, String> {
    let shown = quoted(text);
    let wrong = || {
        format!(
            "{shown} is no principal: write an account number, \
             `arn:aws:iam::<account>:user/<name>`, `…:role/<name>`, `…:root`, \
             `arn:aws:sts::<account>:assumed-role/<role>/<session>`, or `*`"
        )
    };
    if text.len() == 12 && is_account(text) {
        return Ok(Name::Account(text.into()));
    }
    let unique = ["AIDA", "AROA", "AGPA", "ASIA", "AKIA"]
        .iter()
        .any(|prefix| text.starts_with(prefix));
    if unique
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    {
        return Err(format!(
            "{shown} is the unique id of something: after it was deleted AWS shows the id in \
             place of the ARN, and nobody is named by it; write an ARN"
        ));
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, rest] = parts[..] else {
        return match text.contains('.') && !text.contains(':') {
            true if text.ends_with(".amazonaws.com") => Ok(Name::Service(text.into())),
            true => Ok(Name::Federated(text.into())),
            false => Err(wrong()),
        };
    };
    if partition.is_empty() || account.len() != 12 || !is_account(account) {
        return Err(wrong());
    }
    let account: Box<str> = account.into();
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    let named = !name.is_empty() && !name.ends_with('/');
    match (service, kind) {
        ("iam", "root") if name.is_empty() => Ok(Name::Account(account)),
        ("iam", "user") if named => Ok(Name::User(account, name.into())),
        ("iam", "role") if named => Ok(Name::Role(account, name.into())),
        ("iam", "group") => Err(format!(
            "{shown} is a group: a group is never a principal, name its members"
        )),
        ("iam", "saml-provider" | "oidc-provider") if named => Ok(Name::Federated(text.into())),
        ("sts", "assumed-role") => match name.split_once('/') {
            Some((role, session))
                if !role.is_empty() && !session.is_empty() && !session.contains('/') =>
            {
                Ok(Name::Session(account, role.into(), session.into()))
            }
            _ => Err(format!(
                "{shown}: write `assumed-role/<role>/<session>`, the role without its path"
            )),
        },
        ("sts", "federated-user") if named => Ok(Name::FederatedUser(account, name.into())),
        _ => Err(wrong()),
    }
}

fn parse_tencent(text: &str) -> Result<Name, String> {
    let shown = quoted(text);
    let wrong = || {
        format!(
            "{shown} is no principal: write `qcs::cam::uin/<main account>:uin/<sub-account>`, \
             `…:roleName/<name>`, or `*`"
        )
    };
    match text {
        "qcs::cam::anonymous:anonymous" => return Ok(Name::Anonymous),
        "qcs::cam::anyone:anyone" => return Ok(Name::Everyone),
        _ => {}
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["qcs", "", "cam", "", account, rest] = parts[..] else {
        return match text.contains('.') && !text.contains(':') {
            true => Ok(Name::Service(text.into())),
            false => Err(wrong()),
        };
    };
    let account = account.strip_prefix("uin/").ok_or_else(wrong)?;
    if !is_account(account) {
        return Err(wrong());
    }
    if rest == "root" {
        return Ok(Name::Account(account.into()));
    }
    let (kind, name) = rest.split_once('/').ok_or_else(wrong)?;
    if name.is_empty() {
        return Err(wrong());
    }
    match kind {
        "uin" if name == account => Ok(Name::Account(account.into())),
        "uin" => Ok(Name::User(account.into(), name.into())),
        "roleName" | "role" => Ok(Name::Role(account.into(), name.into())),
        "saml-provider" | "oidc-provider" => Ok(Name::Federated(text.into())),
        _ => Err(wrong()),
    }
}

fn parse_alibaba(text: &str) -> Result<Name, String> {
    let shown = quoted(text);
    let wrong = || {
        format!(
            "{shown} is no principal: write `acs:ram::<account>:root`, `…:user/<name>` or \
             `…:role/<name>`"
        )
    };
    let parts: Vec<&str> = text.splitn(5, ':').collect();
    let ["acs", "ram", "" | "*", account, rest] = parts[..] else {
        return match text.contains('.') && !text.contains(':') {
            true => Ok(Name::Service(text.into())),
            false => Err(wrong()),
        };
    };
    if !is_account(account) {
        return Err(wrong());
    }
    let account: Box<str> = account.into();
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    let session = name.split_once('/');
    match (kind, name, session) {
        ("root", "", _) => Ok(Name::Account(account)),
        ("user", name, None) if !name.is_empty() => Ok(Name::User(account, name.into())),
        ("user", name, Some(("org_user", id))) if !id.is_empty() => {
            Ok(Name::User(account, name.into()))
        }
        ("role", name, None) if !name.is_empty() => Ok(Name::Role(account, name.into())),
        ("role" | "assumed-role", _, Some((role, session)))
            if !role.is_empty() && !session.is_empty() =>
        {
            Ok(Name::Session(account, role.into(), session.into()))
        }
        ("saml-provider" | "oidc-provider", name, _) if !name.is_empty() => {
            Ok(Name::Federated(text.into()))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "111122223333";

    fn list(dialect: Dialect, member: &str, negated: bool, names: &[&str]) -> Principals {
        let parse = |text: &&str| {
            PrincipalName::parse(dialect, member, text).unwrap_or_else(|error| panic!("{error}"))
        };
        Principals {
            negated,
            names: names.iter().map(parse).collect(),
        }
    }

    #[test]
    fn aws_principals() {
        let user = "arn:aws:iam::111122223333:user/team/bob";
        let other = "arn:aws:iam::111122223333:user/bob";
        let role = "arn:aws:iam::111122223333:role/app/deploy";
        let session = "arn:aws:sts::111122223333:assumed-role/deploy/ci";
        let root = "arn:aws:iam::111122223333:root";
        // (negated, listed, who asks, in an Allow, in a Deny)
        let cases: &[(bool, &[&str], &str, bool, bool)] = &[
            (false, &["*"], user, true, true),
            (false, &["*"], "anonymous", true, true),
            (false, &[A], root, true, true),
            (false, &[root], user, false, true),
            (false, &[root], session, false, true),
            (
                false,
                &[root],
                "arn:aws:iam::999988887777:root",
                false,
                false,
            ),
            (false, &[root], "anonymous", false, false),
            (false, &[user], user, true, true),
            (false, &[user], other, false, false),
            // An account of another partition is another account.
            (
                false,
                &["arn:aws-cn:iam::111122223333:user/team/alice"],
                user,
                false,
                false,
            ),
            (
                true,
                &["arn:aws-cn:iam::111122223333:user/team/alice", A],
                user,
                false,
                true,
            ),
            (false, &[role], session, true, true),
            (false, &[role], role, true, true),
            (
                false,
                &["arn:aws:iam::111122223333:role/deploy"],
                role,
                false,
                false,
            ),
            (false, &[session], session, true, true),
            (false, &[session], role, false, false),
            (
                false,
                &[session],
                "arn:aws:sts::111122223333:assumed-role/deploy/other",
                false,
                false,
            ),
            // All but.
            (true, &[user], user, false, true),
            (true, &[user, root], user, false, false),
            (true, &[root], user, false, true),
            (true, &[user], other, true, true),
            (true, &[user], "anonymous", true, true),
            (true, &[role, session, A], session, false, false),
            (true, &[role, A], session, false, true),
        ];
        for (negated, listed, who, allow, deny) in cases {
            let list = list(Dialect::Aws, "AWS", *negated, listed);
            let asks = VendorPrincipal::parse(Dialect::Aws, who).unwrap();
            let found = [Effect::Allow, Effect::Deny].map(|effect| list.names(effect, &asks));
            assert_eq!(found, [*allow, *deny], "{negated} {listed:?} {who}");
        }
    }

    #[test]
    fn other_vendors() {
        let sub = "qcs::cam::uin/100000000001:uin/100000000002";
        let main = "qcs::cam::uin/100000000001:uin/100000000001";
        let cases: &[(Dialect, &str, &str, bool, bool)] = &[
            (Dialect::Tencent, sub, sub, true, true),
            (Dialect::Tencent, main, sub, false, true),
            (
                Dialect::Tencent,
                "qcs::cam::uin/100000000001:root",
                main,
                true,
                true,
            ),
            (Dialect::Tencent, "*", "anonymous", true, true),
            (
                Dialect::Tencent,
                "qcs::cam::anonymous:anonymous",
                sub,
                false,
                false,
            ),
            (Dialect::Tencent, "qcs::cam::anyone:anyone", sub, true, true),
            (
                Dialect::Alibaba,
                "acs:ram::1:user/a",
                "acs:ram:*:1:user/a",
                true,
                true,
            ),
            (
                Dialect::Alibaba,
                "acs:ram::1:root",
                "acs:ram::1:user/a",
                false,
                true,
            ),
            (
                Dialect::Alibaba,
                "acs:ram::1:role/Ops",
                "acs:ram::1:role/ops/s",
                true,
                true,
            ),
            (
                Dialect::Alibaba,
                "acs:ram::1:role/ops",
                "acs:ram::2:role/ops",
                false,
                false,
            ),
        ];
        for (dialect, listed, who, allow, deny) in cases {
            let list = list(*dialect, "", false, &[listed]);
            let asks = VendorPrincipal::parse(*dialect, who).unwrap();
            let found = [Effect::Allow, Effect::Deny].map(|effect| list.names(effect, &asks));
            assert_eq!(found, [*allow, *deny], "{listed} {who}");
        }
    }

    #[test]
    fn identities_have_names() {
        let cases = [
            ("org/acme", None, Some("arn:aws:iam::1:root")),
            (
                "org/acme/programmatic_identity/ci",
                None,
                Some("arn:aws:iam::1:user/ci"),
            ),
            (
                "org/acme/org_user/bob",
                None,
                Some("arn:aws:iam::1:user/org_user/bob"),
            ),
            (
                "org/acme/role/ops",
                Some("s"),
                Some("arn:aws:iam::1:role/ops"),
            ),
            ("org/acme/group/ops", None, None),
            ("user/u1", None, None),
        ];
        for (path, session, expected) in cases {
            let who = VendorPrincipal::of_identity(Dialect::Aws, path, "1", session);
            let found = who.and_then(|who| who.arn("aws"));
            assert_eq!(found.as_deref(), expected, "{path}");
        }
        let session =
            VendorPrincipal::of_identity(Dialect::Aws, "org/a/role/ops", A, Some("s")).unwrap();
        let named = list(
            Dialect::Aws,
            "AWS",
            false,
            &["arn:aws:sts::111122223333:assumed-role/ops/s"],
        );
        assert!(named.names(Effect::Allow, &session));
    }

    #[test]
    fn who_is_nobody() {
        let cases = [
            (Dialect::Aws, "AWS", "arn:aws:iam::111122223333:user/*"),
            (Dialect::Aws, "AWS", "arn:aws:iam::111122223333:group/ops"),
            (Dialect::Aws, "AWS", "AIDAEXAMPLEEXAMPLE"),
            (
                Dialect::Aws,
                "AWS",
                "arn:aws:iam::111122223333:user/${aws:username}",
            ),
            (Dialect::Aws, "AWS", "elasticache.amazonaws.com"),
            (
                Dialect::Aws,
                "AWS",
                "arn:aws:sts::111122223333:assumed-role/deploy",
            ),
            (Dialect::Aws, "Service", "*"),
            (Dialect::Tencent, "qcs", "qcs::redis::uin/1:uin/2"),
            (Dialect::Alibaba, "RAM", "acs:ram::x:root"),
            (Dialect::Alibaba, "RAM", ""),
        ];
        for (dialect, member, text) in cases {
            assert!(
                PrincipalName::parse(dialect, member, text).is_err(),
                "{text}"
            );
        }
    }
}
