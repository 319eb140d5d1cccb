//! Running tests: outcomes, which statements took part, and changed policies that no test notices.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use keyward_iam::{
    Case, CaseDocument, CaseRequest, ContextNames, Decision, Outcome, PolicySource, StatementRef,
    TEST_ORGANISATION, full_path,
};
use keyward_policy::{Dialect, Policy, PolicyKind};

use super::file::{self, Document, Doing, Expected, Holder, Test, TestFile};
use super::mutants::{self, Mutant};

/// All tests of a run, and every document that they speak of, once.
#[derive(Debug, Default)]
pub(crate) struct Suite {
    pub(crate) documents: Vec<Document>,
    pub(crate) files: Vec<TestFile>,
    /// The `Sid`s of documents, read once: large documents have thousands of statements to be named.
    sids: RefCell<HashMap<usize, Arc<[Option<String>]>>>,
    /// Documents as they were read, once for all tests.
    read: RefCell<HashMap<(usize, PolicyKind), Arc<Policy>>>,
}

/// How a test ended.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Why it failed.
    pub(crate) failure: Option<String>,
    /// What was decided; an error where nothing was.
    pub(crate) decided: Result<Decision, String>,
    /// The statements that made the decision, as documents and places in them.
    pub(crate) took_part: Vec<(usize, usize)>,
    /// Those that speak for it, with documents as the tests call them.
    pub(crate) statements: Vec<String>,
    /// Why it was decided so, with documents as the tests call them.
    pub(crate) message: String,
}

/// A change of a document that no test notices.
#[derive(Debug)]
pub(crate) struct Survivor {
    pub(crate) document: usize,
    pub(crate) statement: usize,
    /// What was changed.
    pub(crate) change: String,
    /// Whether the statement was taken away whole.
    pub(crate) removed: bool,
}

/// What changed policies showed.
#[derive(Debug, Default)]
pub(crate) struct Mutation {
    pub(crate) tried: usize,
    pub(crate) survivors: Vec<Survivor>,
    /// Changes that were not tried, since their documents are too large.
    pub(crate) left_out: usize,
}

/// A document in the place of another.
struct Replaced<'a> {
    document: usize,
    /// None: it is taken out of its list.
    text: Option<&'a str>,
}

impl Suite {
    /// Reads a file of tests.
    pub(crate) fn add(&mut self, path: &Path) -> Result<(), String> {
        let mut file = file::read(path)?;
        let mut places = Vec::new();
        for document in std::mem::take(&mut file.documents) {
            let same = self.documents.iter().position(|known| {
                known.label == document.label && known.dialect == document.dialect
            });
            places.push(same.unwrap_or_else(|| {
                self.documents.push(document);
                self.documents.len() - 1
            }));
        }
        let lists = [
            &mut file.policies,
            &mut file.boundaries,
            &mut file.resource_policies,
        ];
        for holder in lists.into_iter().flatten() {
            for place in &mut holder.documents {
                *place = places[*place];
            }
        }
        self.files.push(file);
        Ok(())
    }

