//! AWS policies as an independent implementation reads them: `tests/aws_compare/`.

use keyward_e2e::node_program;

/// Cases of one run; more by hand, as `tests/aws_compare/README.md` says.
const CASES: &str = "500";

/// The same cases every time, so that a failure is one of the change at hand.
const SEED: &str = "20261122";

#[test]
fn no_disagreement_without_a_class() {
    let arguments = ["--seed", SEED, "--cases", CASES];
    let output = node_program(
        "aws_compare/compare.js",
        "@cloud-copilot/iam-simulate",
        &arguments,
    );
    assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
}
