//! The design's section 3 read naively: every path enumerated, every statement asked.

use std::sync::Arc;

use keyward_commands::{CONNECT, CommandClass, CommandId, Touched, Words};
use keyward_iam::{Attachment, Directory, IdentityIx, Outcome, Principal, Session, TrustKind};
use keyward_policy::{
    ChannelUse, Effect, IdentityPattern, KeyUse, Match, Policy, Statement, Touch,
};

pub(crate) struct Case<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) session: &'a Session,
    pub(crate) resource: &'a str,
}

type Path = Vec<keyward_iam::TrustIx>;

impl Case<'_> {
    fn documents(&self, list: &[Attachment]) -> Vec<Arc<Policy>> {
        list.iter()
            .map(|attachment| match attachment {
                Attachment::Inline(policy) => Arc::clone(policy),
                Attachment::Named(_) | Attachment::System(..) => {
                    unreachable!("the worlds have none")
                }
            })
            .collect()
    }

    fn verdict(
        &self,
        statements: &[&Statement],
        action: keyward_commands::ActionId,
        touch: &Touch<'_>,
    ) -> Option<Effect> {
        let matches = |effect| {
            statements.iter().any(|s| {
                s.effect == effect
                    && s.matches(action, self.resource, touch, &keyward_policy::NoFacts)
                        == Match::Full
            })
        };
        if matches(Effect::Deny) {
            Some(Effect::Deny)
        } else if matches(Effect::Allow) {
            Some(Effect::Allow)
        } else {
            None
        }
    }

    fn list(
        &self,
        attachments: &[Attachment],
        action: keyward_commands::ActionId,
        touch: &Touch<'_>,
    ) -> Option<Effect> {
        let documents = self.documents(attachments);
        let statements: Vec<&Statement> = documents.iter().flat_map(|d| d.statements()).collect();
        self.verdict(&statements, action, touch)
    }

    /// All paths of trusts upwards from an identity, the empty one included.
    fn paths(&self, from: IdentityIx) -> Vec<(IdentityIx, Path)> {
        let mut all = vec![(from, Vec::new())];
        let mut at = 0;
        while at < all.len() {
            let (end, path) = all[at].clone();
            for (ix, trust) in self.directory.trusts() {
                let standing = trust.kind != TrustKind::Assumable;
                if trust.trustee == end && trust.accepted && standing {
                    let mut longer = path.clone();
                    longer.push(ix);
                    all.push((trust.trustor, longer));
                }
            }
            at += 1;
        }
        all
    }

    fn session_layers(&self) -> Vec<Vec<Arc<Policy>>> {
        let Some(session) = &self.session.temporary else {
            return Vec::new();
        };
        let directory = self.directory;
        let trust = session.trust.as_ref().unwrap();
        let trust = directory.trust(directory.trust_at(trust).unwrap()).unwrap();
        let own = session.policies.iter().map(|policy| match policy {
            keyward_iam::SessionPolicy::Named(path) => {
                let named = directory.policy_at(path).unwrap();
                Arc::clone(directory.policy(named).unwrap().default())
            }
            keyward_iam::SessionPolicy::Text(_) => unreachable!("the worlds have none"),
        });
        let layers = [self.documents(&trust.policies), own.collect()];
        layers
            .into_iter()
            .filter(|layer| !layer.is_empty())
            .collect()
    }

    fn organisation(&self, ix: IdentityIx) -> Option<IdentityIx> {
        self.directory.identity(ix)?.organisation
    }

    fn guardrails(&self, organisation: Option<IdentityIx>) -> Vec<Attachment> {
        organisation
            .and_then(|ix| self.directory.identity(ix))
            .and_then(|o| o.organisation_details())
            .map(|details| details.guardrails.clone())
            .unwrap_or_default()
    }

    fn names(&self, statement: &Statement, identity: Option<IdentityIx>, by_itself: bool) -> bool {
        statement
            .identities
            .iter()
            .any(|pattern| match (pattern, identity) {
                (IdentityPattern::Path(path), Some(ix)) => {
                    *self.directory.identity(ix).unwrap().path == **path
                }
                (IdentityPattern::Everyone, Some(_)) => by_itself,
                (IdentityPattern::Unauthenticated, None) => true,
                _ => false,
            })
    }

    fn evaluate(&self, action: keyward_commands::ActionId, touch: &Touch<'_>) -> Outcome {
        let directory = self.directory;
        let database = directory.database_at(self.resource).unwrap();
        let database = directory.database(database).unwrap();
        let owner = database.organisation;
        let policy = database.resource_policy.as_ref();
        let resource: Vec<&Statement> = policy
            .iter()
            .flat_map(|policy| policy.statements())
            .collect();
        let matches = |s: &Statement| {
            s.matches(action, self.resource, touch, &keyward_policy::NoFacts) == Match::Full
        };
        let Principal::Identity(principal) = self.session.principal else {
            let named = |effect| {
                resource.iter().any(|s| {
                    s.effect == effect
                        && matches(s)
                        && (self.names(s, None, true)
                            || (effect == Effect::Deny
                                && s.identities.contains(&IdentityPattern::Everyone)))
                })
            };
            let guard = self.guardrails(Some(owner));
            let guard = (!guard.is_empty()).then(|| self.list(&guard, action, touch));
            return if named(Effect::Deny) || guard == Some(Some(Effect::Deny)) {
                Outcome::ExplicitDeny
            } else if named(Effect::Allow) && guard.is_none_or(|g| g == Some(Effect::Allow)) {
                Outcome::Allow
            } else {
                Outcome::ImplicitDeny
            };
        };
        let own = self.organisation(principal);
        let paths = self.paths(principal);
        // What limits a session: the trust it was assumed through, its own policies.
        let session_layers = self.session_layers();
        let of_session = |effect: Effect| {
            let mut layers = session_layers.iter();
            layers.any(|layer| {
                let statements: Vec<&Statement> =
                    layer.iter().flat_map(|d| d.statements()).collect();
                let said = self.verdict(&statements, action, touch);
                match effect {
                    Effect::Deny => said == Some(Effect::Deny),
                    Effect::Allow => said != Some(Effect::Allow),
                }
            })
        };
        // Step 2.
        let mut denies = of_session(Effect::Deny);
        denies |= self.list(
            &directory.identity(principal).unwrap().boundary,
            action,
            touch,
        ) == Some(Effect::Deny);
        for organisation in [own, Some(owner)] {
            denies |=
                self.list(&self.guardrails(organisation), action, touch) == Some(Effect::Deny);
        }
        for trust in paths.iter().flat_map(|(_, path)| path) {
            let trust = directory.trust(*trust).unwrap();
            let side = self.organisation(trust.trustor);
            if side.is_some() && (side == own || side == Some(owner)) {
                denies |= self.list(&trust.policies, action, touch) == Some(Effect::Deny);
            }
        }
        for statement in resource
            .iter()
            .filter(|s| s.effect == Effect::Deny && matches(s))
        {
            let everyone = statement.identities.contains(&IdentityPattern::Everyone);
            denies |= everyone
                || paths
                    .iter()
                    .any(|(end, _)| self.names(statement, Some(*end), false));
        }
        if denies {
            return Outcome::ExplicitDeny;
        }
        // Steps 3 and 4.
        if of_session(Effect::Allow) {
            return Outcome::ImplicitDeny;
        }
        for (end, path) in &paths {
            let mut identities = vec![principal];
            identities.extend(path.iter().map(|t| directory.trust(*t).unwrap().trustor));
            let trusts = path.iter().all(|ix| {
                let trust = directory.trust(*ix).unwrap();
                let condition = trust.conditions_text();
                let known = |text: &str| {
                    let mut all = crate::support::TRUST_CONDITIONS.iter();
                    all.any(|(known, holds)| *known == text && *holds)
                };
                condition.is_none_or(known)
                    && (trust.kind == TrustKind::Ownership
                        || (trust.kind == TrustKind::Membership && trust.policies.is_empty())
                        || self.list(&trust.policies, action, touch) == Some(Effect::Allow))
            });
            let accepted = *end == owner
                || resource.iter().any(|s| {
                    s.effect == Effect::Allow
                        && matches(s)
                        && self.names(s, Some(*end), path.is_empty())
                });
            let limits = |list: &[Attachment]| {
                list.is_empty() || self.list(list, action, touch) == Some(Effect::Allow)
            };
            let bounded = identities.iter().all(|ix| {
                limits(&directory.identity(*ix).unwrap().boundary)
                    && limits(&self.guardrails(self.organisation(*ix)))
            });
            if trusts && accepted && bounded && limits(&self.guardrails(Some(owner))) {
                return Outcome::Allow;
            }
        }
        Outcome::ImplicitDeny
    }

    /// One command, with what is implied and what needs more than its own action.
    pub(crate) fn decide(&self, words: &[&str]) -> Outcome {
        let command = keyward_commands::resolve(words).unwrap();
        let mut touched = Touched::default();
        keyward_commands::touched(command, words, &mut touched).unwrap();
        let keys: Vec<KeyUse<'_>> = touched
            .keys
            .iter()
            .map(|key| KeyUse {
                key: words.word(key.word as usize),
                reads: key.flags.reads(),
                writes: key.flags.writes(),
            })
            .collect();
        let channels: Vec<ChannelUse<'_>> = touched
            .channels
            .iter()
            .map(|c| ChannelUse {
                channel: words.word(c.word as usize),
                pattern: c.pattern,
            })
            .collect();
        let tracks = command.command().channels == keyward_commands::ChannelRule::Tracking;
        let touch = match touched.scope {
            // It tells the names of keys.
            _ if tracks && words.contains(&"BCAST") => EVERY_NAME,
            _ if touched.every_channel => everything(command),
            keyward_commands::Scope::Keyless => Touch::Keyless,
            keyward_commands::Scope::Named => Touch::Named {
                keys: &keys,
                channels: &channels,
            },
            keyward_commands::Scope::EveryKey {
                reads,
                writes,
                enumeration,
            } => Touch::EveryKey {
                reads,
                writes,
                enumeration,
            },
        };
        let whole = || {
            CommandId::all().all(|id| {
                let own = self.evaluate(id.action(), &everything(id));
                match id.command().class {
                    CommandClass::Ordinary | CommandClass::WholeDatabase => own == Outcome::Allow,
                    CommandClass::ConnectOnly => own != Outcome::ExplicitDeny,
                    _ => true,
                }
            })
        };
        let own = self.evaluate(command.action(), &touch);
        match command.command().class {
            CommandClass::Administrative => Outcome::ImplicitDeny,
            CommandClass::ConnectOnly if own == Outcome::ImplicitDeny => {
                let runs = |id: CommandId, touch: &Touch<'_>| {
                    let runnable = match id.command().class {
                        CommandClass::Ordinary => true,
                        CommandClass::WholeDatabase => whole(),
                        _ => false,
                    };
                    let touches = matches!(
                        touch,
                        Touch::Named { keys: [_, ..], .. } | Touch::EveryKey { .. }
                    );
                    let reads_keys =
                        !touches || id.command().scope == keyward_commands::CommandScope::Keyed;
                    runnable && reads_keys && self.evaluate(id.action(), touch) == Outcome::Allow
                };
                match self.evaluate(CONNECT, &Touch::None) {
                    Outcome::ExplicitDeny => return Outcome::ExplicitDeny,
                    Outcome::Allow => {}
                    // "some Execute action is allowed or conditional"
                    Outcome::ImplicitDeny => {
                        let some = CommandId::all().any(|id| {
                            SAMPLES.iter().any(|sample| runs(id, sample))
                                || (id.command().channels != keyward_commands::ChannelRule::None
                                    && runs(id, &CHANNEL))
                                || (self.is_keyless(id) && runs(id, &Touch::Keyless))
                        });
                        if !some {
                            return Outcome::ImplicitDeny;
                        }
                    }
                }
                let free = keys.is_empty() && !matches!(touch, Touch::EveryKey { .. });
                if free || CommandId::all().any(|id| runs(id, &touch)) {
                    Outcome::Allow
                } else {
                    Outcome::ImplicitDeny
                }
            }
            _ if own == Outcome::Allow && touched.whole_database && !whole() => {
                Outcome::ImplicitDeny
            }
            _ => own,
        }
    }

    fn is_keyless(&self, id: CommandId) -> bool {
        id.command().scope == keyward_commands::CommandScope::Keyless
    }
}

