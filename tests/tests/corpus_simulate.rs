//! `corpus/simulate/`: documents, requests and answers in a vendor's own terms, through
//! `keyward simulate --batch`.

use keyward_e2e::simulate;
use keyward_test_cases::{CorpusFile, corpus};
use serde_json::{Map, Value, json};

const LISTS: [&str; 3] = ["policies", "resource_policies", "boundaries"];

/// One case, and where it stands.
struct Case {
    place: String,
    expected: String,
    case: Value,
}

/// What has been read so far of a file.
#[derive(Default)]
struct Reader {
    dialect: String,
    principal: String,
    /// Documents by the name of their list.
    documents: Map<String, Value>,
    /// The list that documents go to.
    list: &'static str,
    /// Lines of a document that has not ended.
    open: String,
    cases: Vec<Case>,
}

impl Reader {
    fn read(file: &CorpusFile) -> Vec<Case> {
        let mut reader = Self::default();
        for (number, line) in file.lines() {
            reader.line(&format!("{}:{number}", file.name), line.trim());
        }
        assert!(
            reader.open.is_empty(),
            "{}: a document does not end",
            file.name
        );
        reader.cases
    }

    fn line(&mut self, place: &str, line: &str) {
        if !self.open.is_empty() || line.starts_with('{') {
            self.open.push_str(line);
            self.open.push('\n');
            if let Ok(document) = serde_json::from_str::<Value>(&self.open) {
                self.open.clear();
                let document = json!({ "dialect": self.dialect, "document": document });
                self.documents[self.list]
                    .as_array_mut()
                    .expect("lists are arrays")
                    .push(document);
            }
            return;
        }
        match line.split_once(' ') {
            _ if line.is_empty() || line.starts_with('#') => {}
            Some(("dialect", name)) => name.clone_into(&mut self.dialect),
            Some(("as", principal)) => principal.clone_into(&mut self.principal),
            Some((expected, request)) => self.case(place, expected, request.trim()),
            None => {
                let list = LISTS.into_iter().find(|list| *list == line);
                self.list = list.unwrap_or_else(|| panic!("{place}: no list `{line}`"));
                if self.list == "policies" {
                    self.documents = LISTS
                        .map(|name| (name.to_owned(), json!([])))
                        .into_iter()
                        .collect();
                } else {
                    self.documents[self.list] = json!([]);
                }
            }
        }
    }

    fn case(&mut self, place: &str, expected: &str, request: &str) {
        let known = ["allow", "explicit_deny", "implicit_deny", "error"];
        assert!(known.contains(&expected), "{place}: `{expected}`");
        let (action, rest) = request
            .split_once(" on ")
            .unwrap_or_else(|| panic!("{place}: no resource"));
        let (resource, context) = match rest.split_once(" with ") {
            Some((resource, context)) => {
                let context: Value = serde_json::from_str(context)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                (resource, context)
            }
            None => (rest, json!({})),
        };
        let mut documents = self.documents.clone();
        let boundaries = documents.remove("boundaries").unwrap_or_default();
        let layers = match boundaries.as_array() {
            Some(list) if !list.is_empty() => json!([boundaries]),
            _ => json!([]),
        };
        let mut case = json!({
            "id": place,
            "principal": self.principal,
            "request": { "action": action, "resource": resource, "context": context },
            "boundaries": layers,
        });
        for (name, list) in documents {
            case[name] = list;
        }
        self.cases.push(Case {
            place: place.to_owned(),
            expected: expected.to_owned(),
            case,
        });
    }
}

#[test]
fn documents_mean_what_their_vendor_says() {
    let mut cases = Vec::new();
    for file in corpus("simulate") {
        let read = Reader::read(&file);
        assert!(read.len() >= 20, "{}: {} cases", file.name, read.len());
        cases.extend(read);
    }
    let asked: Vec<Value> = cases.iter().map(|case| case.case.clone()).collect();
    let mut wrong = String::new();
    for (case, answer) in cases.iter().zip(simulate(&asked)) {
        if answer["decision"] != case.expected.as_str() {
            wrong.push_str(&format!(
                "{}: expected {}, answered {}: {}\n",
                case.place, case.expected, answer["decision"], answer["message"]
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
