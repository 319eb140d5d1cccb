//! ACL rules: whatever is read prints as rules that are the same user, and no password is printed.
#![no_main]

use keyward_commands::{Touched, resolve, touched};
use keyward_policy::AclUser;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, Vec<Vec<u8>>)| {
    let (text, call) = input;
    let _ = AclUser::parse_file(text);
    let Ok(user) = AclUser::parse(text) else {
        assert_eq!(AclUser::without_passwords(text), "");
        return;
    };
    let printed = AclUser::parse(&user.to_string()).expect("what is printed is read");
    assert_eq!(printed.to_string(), user.to_string());
    let stripped = AclUser::parse(&AclUser::without_passwords(text)).expect("still rules");
    assert_eq!(stripped.login().passwords, 0);
    assert_eq!(stripped.possible(), user.possible());
    if let Ok(id) = resolve(&call)
        && touched(id, &call, &mut Touched::default()).is_ok()
    {
        let allowed = user.allows(id, &call, 0);
        assert_eq!(printed.allows(id, &call, 0), allowed);
        assert_eq!(stripped.allows(id, &call, 0), allowed);
        assert!(allowed.is_err() || user.possible().contains(id.action()));
        assert!(allowed.is_ok() || !user.sure().contains(id.action()));
    }
});
