//! `keyward simulate`: decides made-up cases, without a server.

use std::collections::BTreeMap;
use std::process::ExitCode;

use keyward_iam::{
    CaseDocument, CaseRequest, ContextNames, Decision, Outcome, PolicySource, StatementRef,
};
use keyward_policy::{Dialect, detect};
use keyward_server::document_text;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::catalogue::{Word, append};
use super::decisions;
use crate::batch::{self, Line, TOO_LONG};
use crate::failure::{Exit, Failure};
use crate::output::{Output, printable};
use crate::policy_argument;

/// Decides made-up cases from policies alone, without a server. Short names are of `org/test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward simulate --principal programmatic_identity/app --policy policy.json --database kvdb/main -- GET k
  keyward simulate --principal programmatic_identity/app --policy policy.json --action kvdb:Create --resource org/test
  keyward simulate --batch < cases.jsonl

A case, in one line:
  {\"id\": 1, \"principal\": \"programmatic_identity/app\",
   \"policies\": [{\"dialect\": \"native\", \"document\": [...]}],
   \"request\": {\"command\": [\"GET\", \"k\"], \"database\": \"kvdb/main\",
               \"context\": {\"keyward:SourceIp\": \"10.0.0.7\"}}}
or with \"action\" and \"resource\" in the request; \"resource_policies\" and \"boundaries\" as \"policies\".")]
pub(crate) struct Arguments {
    /// Read one JSON case a line from standard input, write one JSON decision a line.
    #[arg(long)]
    batch: bool,
    /// Who asks: a path, or `unauthenticated`.
    #[arg(long, required_unless_present = "batch")]
    principal: Option<String>,
    /// Carried by the trust from the owner of the resource; may be given several times.
    #[arg(long = "policy", value_name = "POLICY")]
    policies: Vec<String>,
    /// On the resource; may be given several times.
    #[arg(long = "resource-policy", value_name = "POLICY")]
    resource_policies: Vec<String>,
    /// A bounding layer of its own each; may be given several times.
    #[arg(long = "boundary", value_name = "POLICY")]
    boundaries: Vec<String>,
    /// The action; with --resource.
    #[arg(long, requires = "resource")]
    action: Option<String>,
    /// The resource of the action.
    #[arg(long)]
    resource: Option<String>,
    /// The database of the command.
    #[arg(long)]
    database: Option<String>,
    /// The number of the database that the connection has selected: what ACL rules read.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    db_index: u32,
    /// What is known of the request; may be given several times.
    #[arg(long = "context", value_name = "KEY=VALUE")]
    context: Vec<String>,
    /// The command, after `--`; with --database.
    #[arg(last = true)]
    command: Vec<std::ffi::OsString>,
}

/// One case as it is written. A field that is misspelt would decide something else than was meant.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a case as `{\"principal\": …, \"policies\": […], \"request\": …}`"
)]
struct Case<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    policies: Vec<Document<'a>>,
    #[serde(borrow, default)]
    resource_policies: Vec<Document<'a>>,
    #[serde(borrow, default)]
    boundaries: Vec<Layer<'a>>,
    principal: Option<String>,
    request: Asked,
}

/// The documents of one bounding layer, of which one must allow.
struct Layer<'a>(Vec<Document<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Layer<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Documents<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> serde::de::Visitor<'de> for Documents<'a> {
            type Value = Layer<'a>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a layer, which is a list of documents: `[[{\"document\": …}]]`")
            }

            fn visit_seq<S: serde::de::SeqAccess<'de>>(
                self,
                mut list: S,
            ) -> Result<Layer<'a>, S::Error> {
                let mut documents = Vec::new();
                while let Some(document) = list.next_element()? {
                    documents.push(document);
                }
                Ok(Layer(documents))
            }
        }
        deserializer.deserialize_seq(Documents(std::marker::PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a document as `{\"document\": …, \"dialect\": …}`"
)]
struct Document<'a> {
    #[serde(default)]
    dialect: Option<String>,
    #[serde(borrow)]
    document: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a request as `{\"action\": …, \"resource\": …}`, or with `command` and `database`"
)]
struct Asked {
    action: Option<String>,
    resource: Option<String>,
    command: Option<Vec<Word>>,
    database: Option<String>,
    #[serde(default)]
    db_index: u32,
    #[serde(default)]
    context: Context,
}

