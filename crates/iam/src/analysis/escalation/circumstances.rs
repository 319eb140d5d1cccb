//! From where, when and how somebody may come: what conditions of the organisation ask of the
//! connection, the second factor and the moment, and nobody's policies can change.

use std::net::{IpAddr, Ipv4Addr};

use keyward_policy::{Clause, Conditions, Fact, Operator, Policy, Statement, Template, Wanted};

use super::Search;
use super::roles::wanted_text;
use crate::analysis::open::Connection;
use crate::directory::Directory;
use crate::ids::{IdentityIx, UnixMillis};
use crate::session::Session;

/// Circumstances that are tried, the plainest first: beyond it the answer says so.
const MAX_CIRCUMSTANCES: usize = 32;

/// Different values of one condition key that are told apart.
const MAX_VALUES: usize = 8;

/// From where, when and how somebody comes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Circumstances {
    /// The address of the connection; of plain circumstances one that no condition names.
    pub source: Option<IpAddr>,
    /// Whether the connection is without encryption.
    pub plain_text: bool,
    /// When a second factor was given.
    pub mfa: Option<UnixMillis>,
    /// When temporary credentials were issued.
    pub issued: Option<UnixMillis>,
    /// What the client calls itself.
    pub client: Option<String>,
    /// The number of the database that it has selected.
    pub database_number: u32,
    /// The moment.
    pub at: UnixMillis,
    /// What of it is not plain, for people: `from an address in 10.0.0.0/8`.
    pub words: Vec<String>,
}

impl Circumstances {
    /// A session of an identity that comes so.
    #[must_use]
    pub fn session(&self, identity: IdentityIx) -> Session {
        self.of(Session::of_identity(identity))
    }

    /// What of it only the connection of a command has.
    pub(super) fn connection(&self) -> Connection<'_> {
        Connection {
            client: self.client.as_deref(),
            number: self.database_number,
        }
    }

    /// The session, coming so.
    pub(super) fn of(&self, session: Session) -> Session {
        let of_role = session.temporary.is_some();
        Session {
            source: self.source,
            secure: !self.plain_text,
            mfa: if of_role { session.mfa } else { self.mfa },
            issued: if of_role { session.issued } else { self.issued },
            ..session
        }
    }
}

/// One thing that may be otherwise, beside its plain value.
type Otherwise = (fn(&mut Circumstances, Value), Vec<(Value, String)>);

/// A value of one of them.
#[derive(Clone)]
enum Value {
    Address(IpAddr),
    Moment(UnixMillis),
    Name(String),
    Number(u32),
    Truth,
}

/// What documents ask of whoever comes.
#[derive(Default)]
struct Named {
    networks: Vec<(IpAddr, u8)>,
    /// Moments, in milliseconds since 1970, as they were written.
    times: Vec<(u64, String)>,
    factor: bool,
    /// Ages of second factors from which on something changes, in milliseconds.
    factor_ages: Vec<u64>,
    encryption: bool,
    issue: bool,
    /// Names of clients.
    clients: Vec<String>,
    /// Numbers of databases.
    numbers: Vec<u32>,
}

impl Named {
    fn read(&mut self, statement: &Statement) {
        let clauses = statement
            .conditions
            .as_ref()
            .map_or(&[][..], Conditions::clauses);
        for clause in clauses {
            let moments = || clause.boundaries().flatten();
            match clause.key.fact() {
                Fact::SourceIp => {
                    for wanted in clause.wanted().flatten() {
                        if let Wanted::Network(address, length) = wanted
                            && !self.networks.contains(&(address, length))
                        {
                            self.networks.push((address, length));
                        }
                    }
                }
                Fact::CurrentTime | Fact::EpochTime => {
                    let written = clause.values().iter().map(Template::text);
                    for (moment, text) in clause.boundaries().zip(written) {
                        let moment = moment.and_then(|moment| u64::try_from(moment).ok());
                        self.times
                            .extend(moment.map(|moment| (moment, text.to_owned())));
                    }
                }
                Fact::MultiFactorAuthPresent => self.factor = true,
                Fact::MultiFactorAuthAge => {
                    self.factor = true;
                    let older = matches!(
                        clause.operator,
                        Operator::NumericGreaterThan | Operator::NumericGreaterThanEquals
                    );
                    if older {
                        self.factor_ages
                            .extend(moments().filter_map(|age| u64::try_from(age).ok()));
                    }
                }
                Fact::SecureTransport => self.encryption = true,
                Fact::ClientName => {
                    let wanted = match clause.operator {
                        Operator::Null => Some("client".to_owned()),
                        _ => wanted_text(clause),
                    };
                    let new = wanted.filter(|name| !self.clients.contains(name));
                    self.clients.extend(new);
                }
                Fact::DatabaseIndex => {
                    for number in numbers(clause) {
                        if number > 0 && !self.numbers.contains(&number) {
                            self.numbers.push(number);
                        }
                    }
                }
                Fact::TokenIssueTime | Fact::TokenAge => self.issue = true,
                _ => {}
            }
        }
        let templates = statement.templates.as_ref();
        let in_names = templates.into_iter().flat_map(|templates| templates.all());
        let in_values = clauses.iter().flat_map(|clause| clause.values());
        let mut variables = in_names.chain(in_values).flat_map(Template::variables);
        self.issue |= variables.any(|key| *key.fact() == Fact::TokenIssueTime);
    }

