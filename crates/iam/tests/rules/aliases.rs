//! What vendors call an organisation.

use keyward_iam::{AwsAlias, Change, ChangeError, TencentAlias, VendorAliases};
use keyward_policy::Dialect;

use crate::{ADMIN, CI, World, organisation, trust};

fn alias(aws: Option<&str>, uin: Option<&str>) -> Change {
    Change::SetVendorAliases {
        organisation: "org/acme".into(),
        aliases: VendorAliases {
            aws: AwsAlias {
                account: aws.map(Into::into),
                ..AwsAlias::default()
            },
            tencent: TencentAlias {
                uin: uin.map(Into::into),
                ..TencentAlias::default()
            },
            ..VendorAliases::default()
        },
    }
}

/// The account of `org/acme`, as documents of an organisation mean it.
fn account(world: &World, dialect: Dialect, documents_of: &str) -> String {
    let ix = |id: &str| world.0.organisation(id);
    let acme = ix("acme").expect("it exists");
    let address = world.0.vendor_address(dialect, acme, ix(documents_of));
    address.expect("it exists").account
}

#[test]
fn an_alias_counts_in_ones_own_documents_alone() {
    let mut world = World::new();
    let own = "000000000001";
    assert_eq!(account(&world, Dialect::Aws, "acme"), own);
    world.ok(&alias(Some("111122223333"), Some("100000000001")));
    for world in [&world, &world.reloaded()] {
        assert_eq!(account(world, Dialect::Aws, "acme"), "111122223333");
        assert_eq!(account(world, Dialect::Tencent, "acme"), "100000000001");
        assert_eq!(account(world, Dialect::Alibaba, "acme"), own);
        assert_eq!(account(world, Dialect::Aws, "partner"), own);
        assert_eq!(account(world, Dialect::Aws, "none"), own);
    }
    world.ok(&alias(None, None));
    assert_eq!(account(&world, Dialect::Aws, "acme"), own);
    assert_eq!(account(&world.reloaded(), Dialect::Aws, "acme"), own);
}

/// Attack 30: nobody takes the number of somebody else, not even of one that is gone.
#[test]
fn an_alias_is_nobody_elses_number() {
    let mut world = World::new();
    world.ok(&organisation("gone", "000000000003"));
    world.ok(&Change::DeleteOrganisation {
        path: "org/gone".into(),
    });
    for (aws, uin) in [
        (Some("000000000002"), None),
        (None, Some("000000000002")),
        (Some("000000000003"), None),
    ] {
        assert!(matches!(
            world.refused(&alias(aws, uin)),
            ChangeError::NotAvailable { .. }
        ));
    }
    world.ok(&alias(Some("000000000001"), None));
    for (aws, uin) in [
        (Some("1"), None),
        (Some("00000000000x"), None),
        (None, Some("")),
        (None, Some("999999999999999999999")),
    ] {
        assert!(matches!(
            world.refused(&alias(aws, uin)),
            ChangeError::Alias(_)
        ));
    }
}

/// It decides what every document in these dialects means.
#[test]
fn who_sets_aliases() {
    let mut world = World::new();
    let change = alias(Some("111122223333"), None);
    assert!(world.may(ADMIN, &change));
    assert!(!world.may(CI, &change));
    let document = r#"[{"Effect":"Allow","Actions":["org:*"],"Resources":["org/acme"]}]"#;
    world.ok(&trust("ci", "org/acme", CI, document));
    assert!(!world.may(CI, &change));
}