/// Names with a value or a list of values. A name that stands twice is an error: two readers might
/// take two different ones.
#[derive(Default)]
struct Context(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> serde::de::Visitor<'de> for Names {
            type Value = Context;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of names with a value or a list of values")
            }

            fn visit_map<M: serde::de::MapAccess<'de>>(
                self,
                mut map: M,
            ) -> Result<Context, M::Error> {
                let mut names = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if names.contains_key(&name) {
                        let message = format!("`{name}` stands twice in `context`");
                        return Err(serde::de::Error::custom(message));
                    }
                    names.insert(name, value);
                }
                Ok(Context(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// Only what is needed to answer a case that cannot be read.
#[derive(Deserialize)]
struct OnlyId<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

impl Document<'_> {
    fn read(self) -> Result<CaseDocument, String> {
        let text = document_text(self.document).map_err(|error| error.to_string())?;
        Ok(CaseDocument {
            dialect: self.dialect,
            text,
            policy: None,
        })
    }
}

fn documents(list: Vec<Document<'_>>) -> Result<Vec<CaseDocument>, String> {
    list.into_iter().map(Document::read).collect()
}

impl Asked {
    /// Everything that is known of the request.
    fn known(&self) -> Result<Vec<keyward_iam::KnownValue>, String> {
        let one = |name: &String| Ok((name.clone(), bytes_of(&self.context, name)?));
        self.context.0.keys().map(one).collect()
    }

    /// The names that have a list of values.
    fn lists(&self) -> Vec<String> {
        let lists = self.context.0.iter().filter(|(_, value)| value.is_array());
        lists.map(|(name, _)| name.clone()).collect()
    }

    fn read(self) -> Result<CaseRequest, String> {
        match (self.action, self.resource, self.command, self.database) {
            (Some(action), Some(resource), None, None) => {
                let of = |name| bytes_of(&self.context, name);
                Ok(CaseRequest::Action {
                    action,
                    resource,
                    names: ContextNames {
                        keys: of("kvdb:Key")?,
                        read_keys: of("kvdb:ReadKey")?,
                        write_keys: of("kvdb:WriteKey")?,
                        channels: of("kvdb:Channel")?,
                    },
                })
            }
            (None, None, Some(command), Some(database)) => Ok(CaseRequest::Command {
                words: command
                    .into_iter()
                    .map(Word::bytes)
                    .collect::<Result<_, _>>()?,
                database,
                db_index: self.db_index,
            }),
            _ => {
                Err("a request has `action` and `resource`, or `command` and `database`".to_owned())
            }
        }
    }
}

/// The values of a context key, as bytes.
fn bytes_of(context: &Context, name: &str) -> Result<Vec<Vec<u8>>, String> {
    let one = |value: &Value| match value {
        Value::Number(number) => Ok(number.to_string().into_bytes()),
        Value::Bool(truth) => Ok(truth.to_string().into_bytes()),
        value => Word::deserialize(value)
            .map_err(|_| {
                format!(
                    "context `{name}`: expected a string, a number, a boolean or {{\"base64\": …}}"
                )
            })?
            .bytes(),
    };
    match context.0.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(one).collect(),
        Some(value) => Ok(vec![one(value)?]),
    }
}

fn decide(mut case: Case<'_>) -> Result<Decision, String> {
    let policies = documents(case.policies)?;
    let of_acl = |document: &CaseDocument| match &document.dialect {
        Some(dialect) => dialect == "acl",
        None => detect(&document.text) == Ok(Dialect::Acl),
    };
    // ACL rules know neither principals nor databases by name.
    if !policies.is_empty() && policies.iter().all(of_acl) && case.request.command.is_some() {
        case.principal
            .get_or_insert_with(|| "programmatic_identity/user".to_owned());
        case.request
            .database
            .get_or_insert_with(|| "kvdb/main".to_owned());
    }
    let boundaries = case
        .boundaries
        .into_iter()
        .map(|Layer(list)| documents(list));
    let case = keyward_iam::Case {
        policies,
        resource_policies: documents(case.resource_policies)?,
        boundaries: boundaries.collect::<Result<_, _>>()?,
        principal: case
            .principal
            .ok_or("not a case: missing field `principal`")?,
        context: case.request.known()?,
        lists: case.request.lists(),
        aliases: keyward_iam::VendorAliases::default(),
        request: case.request.read()?,
    };
    let mut decision = case.decide().map_err(|error| error.to_string())?;
    decision.message = of_the_case(&decision.message);
    Ok(decision)
}