    /// Addresses that differ in which networks they lie in, each with those it lies in; and one
    /// that lies in none.
    fn addresses(&self) -> (Option<IpAddr>, Vec<(Value, String)>) {
        let lies = |address: IpAddr| -> Vec<bool> {
            let networks = self.networks.iter();
            networks.map(|network| is_in(address, *network)).collect()
        };
        let outside = [
            [198, 51, 100, 77],
            [203, 0, 113, 77],
            [8, 8, 4, 4],
            [172, 31, 7, 7],
        ]
        .map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
        .into_iter()
        .find(|address| !lies(*address).contains(&true));
        let mut known = vec![vec![false; self.networks.len()]];
        let mut found = Vec::new();
        for network in &self.networks {
            for address in [network.0, last_of(*network)] {
                let inside = lies(address);
                if known.contains(&inside) {
                    continue;
                }
                let of = |wanted: bool| -> Vec<String> {
                    let networks = self.networks.iter().zip(&inside);
                    let meant = networks.filter(|(_, inside)| **inside == wanted);
                    meant.map(|(n, _)| format!("{}/{}", n.0, n.1)).collect()
                };
                let within = of(true);
                // What it must be outside of, too, where networks lie within each other.
                let inner = |other: &&(IpAddr, u8)| {
                    !is_in(address, **other) && is_in(other.0, *network) && other.1 > network.1
                };
                let except: Vec<String> = self
                    .networks
                    .iter()
                    .filter(inner)
                    .map(|n| format!("{}/{}", n.0, n.1))
                    .collect();
                let mut text = format!("from an address in {}", within.join(" and in "));
                if !except.is_empty() {
                    text.push_str(&format!(" and not in {}", except.join(" or ")));
                }
                known.push(inside);
                found.push((Value::Address(address), text));
            }
        }
        (outside, found)
    }
}

/// A number for each value of a clause on which it holds.
fn numbers(clause: &Clause) -> impl Iterator<Item = u32> {
    let values = clause.values().iter().map(Template::text);
    let values = values.filter_map(|text| text.parse::<u32>().ok());
    values.filter_map(|value| match clause.operator {
        Operator::NumericLessThan => value.checked_sub(1),
        Operator::NumericGreaterThan | Operator::NumericNotEquals => value.checked_add(1),
        _ => Some(value),
    })
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

fn host_bits((address, length): (IpAddr, u8)) -> u128 {
    let (_, width) = bits(address);
    let free = width.saturating_sub(u32::from(length));
    1_u128.checked_shl(free).map_or(u128::MAX, |end| end - 1)
}

fn is_in(address: IpAddr, network: (IpAddr, u8)) -> bool {
    let ((a, width), (b, of_network)) = (bits(address), bits(network.0));
    width == of_network && (a | host_bits(network)) == (b | host_bits(network))
}

fn last_of(network: (IpAddr, u8)) -> IpAddr {
    match network.0 {
        IpAddr::V4(address) => {
            let host = u32::try_from(host_bits(network)).unwrap_or(u32::MAX);
            IpAddr::V4((u32::from(address) | host).into())
        }
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) | host_bits(network)).into()),
    }
}