/// Keys that tell whether an action is possible for some keys in the worlds.
const SAMPLES: [Touch<'static>; 4] = [
    Touch::Named {
        keys: &[KeyUse {
            key: b"a:1",
            reads: true,
            writes: false,
        }],
        channels: &[],
    },
    Touch::Named {
        keys: &[KeyUse {
            key: b"zz",
            reads: true,
            writes: false,
        }],
        channels: &[],
    },
    Touch::Named {
        keys: &[KeyUse {
            key: b"a:1",
            reads: false,
            writes: true,
        }],
        channels: &[],
    },
    Touch::Named {
        keys: &[KeyUse {
            key: b"zz",
            reads: false,
            writes: true,
        }],
        channels: &[],
    },
];
const CHANNEL: Touch<'static> = Touch::Named {
    keys: &[],
    channels: &[ChannelUse {
        channel: b"a:1",
        pattern: false,
    }],
};

const EVERY_NAME: Touch<'static> = Touch::EveryKey {
    reads: true,
    writes: false,
    enumeration: false,
};

/// The hardest call of a command: all keys, all channels.
fn everything(id: CommandId) -> Touch<'static> {
    const ALL_CHANNELS: &[ChannelUse<'static>] = &[ChannelUse {
        channel: b"*",
        pattern: true,
    }];
    match id.command().channels {
        keyward_commands::ChannelRule::None => Touch::of_action(id.action()),
        keyward_commands::ChannelRule::Tracking => EVERY_NAME,
        _ => Touch::Named {
            keys: &[],
            channels: ALL_CHANNELS,
        },
    }
}