/// A message with what the case calls the one trust there is: its policies.
fn of_the_case(message: &str) -> String {
    let is_the_trust = |path: &str| path.trim_end_matches(',').ends_with("/trust/test");
    let mut text = String::with_capacity(message.len());
    let mut words = message.split(' ').peekable();
    while let Some(word) = words.next() {
        if !text.is_empty() {
            text.push(' ');
        }
        match words.next_if(|path| word == "trust" && is_the_trust(path)) {
            Some(path) if path.ends_with(',') => text.push_str("the policies,"),
            Some(_) => text.push_str("the policies"),
            None => text.push_str(word),
        }
    }
    text
}

fn statement(statement: &StatementRef) -> Value {
    let (list, layer) = match &statement.source {
        PolicySource::ResourcePolicy(_) => ("resource_policies", None),
        PolicySource::Layer(layer) => ("boundaries", Some(*layer)),
        _ => ("policies", None),
    };
    json!({
        "list": list, "layer": layer, "document": statement.document,
        "statement": statement.statement, "sid": statement.sid,
    })
}

fn answer(decided: &Result<Decision, String>) -> Map<String, Value> {
    let (outcome, statements, message) = match decided {
        Ok(decision) => (
            match decision.outcome {
                Outcome::Allow => "allow",
                Outcome::ExplicitDeny => "explicit_deny",
                Outcome::ImplicitDeny => "implicit_deny",
            },
            decision.statements.iter().map(statement).collect(),
            decision.message.as_str(),
        ),
        Err(message) => ("error", Vec::new(), message.as_str()),
    };
    let mut answer = Map::new();
    answer.insert("decision".to_owned(), outcome.into());
    answer.insert("statements".to_owned(), Value::Array(statements));
    answer.insert("message".to_owned(), message.into());
    answer
}

/// Writes `{"id": …, "decision": …, …}`; the id exactly as it came.
fn write(id: Option<&RawValue>, decided: &Result<Decision, String>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    // A line has no line breaks, and so has no value in it.
    out.extend_from_slice(id.map_or("null", RawValue::get).as_bytes());
    out.push(b',');
    let start = out.len();
    append(out, &Value::Object(answer(decided)));
    out.remove(start); // the second opening brace
}

/// Why a line is no case: which line of the input, and where in it.
fn not_a_case(number: usize, error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    let place = format!(" at line {} column {column}", error.line());
    let what = text.strip_suffix(&place).unwrap_or(&text);
    format!("line {number}, column {column}: not a case: {what}")
}

