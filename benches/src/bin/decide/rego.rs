//! regorus, an engine for Rego: policies are data, found by the identity's name.

use std::hint::black_box;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Rc, Value};

use crate::Engine;
use crate::workload::{Workload, database, identity, network, prefix};

const ENTRY: &str = "data.keyward.allow";

const RULES: &str = "
package keyward
import rego.v1

default allow := false

allow if {
    policy := data.policies[input.identity]
    policy.database == input.database
    policy.commands[input.command]
}
";

const RULES_WITH_CONDITIONS: &str = "
package keyward
import rego.v1

default allow := false

allow if {
    policy := data.policies[input.identity]
    policy.database == input.database
    policy.commands[input.command]
    net.cidr_contains(policy.network, input.source)
    startswith(input.key, policy.prefix)
}
";

fn data(workload: &Workload) -> Value {
    let policies: serde_json::Map<String, serde_json::Value> = workload
        .policies
        .iter()
        .map(|of| {
            let commands: serde_json::Map<String, serde_json::Value> = of
                .commands
                .iter()
                .map(|name| ((*name).to_owned(), true.into()))
                .collect();
            let mut policy = serde_json::json!({
                "commands": commands,
                "database": database(of.database),
            });
            if workload.conditions {
                policy["network"] = network(of.network).into();
                policy["prefix"] = prefix(of.identity).into();
            }
            (identity(of.identity), policy)
        })
        .collect();
    Value::from(serde_json::json!({ "policies": policies }))
}

fn inputs(workload: &Workload) -> Vec<Value> {
    workload
        .asks
        .iter()
        .map(|ask| {
            Value::from(serde_json::json!({
                "identity": identity(ask.identity),
                "command": ask.command,
                "database": database(ask.database),
                "source": ask.source.to_string(),
                "key": ask.key,
            }))
        })
        .collect()
}

fn engine(workload: &Workload) -> regorus::Engine {
    let rules = if workload.conditions {
        RULES_WITH_CONDITIONS
    } else {
        RULES
    };
    let mut engine = regorus::Engine::new();
    engine
        .add_policy("keyward.rego".to_owned(), rules.to_owned())
        .expect("rules in Rego");
    engine.add_data(data(workload)).expect("data");
    engine
}

/// The interpreter. Inputs are made beforehand, which is in its favour.
pub struct Interpreter {
    engine: regorus::Engine,
    inputs: Vec<Value>,
}

impl Interpreter {
    /// Loads the rules and the data.
    pub fn new(workload: &Workload) -> Self {
        Self {
            engine: engine(workload),
            inputs: inputs(workload),
        }
    }
}

impl Engine for Interpreter {
    fn decide(&mut self, number: usize) -> bool {
        self.engine
            .set_input(black_box(&self.inputs[number]).clone());
        let value = self.engine.eval_rule(ENTRY.to_owned());
        matches!(value.expect("rules that evaluate"), Value::Bool(true))
    }

    fn decide_all(&mut self, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| self.decide(*number)).count()
    }
}

/// The virtual machine, with the rules compiled.
pub struct Machine {
    machine: RegoVM,
    inputs: Vec<Value>,
}

impl Machine {
    /// Compiles the rules and loads the data.
    pub fn new(workload: &Workload) -> Self {
        let policy = engine(workload)
            .compile_with_entrypoint(&Rc::from(ENTRY))
            .expect("rules that compile");
        let program = Compiler::compile_from_policy(&policy, &[ENTRY]).expect("a program");
        let mut machine = RegoVM::new_with_policy(policy);
        machine.load_program(program);
        machine.set_data(data(workload)).expect("data");
        Self {
            machine,
            inputs: inputs(workload),
        }
    }
}

impl Engine for Machine {
    fn decide(&mut self, number: usize) -> bool {
        self.machine
            .set_input(black_box(&self.inputs[number]).clone());
        let value = self.machine.execute();
        matches!(value.expect("rules that evaluate"), Value::Bool(true))
    }

    fn decide_all(&mut self, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| self.decide(*number)).count()
    }
}
