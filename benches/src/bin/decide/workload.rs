//! What every engine is asked: the same policies, the same requests, and the answers.

use std::net::{IpAddr, Ipv4Addr};

/// The words of a command after its name and its key.
const COMMANDS: [(&str, &[&str]); 16] = [
    ("GET", &[]),
    ("SET", &["v"]),
    ("DEL", &[]),
    ("EXPIRE", &["60"]),
    ("TTL", &[]),
    ("APPEND", &["v"]),
    ("INCR", &[]),
    ("HGET", &["f"]),
    ("HSET", &["f", "v"]),
    ("HGETALL", &[]),
    ("LPUSH", &["v"]),
    ("RPOP", &[]),
    ("SADD", &["m"]),
    ("SMEMBERS", &[]),
    ("ZADD", &["1", "m"]),
    ("ZRANGE", &["0", "-1"]),
];

/// Commands that one policy allows.
const ALLOWED: usize = 6;

/// Requests that are sampled.
pub const REQUESTS: usize = 256;

/// One identity's policy: some commands on one database, for addresses of one network and keys
/// of one tenant where the workload has conditions.
#[derive(Clone, Debug)]
pub struct PolicyOf {
    /// Number of the identity, and of its tenant.
    pub identity: usize,
    /// Commands that it allows.
    pub commands: Vec<&'static str>,
    /// Number of the database.
    pub database: usize,
    /// Second number of the network `10.n.0.0/16`.
    pub network: u8,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Number of the identity that asks.
    pub identity: usize,
    /// The command's name.
    pub command: &'static str,
    /// The command's words.
    pub words: Vec<Vec<u8>>,
    /// The key in them.
    pub key: String,
    /// Number of the database.
    pub database: usize,
    /// Where it comes from.
    pub source: IpAddr,
    /// Whether it is allowed.
    pub allowed: bool,
}

/// Policies and requests.
#[derive(Debug)]
pub struct Workload {
    /// Whether policies restrict address and key.
    pub conditions: bool,
    /// How many databases there are.
    pub databases: usize,
    /// One an identity.
    pub policies: Vec<PolicyOf>,
    /// What is asked.
    pub asks: Vec<Ask>,
}

/// Names as all engines spell them.
pub fn identity(number: usize) -> String {
    format!("service-{number}")
}

/// The name of a database.
pub fn database(number: usize) -> String {
    format!("db-{number}")
}

/// What a tenant's keys begin with.
pub fn prefix(tenant: usize) -> String {
    format!("tenant-{tenant}:")
}

/// The network of a policy.
pub fn network(second: u8) -> String {
    format!("10.{second}.0.0/16")
}

/// Keyward's action of a command.
pub fn action(command: &str) -> String {
    let (first, rest) = command.split_at(1);
    format!("kvdb:Execute{first}{}", rest.to_lowercase())
}

/// A small generator of pseudo-random numbers (splitmix64): every run asks the same.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    /// True in `percent` of a hundred cases.
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

impl Workload {
    /// `count` policies of `count` identities.
    pub fn new(count: usize, conditions: bool) -> Self {
        let mut random = Random(count as u64);
        let databases = (count / 10).max(2);
        let policies: Vec<PolicyOf> = (0..count)
            .map(|identity| {
                let mut all = COMMANDS.map(|(name, _)| name).to_vec();
                let commands = (0..ALLOWED)
                    .map(|_| all.swap_remove(random.below(all.len())))
                    .collect();
                PolicyOf {
                    identity,
                    commands,
                    database: random.below(databases),
                    network: u8::try_from(random.below(200)).expect("below 200"),
                }
            })
            .collect();
        let asks = (0..REQUESTS)
            .map(|_| Self::ask(&mut random, &policies, databases, conditions))
            .collect();
        Self {
            conditions,
            databases,
            policies,
            asks,
        }
    }

    /// About half of the requests are allowed; each of the others misses in one or more ways.
    fn ask(random: &mut Random, policies: &[PolicyOf], databases: usize, conditions: bool) -> Ask {
        let policy = &policies[random.below(policies.len())];
        let command = if random.chance(80) {
            policy.commands[random.below(ALLOWED)]
        } else {
            COMMANDS[random.below(COMMANDS.len())].0
        };
        let database = if random.chance(85) {
            policy.database
        } else {
            random.below(databases)
        };
        let second = if random.chance(85) {
            policy.network
        } else {
            u8::try_from(random.below(200)).expect("below 200")
        };
        let tenant = if random.chance(85) {
            policy.identity
        } else {
            random.below(policies.len())
        };
        let third = u8::try_from(random.below(256)).expect("below 256");
        let source = IpAddr::V4(Ipv4Addr::new(10, second, third, 7));
        let key = format!("{}session:{}", prefix(tenant), random.below(1_000_000));
        let rest = COMMANDS
            .iter()
            .find(|(name, _)| *name == command)
            .map_or(&[][..], |(_, rest)| rest);
        let words = [command, &key]
            .into_iter()
            .chain(rest.iter().copied())
            .map(|word| word.as_bytes().to_vec())
            .collect();
        let allowed = policy.commands.contains(&command)
            && policy.database == database
            && (!conditions || (policy.network == second && tenant == policy.identity));
        Ask {
            identity: policy.identity,
            command,
            words,
            key,
            database,
            source,
            allowed,
        }
    }
}
