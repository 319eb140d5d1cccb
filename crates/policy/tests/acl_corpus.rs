//! `corpus/acl`: what ACL users may do.

use keyward_commands::resolve;
use keyward_policy::{AclDenial, AclUser, Dialect, detect};
use keyward_test_cases::acl_cases;

/// The word for an answer in the corpus.
fn word(answer: Result<(), AclDenial>) -> &'static str {
    match answer {
        Ok(()) => "ok",
        Err(AclDenial::Database { .. }) => "database",
        Err(AclDenial::Command) => "command",
        Err(AclDenial::Key { .. }) => "key",
        Err(AclDenial::Channel { .. }) => "channel",
    }
}

#[test]
fn every_case_is_decided_as_the_server_does() {
    for case in acl_cases() {
        let user = AclUser::parse(&case.user);
        if case.expected == "refused" {
            assert!(user.is_err(), "{}: {}", case.place, case.user);
            continue;
        }
        let user = user.unwrap_or_else(|findings| panic!("{}: {findings}", case.place));
        let id = resolve(&case.call).unwrap();
        assert!(id.command().arity_fits(case.call.len()), "{}", case.place);
        let found = word(user.allows(id, &case.call, case.db_index));
        assert_eq!(found, case.expected, "{}: {}", case.place, case.user);
        assert_eq!(detect(&case.user), Ok(Dialect::Acl), "{}", case.place);
    }
}
