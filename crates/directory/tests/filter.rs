//! LDAP filters of dynamic groups.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use directory::filter::{Filter, FilterError};
use proptest::prelude::*;

fn parse(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn equal(name: &str, value: &str) -> Filter {
    Filter::Equal(name.into(), value.into())
}

#[test]
fn filters_are_read_as_rfc_4515_writes_them() {
    assert_eq!(parse("(cn=Babs Jensen)"), equal("cn", "Babs Jensen"));
    assert_eq!(parse("(!(cn=Tim Howes))"), Filter::Not(equal("cn", "Tim Howes").into()));
    let expected = Filter::And(vec![
        equal("objectClass", "Person"),
        Filter::Or(vec![equal("sn", "Jensen"), Filter::Like("cn".into(), vec!["Babs J".into(), String::new()])]),
    ]);
    assert_eq!(parse("(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))"), expected);
    assert_eq!(parse(" ( & (a=1) (b=2) ) "), Filter::And(vec![equal("a", "1"), equal("b", "2")]));
    let like = ["univ", "of", "mich", ""].map(str::to_owned).into();
    assert_eq!(parse("(o=univ*of*mich*)"), Filter::Like("o".into(), like));
    assert_eq!(parse("(seeAlso=)"), equal("seeAlso", ""));
    assert_eq!(parse(r"(cn=\2a\28x\29)"), equal("cn", "*(x)"));
    assert_eq!(parse(r"(sn=Lu\c4\8di\c4\87)"), equal("sn", "Lučić"));
    assert_eq!(parse("(mail=*)"), Filter::Present("mail".into()));
    assert_eq!(parse("(n>=5)"), Filter::AtLeast("n".into(), "5".into()));
    assert_eq!(parse("(n<=5)"), Filter::AtMost("n".into(), "5".into()));
    assert_eq!(parse("(&)"), Filter::And(Vec::new()));
}

#[test]
fn what_is_no_filter_says_where() {
    for text in ["", "cn=x", "(cn=x", "(cn)", "(=x)", "(cn=x))", "(cn=x)y", r"(cn=\2)", r"(cn=\zz)", "(!(a=1)(b=2))"] {
        assert!(matches!(Filter::parse(text), Err(FilterError::Syntax { .. })), "{text}: {:?}", Filter::parse(text));
    }
    assert_eq!(Filter::parse("(cn:caseExactMatch:=x)"), Err(FilterError::Extensible(3)));
    assert_eq!(Filter::parse(&"(!".repeat(1000)), Err(FilterError::TooLarge));
    assert_eq!(Filter::parse(&format!("(cn={})", "x".repeat(20_000))), Err(FilterError::TooLarge));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[()&|!*=<>~: \\\\a-c0-9é]{0,40}") {
        let _ = Filter::parse(&text);
    }
}