    /// The documents of a name.
    fn of<'a>(holders: &'a [Holder], name: &str) -> &'a [usize] {
        let holder = holders.iter().find(|holder| holder.name == name);
        holder.map_or(&[], |holder| &holder.documents)
    }

    fn lists<'a>(file: &'a TestFile, test: &Test) -> [&'a [usize]; 3] {
        let resource = full_path(&test.on, TEST_ORGANISATION);
        [
            Self::of(&file.policies, &test.identity),
            Self::of(&file.boundaries, &test.identity),
            Self::of(&file.resource_policies, &resource),
        ]
    }

    /// A document as it is read, if it can be.
    fn read(&self, place: usize, kind: PolicyKind) -> Option<Arc<Policy>> {
        let known = self.read.borrow().get(&(place, kind)).cloned();
        known.or_else(|| {
            let document = self.documents.get(place)?;
            let dialect = match &document.dialect {
                Some(name) => Some(Dialect::by_name(name)?),
                None => keyward_policy::detect(&document.text).ok(),
            };
            let read = keyward_policy::read_as(dialect, &document.text, kind, TEST_ORGANISATION);
            let policy = Arc::new(read.ok()?);
            let mut all = self.read.borrow_mut();
            all.insert((place, kind), Arc::clone(&policy));
            Some(policy)
        })
    }

    fn decide(
        &self,
        file: &TestFile,
        test: &Test,
        replaced: Option<&Replaced<'_>>,
    ) -> Result<Decision, String> {
        let documents = |places: &[usize], kind: PolicyKind| -> Vec<CaseDocument> {
            let one = |place: &usize| {
                let document = &self.documents[*place];
                let text = match replaced {
                    Some(other) if other.document == *place => other.text?,
                    _ => match self.read(*place, kind) {
                        Some(policy) => return Some(CaseDocument::of_policy(policy)),
                        None => &document.text,
                    },
                };
                Some(CaseDocument {
                    dialect: document.dialect.clone(),
                    text: text.to_owned(),
                    policy: None,
                })
            };
            places.iter().filter_map(one).collect()
        };
        let [policies, boundary, resource_policies] = Self::lists(file, test);
        let values = |name: &str| {
            let found = test.with.iter().find(|(known, _)| known == name);
            found.map(|(_, values)| values.clone()).unwrap_or_default()
        };
        let request = match &test.request {
            Doing::Command(words) => CaseRequest::Command {
                words: words.clone(),
                database: test.on.clone(),
                db_index: 0,
            },
            Doing::Action(action) => CaseRequest::Action {
                action: action.clone(),
                resource: test.on.clone(),
                names: ContextNames {
                    keys: values("kvdb:Key"),
                    read_keys: values("kvdb:ReadKey"),
                    write_keys: values("kvdb:WriteKey"),
                    channels: values("kvdb:Channel"),
                },
            },
        };
        let principal = if test.identity == "unauthenticated" || test.identity.contains(['/', ':'])
        {
            test.identity.clone()
        } else {
            format!("programmatic_identity/{}", test.identity)
        };
        let case = Case {
            policies: documents(policies, PolicyKind::Identity),
            resource_policies: documents(resource_policies, PolicyKind::Resource),
            boundaries: match boundary {
                [] => Vec::new(),
                boundary => vec![documents(boundary, PolicyKind::Identity)],
            },
            principal,
            request,
            context: test.with.clone(),
            lists: Vec::new(),
            aliases: keyward_iam::VendorAliases::default(),
        };
        case.decide().map_err(|error| error.to_string())
    }

    /// Runs one test.
    pub(crate) fn run(&self, file: &TestFile, test: &Test) -> Verdict {
        let decided = self.decide(file, test, None);
        let failure = judge(test, &decided);
        let [policies, boundary, resource_policies] = Self::lists(file, test);
        let place = |statement: &StatementRef| {
            let list = match statement.source {
                PolicySource::Trust(_) => policies,
                PolicySource::Layer(_) => boundary,
                PolicySource::ResourcePolicy(_) => resource_policies,
                _ => return None,
            };
            Some((*list.get(statement.document)?, statement.statement))
        };
        // Statements are told by the files that they stand in.
        let named = |mut text: String| {
            for statement in decided.iter().flat_map(|decision| &decision.statements) {
                if let Some(place) = place(statement) {
                    text = text.replace(&statement.describe(), &self.statement_name(place));
                }
            }
            text.replace("trust org/test/trust/test", "its policies")
        };
        let message = named(match &decided {
            Ok(decision) => decision.message.clone(),
            Err(error) => error.clone(),
        });
        let failure = failure.map(named);
        let statements = decided.iter().flat_map(|decision| &decision.statements);
        let statements = statements.map(|found| named(found.describe())).collect();
        let took_part = match &decided {
            // What came nearest to an allow decided nothing.
            Ok(decision) if decision.outcome != Outcome::ImplicitDeny => {
                decision.statements.iter().filter_map(place).collect()
            }
            _ => Vec::new(),
        };
        Verdict {
            failure,
            decided,
            took_part,
            statements,
            message,
        }
    }

    /// Every statement, as its document and its place in it.
    pub(crate) fn statements(&self) -> BTreeSet<(usize, usize)> {
        let mut all = BTreeSet::new();
        for place in 0..self.documents.len() {
            for statement in 0..self.sids(place).len() {
                all.insert((place, statement));
            }
        }
        all
    }

    fn sids(&self, document: usize) -> Arc<[Option<String>]> {
        let mut known = self.sids.borrow_mut();
        let read = || mutants::sids(&self.documents[document]).into();
        Arc::clone(known.entry(document).or_insert_with(read))
    }

    /// What a statement is called.
    pub(crate) fn statement_name(&self, (document, statement): (usize, usize)) -> String {
        let sids = self.sids(document);
        let document = &self.documents[document];
        match sids.get(statement).and_then(Option::as_ref) {
            Some(sid) => format!("statement {} ({sid}) of {}", statement + 1, document.label),
            None => format!("statement {} of {}", statement + 1, document.label),
        }
    }

    /// Changes every document in every way and looks whether some test fails. Only what passes
    /// unchanged can notice anything.
    pub(crate) fn mutate(&self) -> Mutation {
        let mut mutation = Mutation::default();
        for (place, document) in self.documents.iter().enumerate() {
            let tests: Vec<(&TestFile, &Test)> = self
                .files
                .iter()
                .flat_map(|file| file.tests.iter().map(move |test| (file, test)))
                .filter(|(file, test)| {
                    Self::lists(file, test)
                        .iter()
                        .any(|list| list.contains(&place))
                })
                .filter(|(file, test)| judge(test, &self.decide(file, test, None)).is_none())
                .collect();
            let left_out = mutants::each(document, mutants::MAX_BYTES, |mutant| {
                let Some(noticed) = self.notices(&tests, place, mutant) else {
                    return;
                };
                mutation.tried += 1;
                if !noticed {
                    mutation.survivors.push(Survivor {
                        document: place,
                        statement: mutant.statement,
                        change: mutant.change.clone(),
                        removed: mutant.removes,
                    });
                }
            });
            mutation.left_out += left_out;
        }
        mutation
    }

    /// Whether some test fails with a changed document; `None` if validation refuses it.
    fn notices(&self, tests: &[(&TestFile, &Test)], place: usize, mutant: &Mutant) -> Option<bool> {
        let mut replaced = Replaced {
            document: place,
            text: Some(&mutant.text),
        };
        for (n, (file, test)) in tests.iter().enumerate() {
            let mut decided = self.decide(file, test, Some(&replaced));
            if n == 0 && decided.is_err() && mutant.removes {
                // A document whose only statement is gone may say nothing at all.
                replaced.text = None;
                decided = self.decide(file, test, Some(&replaced));
            }
            if decided.is_err() {
                return None;
            }
            if judge(test, &decided).is_some() {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// Why a test failed, if it did.
fn judge(test: &Test, decided: &Result<Decision, String>) -> Option<String> {
    let decision = match decided {
        Ok(decision) => decision,
        Err(error) => return Some(format!("no decision: {error}")),
    };
    let fits = match test.expect {
        Expected::Allow => decision.outcome == Outcome::Allow,
        Expected::Deny => decision.outcome != Outcome::Allow,
        Expected::ExplicitDeny => decision.outcome == Outcome::ExplicitDeny,
        Expected::ImplicitDeny => decision.outcome == Outcome::ImplicitDeny,
    };
    if !fits {
        return Some(format!(
            "expected {}, got {}",
            test.expect.as_str(),
            outcome(decision.outcome)
        ));
    }
    let is = |wanted: &str, statement: &StatementRef| {
        statement.sid.as_deref() == Some(wanted) || (statement.statement + 1).to_string() == wanted
    };
    let missing = test
        .because
        .iter()
        .find(|wanted| !decision.statements.iter().any(|s| is(wanted, s)))?;
    let found: Vec<String> = decision
        .statements
        .iter()
        .map(StatementRef::describe)
        .collect();
    let found = match found.is_empty() {
        true => "no statement".to_owned(),
        false => found.join(", "),
    };
    Some(format!(
        "{} as expected, but by {found}, not by `{missing}` (`because` is the `Sid` of a statement, \
         or its number)",
        outcome(decision.outcome)
    ))
}

pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allow => "allow",
        Outcome::ExplicitDeny => "explicit_deny",
        Outcome::ImplicitDeny => "implicit_deny",
    }
}