/// All documents that may have a say in an organisation.
pub(super) fn documents(directory: &Directory, organisation: &str) -> Vec<std::sync::Arc<Policy>> {
    let own = format!("org/{organisation}");
    let inside = |path: &str| {
        path.strip_prefix(&*own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut found = Vec::new();
    for (_, trust) in directory.trusts() {
        let trustee = directory.identity(trust.trustee);
        if inside(&trust.path) || trustee.is_some_and(|trustee| inside(&trustee.path)) {
            found.extend(directory.documents(&trust.policies));
            found.extend(trust.conditions.iter().cloned());
        }
    }
    for (_, identity) in directory.identities().filter(|(_, i)| inside(&i.path)) {
        found.extend(directory.documents(&identity.boundary));
        found.extend(directory.resource_policy(&identity.path).cloned());
        if let Some(details) = identity.organisation_details() {
            found.extend(directory.documents(&details.guardrails));
        }
    }
    for (_, database) in directory.databases().filter(|(_, d)| inside(&d.path)) {
        found.extend(directory.resource_policy(&database.path).cloned());
    }
    for (_, policy) in directory.policies().filter(|(_, p)| inside(&p.path)) {
        found.extend(policy.versions.iter().map(|version| version.policy.clone()));
    }
    found
}

impl Search<'_> {
    /// The circumstances that conditions tell apart, the plainest first.
    pub(super) fn circumstances(&mut self, documents: &[std::sync::Arc<Policy>]) {
        let mut named = Named::default();
        let statements = documents.iter().flat_map(|policy| policy.statements());
        statements.for_each(|statement| named.read(statement));
        let now = self.at;
        let (outside, addresses) = named.addresses();
        let mut ways: Vec<Otherwise> = Vec::new();
        ways.push((
            |one, value| {
                if let Value::Address(address) = value {
                    one.source = Some(address);
                }
            },
            addresses,
        ));
        let mut factors = Vec::new();
        if named.factor {
            factors.push((Value::Truth, "with a second factor".to_owned()));
        }
        named.factor_ages.sort_unstable();
        named.factor_ages.dedup();
        for age in &named.factor_ages {
            let given = UnixMillis(now.0.saturating_sub(age + 1000));
            let text = format!(
                "with a second factor given {} seconds before",
                age / 1000 + 1
            );
            factors.push((Value::Moment(given), text));
        }
        ways.push((
            |one, value| {
                one.mfa = Some(match value {
                    Value::Moment(given) => given,
                    _ => one.at,
                });
            },
            factors,
        ));
        ways.push((
            |one, value| {
                if let Value::Moment(at) = value {
                    one.at = at
                }
            },
            moments(&named, now),
        ));
        let given = |given: bool, text: &str| match given {
            true => vec![(Value::Truth, text.to_owned())],
            false => Vec::new(),
        };
        ways.push((
            |one, _| one.plain_text = true,
            given(named.encryption, "without encryption"),
        ));
        ways.push((
            |one, _| one.issued = Some(one.at),
            given(named.issue, "with temporary credentials"),
        ));
        let clients = named.clients.iter();
        ways.push((
            |one, value| {
                if let Value::Name(name) = value {
                    one.client = Some(name);
                }
            },
            clients
                .map(|name| {
                    (
                        Value::Name(name.clone()),
                        format!("calling itself `{name}`"),
                    )
                })
                .collect(),
        ));
        let numbers = named.numbers.iter();
        ways.push((
            |one, value| {
                if let Value::Number(number) = value {
                    one.database_number = number;
                }
            },
            numbers
                .map(|number| (Value::Number(*number), format!("in database {number}")))
                .collect(),
        ));
        let mut all = vec![Circumstances {
            source: outside.filter(|_| !named.networks.is_empty()),
            at: now,
            ..Circumstances::default()
        }];
        // The moment first: others count from it.
        ways.swap(0, 2);
        for (set, values) in ways {
            if values.len() > MAX_VALUES {
                self.truncated = true;
            }
            let mut more = Vec::new();
            for (value, text) in values.into_iter().take(MAX_VALUES) {
                for one in &all {
                    let mut other = one.clone();
                    set(&mut other, value.clone());
                    other.words.push(text.clone());
                    more.push(other);
                }
            }
            all.extend(more);
            all.sort_by_key(|one| one.words.len());
        }
        if all.len() > MAX_CIRCUMSTANCES {
            self.truncated = true;
            all.truncate(MAX_CIRCUMSTANCES);
        }
        self.circumstances = all;
    }
}

/// A moment in each time to come that conditions tell apart.
fn moments(named: &Named, now: UnixMillis) -> Vec<(Value, String)> {
    let mut ends: Vec<&(u64, String)> = named.times.iter().filter(|t| t.0 > now.0).collect();
    ends.sort();
    ends.dedup_by_key(|end| end.0);
    let mut found = Vec::new();
    for (number, (end, text)) in ends.iter().enumerate() {
        // Just after it: conditions differ on whether the end itself is meant.
        let (inside, text) = match ends.get(number + 1) {
            Some((next, until)) => (
                (*end + 1000).min(end.midpoint(*next)),
                format!("between {text} and {until}"),
            ),
            None => (*end + 1000, format!("from {text} on")),
        };
        found.push((Value::Moment(UnixMillis(inside)), text));
    }
    found
}
