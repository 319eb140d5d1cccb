//! casbin: one policy line an identity, matched from first to last, with and without its cache.

use std::hint::black_box;

use casbin::function_map::{OperatorFunction, dynamic_to_str};
use casbin::{
    CachedApi, CachedEnforcer, CoreApi, DefaultCache, DefaultModel, Enforcer, MemoryAdapter,
    MgmtApi,
};

use crate::Engine;
use crate::workload::{Workload, database, identity, network, prefix};

const MODEL: &str = "
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && wordOf(r.act, p.act)
";

const MODEL_WITH_CONDITIONS: &str = "
[request_definition]
r = sub, obj, act, ip, key
[policy_definition]
p = sub, obj, act, net, pattern
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && wordOf(r.act, p.act) && ipMatch(r.ip, p.net) && keyMatch(r.key, p.pattern)
";

/// A request in casbin's terms.
enum Asked {
    Plain(String, String, String),
    Conditional(String, String, String, String, String),
}

/// Either enforcer.
enum Either {
    Plain(Enforcer),
    Cached(CachedEnforcer),
}

/// casbin with one of its enforcers.
pub struct Casbin {
    enforcer: Either,
    asked: Vec<Asked>,
}

fn lines(workload: &Workload) -> Vec<Vec<String>> {
    workload
        .policies
        .iter()
        .map(|of| {
            let mut line = vec![
                identity(of.identity),
                database(of.database),
                of.commands.join(" "),
            ];
            if workload.conditions {
                line.push(network(of.network));
                line.push(format!("{}*", prefix(of.identity)));
            }
            line
        })
        .collect()
}

/// A function of the matcher that is cheaper than casbin's regular expressions.
fn word_of() -> OperatorFunction {
    OperatorFunction::Arg2(|word, words| {
        let (word, words) = (dynamic_to_str(&word), dynamic_to_str(&words));
        words.split(' ').any(|one| one == word).into()
    })
}

async fn load<E: CoreApi + MgmtApi>(workload: &Workload) -> E {
    let text = if workload.conditions {
        MODEL_WITH_CONDITIONS
    } else {
        MODEL
    };
    let model = DefaultModel::from_str(text).await.expect("a model");
    let mut enforcer = E::new(model, MemoryAdapter::default())
        .await
        .expect("an enforcer");
    enforcer.add_function("wordOf", word_of());
    enforcer
        .add_policies(lines(workload))
        .await
        .expect("policies");
    enforcer
}

impl Casbin {
    fn of(workload: &Workload, enforcer: Either) -> Self {
        let asked = workload
            .asks
            .iter()
            .map(|ask| {
                let (sub, obj) = (identity(ask.identity), database(ask.database));
                let act = ask.command.to_owned();
                if workload.conditions {
                    Asked::Conditional(sub, obj, act, ask.source.to_string(), ask.key.clone())
                } else {
                    Asked::Plain(sub, obj, act)
                }
            })
            .collect();
        Self { enforcer, asked }
    }

    /// Every request is matched against the policies.
    pub fn new(workload: &Workload) -> Self {
        let enforcer = crate::run(load::<Enforcer>(workload));
        Self::of(workload, Either::Plain(enforcer))
    }

    /// A request that was seen before is answered from a cache large enough for all.
    pub fn cached(workload: &Workload) -> Self {
        let mut enforcer = crate::run(load::<CachedEnforcer>(workload));
        enforcer.set_cache(Box::new(DefaultCache::new(100_000)));
        Self::of(workload, Either::Cached(enforcer))
    }
}

impl Engine for Casbin {
    fn decide(&mut self, number: usize) -> bool {
        let asked = black_box(&self.asked[number]);
        let decided = match (&self.enforcer, asked) {
            (Either::Plain(e), Asked::Plain(a, b, c)) => e.enforce((a, b, c)),
            (Either::Plain(e), Asked::Conditional(a, b, c, d, f)) => e.enforce((a, b, c, d, f)),
            (Either::Cached(e), Asked::Plain(a, b, c)) => e.enforce((a, b, c)),
            (Either::Cached(e), Asked::Conditional(a, b, c, d, f)) => e.enforce((a, b, c, d, f)),
        };
        decided.expect("a matcher that evaluates")
    }

    fn decide_all(&mut self, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| self.decide(*number)).count()
    }
}