fn decide_line(number: usize, line: &[u8], out: &mut Vec<u8>) {
    match serde_json::from_slice::<Case<'_>>(line) {
        Ok(case) => {
            let id = case.id;
            write(id, &decide(case), out);
        }
        Err(error) => {
            let id = serde_json::from_slice::<OnlyId<'_>>(line).ok();
            let decided = Err(not_a_case(number, &error));
            write(id.and_then(|found| found.id), &decided, out);
        }
    }
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode, Failure> {
    if !arguments.batch {
        return one(arguments, output);
    }
    batch::run(
        std::io::stdin().lock(),
        std::io::stdout().lock(),
        |number, line, out| match line {
            Line::Text(text) => decide_line(number, text, out),
            Line::TooLong => write(None, &Err(format!("line {number}: {TOO_LONG}")), out),
        },
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The case of the command line.
fn one(arguments: &Arguments, output: &Output) -> Result<ExitCode, Failure> {
    let documents = |list: &[String]| -> Result<Value, Failure> {
        let one = |argument: &String| {
            policy_argument::document(argument).map(|text| json!({ "document": text }))
        };
        list.iter().map(one).collect()
    };
    let boundaries: Vec<Value> = arguments
        .boundaries
        .iter()
        .map(|boundary| documents(std::slice::from_ref(boundary)))
        .collect::<Result<_, _>>()?;
    let command: Vec<Value> = arguments
        .command
        .iter()
        .map(|w| decisions::word(w))
        .collect();
    let case = json!({
        "policies": documents(&arguments.policies)?,
        "resource_policies": documents(&arguments.resource_policies)?,
        "boundaries": boundaries,
        "principal": arguments.principal,
        "request": {
            "action": arguments.action,
            "resource": arguments.resource,
            "command": (!command.is_empty()).then_some(command),
            "database": arguments.database,
            "db_index": arguments.db_index,
            "context": decisions::context(&arguments.context)?,
        },
    })
    .to_string();
    let case: Case<'_> = serde_json::from_str(&case)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let decided = self::decide(case);
    if let Err(error) = &decided {
        return Err(Failure::new(Exit::Usage, error.as_str()));
    }
    let shown = Value::Object(answer(&decided));
    output.document(&shown, |shown| {
        let field = |name: &str| shown.get(name).and_then(Value::as_str).unwrap_or("");
        format!(
            "{}: {}",
            field("decision").replace('_', " "),
            printable(field("message"))
        )
    })?;
    let outcome = shown.get("decision").and_then(Value::as_str);
    Ok(decisions::outcome_code(outcome.unwrap_or("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_to(line: &str) -> Value {
        let mut out = Vec::new();
        decide_line(1, line.as_bytes(), &mut out);
        assert!(!out.contains(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    /// What is told of a case speaks of the case, and not of types or of the one trust.
    #[test]
    fn messages() {
        let policy = r#"{"document":[{"Sid":"G","Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/x"]}]}"#;
        let rest = r#""principal":"programmatic_identity/app","request":{"command":["GET","k"],"database":"kvdb/x"}"#;
        let cases = [
            (
                format!(r#"{{"policies":[{policy}],{rest}}}"#),
                "allowed by statement 1 (G) of the policies",
            ),
            (
                format!(r#"{{"policies":[{policy}],"boundaries":[[{policy}]],{rest}}}"#),
                "allowed by statement 1 (G) of the policies, within statement 1 (G) of boundary layer 1",
            ),
            (
                format!(r#"{{"policies":[{policy}],"boundaries":[{policy}],{rest}}}"#),
                "expected a layer, which is a list of documents",
            ),
            (
                format!(r#"{{"policies":["[]"],{rest}}}"#),
                "expected a document as `{\"document\": …, \"dialect\": …}`",
            ),
            (
                r#"{"policies":[{"dialect":"awss","document":{}}],"principal":"x","request":{"action":"s3:Get","resource":"*"}}"#
                    .to_owned(),
                "unknown dialect `awss`",
            ),
        ];
        for (line, expected) in cases {
            let found = answer_to(&line);
            let message = found["message"].as_str().unwrap();
            assert!(message.contains(expected), "{line}: {message}");
        }
    }

    #[test]
    fn outcomes() {
        let get = r#"{"dialect":"native","document":[{"Sid":"G","Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/x"],"Keys":["a:*"]}]}"#;
        let deny = r#"{"dialect":"native","document":[{"Effect":"Deny","Actions":["kvdb:*"],"Resources":["**"]}]}"#;
        let app = r#""principal":"programmatic_identity/app""#;
        let request = r#""request":{"command":["GET","a:1"],"database":"kvdb/x"}"#;
        let cases = [
            (
                format!(r#"{{"id":1,"policies":[{get}],{app},{request}}}"#),
                "allow",
            ),
            (format!(r#"{{"id":1,{app},{request}}}"#), "implicit_deny"),
            (
                format!(r#"{{"id":1,"policies":[{get},{deny}],{app},{request}}}"#),
                "explicit_deny",
            ),
            (
                format!(r#"{{"id":1,"policies":[{get}],"boundaries":[[{deny}]],{app},{request}}}"#),
                "explicit_deny",
            ),
            (
                format!(r#"{{"id":1,"policies":[{get}],"boundaries":[[]],{app},{request}}}"#),
                "allow",
            ),
            (
                format!(
                    r#"{{"id":1,"policies":[{get}],{app},"request":{{"command":["GET","b"],"database":"kvdb/x"}}}}"#
                ),
                "implicit_deny",
            ),
            (
                format!(
                    r#"{{"id":1,"policies":[{get}],{app},"request":{{"command":["NOPE"],"database":"kvdb/x"}}}}"#
                ),
                "implicit_deny",
            ),
            (
                format!(
                    r#"{{"id":1,"policies":[{get}],{app},"request":{{"command":["GET"],"database":"kvdb/x"}}}}"#
                ),
                "implicit_deny",
            ),
            (
                format!(
                    r#"{{"id":1,"policies":[{get}],{app},"request":{{"action":"kvdb:ExecuteGet","resource":"kvdb/x","context":{{"kvdb:ReadKey":["a:1"]}}}}}}"#
                ),
                "allow",
            ),
            (
                format!(
                    r#"{{"id":1,"policies":[{get}],{app},"request":{{"action":"kvdb:ExecuteGet","resource":"kvdb/x","context":{{"kvdb:Key":{{"base64":"/w=="}}}}}}}}"#
                ),
                "implicit_deny",
            ),
            (
                format!(
                    r#"{{"id":1,"policies":[{get}],{app},"request":{{"action":"kvdb:ExecuteNope","resource":"kvdb/x"}}}}"#
                ),
                "error",
            ),
            (format!(r#"{{"id":1,"policies":[{get}],{app}}}"#), "error"),
            (format!(r#"{{"id":1,{request}}}"#), "error"),
            (
                format!(
                    r#"{{"id":1,"policies":[{{"dialect":"aws","document":[]}}],{app},{request}}}"#
                ),
                "error",
            ),
            (
                format!(
                    r#"{{"id":1,"policies":[{{"dialect":"native","document":"[{{"}}],{app},{request}}}"#
                ),
                "error",
            ),
            (
                format!(r#"{{"id":1,{app},"request":{{"command":["GET","k"],"database":"x"}}}}"#),
                "error",
            ),
            (
                format!(
                    r#"{{"id":1,{app},"request":{{"action":"kvdb:Create","resource":"org/test","command":["GET"],"database":"kvdb/x"}}}}"#
                ),
                "error",
            ),
        ];
        for (line, expected) in cases {
            let found = answer_to(&line);
            assert_eq!(
                (&found["decision"], &found["id"]),
                (&json!(expected), &json!(1)),
                "{line}: {found}"
            );
        }
    }

    #[test]
    fn what_is_no_case_is_told_with_its_place() {
        let app = r#""principal":"programmatic_identity/app""#;
        let cases = [
            (
                format!(r#"{{"id":1,"polices":[],{app},"request":{{}}}}"#),
                "unknown field `polices`, expected one of ",
            ),
            (
                format!(r#"{{{app},"request":{{"action":"a","resources":"b"}}}}"#),
                "unknown field `resources`, expected one of ",
            ),
            (
                format!(r#"{{{app},"policies":[{{"document":[],"sid":1}}],"request":{{}}}}"#),
                "unknown field `sid`, expected `dialect` or ",
            ),
            (
                format!(r#"{{{app},{app},"request":{{}}}}"#),
                "duplicate field `principal`",
            ),
            (
                r#"{"request":{"context":{"a:b":1,"a:b":2}}}"#.to_owned(),
                "`a:b` stands twice in `context`",
            ),
            ("{".to_owned(), "EOF while parsing an object"),
            ("\u{0}".to_owned(), "expected value"),
        ];
        for (line, expected) in cases {
            let mut out = Vec::new();
            decide_line(7, line.as_bytes(), &mut out);
            let found: Value = serde_json::from_slice(&out).unwrap();
            let message = found["message"].as_str().unwrap();
            let (place, what) = message.split_once(": not a case: ").unwrap();
            let column = place.strip_prefix("line 7, column ").unwrap();
            assert!(
                column.parse::<usize>().unwrap() <= line.len(),
                "{line}: {message}"
            );
            assert!(what.starts_with(expected), "{line}: {message}");
        }
    }

    #[test]
    fn ids_are_echoed() {
        for id in [
            "1",
            "\"a\"",
            "null",
            "[1, {\"x\":2}]",
            "12345678901234567890123",
        ] {
            let mut out = Vec::new();
            let line = format!(r#"{{"id":{id},"principal":7}}"#);
            decide_line(1, line.as_bytes(), &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(
                text.starts_with(&format!("{{\"id\":{id},\"decision\":\"error\"")),
                "{text}"
            );
        }
        for line in ["", "{", "7", "{\"id\":1", "\u{0}"] {
            assert_eq!(answer_to(line)["id"], Value::Null, "{line}");
        }
    }

    #[test]
    fn statements_tell_where_they_stand() {
        let found = answer_to(
            r#"{"policies":[{"document":[]},{"document":[{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/x"]}]}],
                "boundaries":[[],[{"document":[{"Sid":"B","Effect":"Allow","Actions":["*"],"Resources":["**"]}]}]],
                "principal":"programmatic_identity/app","request":{"command":["GET","k"],"database":"kvdb/x"}}"#
                .replace('\n', " ")
                .as_str(),
        );
        let expected = json!([
            {"list": "policies", "layer": null, "document": 1, "statement": 0, "sid": null},
            {"list": "boundaries", "layer": 1, "document": 0, "statement": 0, "sid": "B"},
        ]);
        assert_eq!(found["statements"], expected, "{found}");
    }
}
