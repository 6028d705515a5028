//! SDDL, one fact at a time: where an error is, and what conditions and claims look like.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use acl::condition::{Claim, ClaimError, ClaimValues, ConditionError, Expression, Literal, Operator, Source, Token};
use acl::{AccessMask, Ace, AceType, Acl, SddlContext, SddlError, SecurityDescriptor, Sid, well_known};

fn read(text: &str) -> Result<SecurityDescriptor, SddlError> {
    SecurityDescriptor::from_sddl(text, &SddlContext::of_domain("S-1-5-21-1-2-3".parse().unwrap()))
}

fn written(sd: &SecurityDescriptor) -> String {
    sd.to_sddl(&SddlContext::of_domain("S-1-5-21-1-2-3".parse().unwrap()))
}

#[test]
fn an_error_points_at_what_is_wrong() {
    let mut wrong = Vec::new();
    for (text, offset, length) in [
        ("X:BA", 0, 1),
        ("O;BA", 0, 1),
        ("O:BAO:SY", 4, 2),
        ("O:QQ", 2, 2),
        ("O:S-1-5-x", 2, 7),
        ("O:é", 2, 2),
        ("D:(A;;GA;;;WD", 13, 0),
        ("D:(QQ;;GA;;;WD)", 3, 2),
        ("D:(A;CIQQ;GA;;;WD)", 7, 2),
        ("D:(A;;GAé;;;WD)", 8, 2),
        ("D:(A;;0x1FFFFFFFF;;;WD)", 6, 11),
        ("D:(A;;GA;ab721a54-1e2f-11d0-9819-00aa0040529b;;WD)", 9, 36),
        ("D:(OA;;GA;ab721a54;;WD)", 10, 8),
        ("D:(A;;GA;;;QQ)", 11, 2),
        ("D:(A;;GA;;;WD)x", 14, 1),
        ("D:(XA;;GA;;;WD;x)", 15, 1),
        ("D:(XA;;GA;;;WD;(@User.x ==))", 26, 1),
        ("D:(XA;;GA;;;WD;(@User.x == \"y))", 27, 4),
        ("D:(XA;;GA;;;WD;(@User. == 1))", 16, 6),
        ("D:(XA;;GA;;;WD;(@User.x == 99999999999999999999))", 27, 20),
        ("D:(XA;;GA;;;WD;(@User.x == #123))", 27, 4),
        ("D:(XA;;GA;;;WD;(@User.x == SIX(BA)))", 27, 3),
        ("D:(XA;;GA;;;WD;(@User.x == {1 2}))", 30, 1),
        ("D:(XA;;GA;;;WD;(Exists))", 22, 1),
        ("D:(XA;;GA;;;WD;(a && ))", 21, 1),
        ("S:(RA;;;;;WD;(\"x\",TQ,0,1))", 18, 2),
        ("S:(RA;;;;;WD;(\"x\",TI,y,1))", 21, 1),
        ("S:(RA;;;;;WD;(\"x\",TI,0,y))", 23, 1),
        ("S:(RA;;;;;WD;(\"x\",TU,0,-1))", 23, 2),
        ("S:(RA;;;;;WD;(\"x\",TD,0,QQ))", 23, 2),
    ] {
        let Err(error) = read(text) else {
            wrong.push(format!("{text} is read"));
            continue;
        };
        if (error.offset, error.length) != (offset, length) {
            wrong.push(format!("{text}: {error} ({} bytes)", error.length));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn spaces_that_are_skipped_do_not_move_the_place_of_an_error() {
    let context = SddlContext { lenient: true, ..SddlContext::default() };
    let error = SecurityDescriptor::from_sddl("D:(  \u{17a} ;;GA;;;WD)", &context).unwrap_err();
    assert_eq!((error.offset, error.length), (5, 2));
}

#[test]
fn conditions_and_claims_are_written_as_they_were_read() {
    for condition in [
        "(@USER.Title == \"VP\")",
        "(@DEVICE.level >= 5)",
        "(@RESOURCE.x != 0x1f)",
        "(x < +7)",
        "(x <= -010)",
        "(x > -0)",
        "(@USER.x == #0a0b)",
        "(@USER.x == SID(BA))",
        "(@USER.x == {1, \"two\", SID(DA), #03})",
        "(@USER.x == {})",
        "(@USER.x == @DEVICE.y)",
        "(@USER.x Contains {\"a\"})",
        "(@USER.x Any_of {\"a\"})",
        "(@USER.x Not_Contains {\"a\"})",
        "(@USER.x Not_Any_of {\"a\"})",
        "(Exists @USER.x)",
        "(Not_Exists x)",
        "(Member_of {SID(BA), SID(S-1-5-21-1-2-3-1103)})",
        "(Not_Device_Member_of_Any SID(BA))",
        "((@USER.x) && ((y) || (!(Exists z))))",
        "(!(!(x)))",
        "(@USER.%0020%00e4 == 1)",
    ] {
        let text = format!("D:(XA;;RP;;;WD;{condition})");
        assert_eq!(written(&read(&text).unwrap()), text);
    }
    for claim in [
        "(\"n\",TI,0x0,1,-2)",
        "(\"n\",TU,0x2,18446744073709551615)",
        "(\"n\",TS,0x0,\"a\",\"\")",
        "(\"n\",TD,0x0,SID(BA),SID(S-1-5-21-9-9-9-9))",
        "(\"n\",TX,0x10,#00ff,#)",
        "(\"n\",TB,0x0,0,1)",
        "(\"n\",TS,0x0)",
    ] {
        let text = format!("S:(RA;;;;;WD;{claim})");
        let sd = read(&text).unwrap();
        assert_eq!(written(&sd), text);
        assert_eq!(sd.resource_claims().len(), 1);
        assert_eq!(SecurityDescriptor::parse(&sd.to_bytes()).unwrap(), sd);
    }
}

#[test]
fn spaces_signs_and_case_of_conditions_do_not_matter() {
    for (text, canonical) in [
        ("( @User.x==1&&y||!z )", "(((@USER.x == 1) && (y)) || (!(z)))"),
        ("(a || b && c)", "((a) || ((b) && (c)))"),
        ("(member_of_any{ sid( BA ) , SID(SY)})", "(Member_of_Any {SID(BA), SID(SY)})"),
        ("(@uSeR.x contains 1)", "(@USER.x Contains 1)"),
        ("(exists_not)", "(exists_not)"),
        ("((((x))))", "(x)"),
        ("(@User.x == 017)", "(@USER.x == 017)"),
    ] {
        let sd = read(&format!("D:(XA;;RP;;;WD;{text})")).unwrap();
        let expected = canonical.replace("exists_not", "exists%005fnot").replace("%005f", "_");
        assert_eq!(written(&sd), format!("D:(XA;;RP;;;WD;{expected})"), "{text}");
    }
}

#[test]
fn parentheses_nest_only_so_deep() {
    let nested = |depth: usize| format!("D:(XA;;RP;;;WD;{}x{})", "(".repeat(depth), ")".repeat(depth));
    assert!(read(&nested(128)).is_ok());
    assert!(read(&nested(129)).is_err());
}

fn with_condition(tokens: Vec<Token>) -> SecurityDescriptor {
    let ace = Ace {
        data: Expression { tokens }.to_bytes().into(),
        ..Ace::new(AceType::ALLOWED_CALLBACK, well_known::EVERYONE, AccessMask::READ_PROPERTY)
    };
    SecurityDescriptor::with_dacl(Acl::new(vec![ace]))
}

#[test]
fn what_sddl_cannot_express_is_left_out() {
    let attribute = |name: &str| Token::Attribute { source: Source::User, name: name.into() };
    let text = |text: &str| Token::Literal(Literal::String(text.into()));
    let local = || Token::Attribute { source: Source::Local, name: "x".into() };
    let operator = Token::Operator;
    for tokens in [
        vec![],
        vec![text("alone")],
        vec![attribute("x"), attribute("y")],
        vec![attribute("")],
        vec![attribute("x"), text("a\"b"), operator(Operator::Equal)],
        vec![text("x"), attribute("y"), operator(Operator::Equal)],
        vec![attribute("x"), local(), operator(Operator::Equal)],
        vec![text("x"), operator(Operator::Not)],
        vec![text("x"), operator(Operator::Exists)],
        vec![attribute("x"), operator(Operator::MemberOf)],
        vec![text("x"), attribute("y"), operator(Operator::And)],
        vec![operator(Operator::Or)],
        std::iter::once(attribute("x")).chain(vec![operator(Operator::Not); 200]).collect(),
    ] {
        let sd = with_condition(tokens);
        assert_eq!(written(&sd), "D:(XA;;RP;;;WD)");
        let unknown = Ace::new(AceType(0x42), well_known::NULL, AccessMask::NONE);
        assert_eq!(unknown.sddl(&SddlContext::default()).to_string(), "");
    }
}

#[test]
fn programs_that_are_malformed_say_why() {
    let parse = |bytes: &[u8]| Expression::parse(&[b"artx", bytes].concat()).unwrap_err();
    assert_eq!(Expression::parse(b"arty"), Err(ConditionError::Signature));
    assert_eq!(parse(&[0x10, 4, 0, 0]), ConditionError::Truncated(5));
    assert_eq!(parse(&[0x10, 4, 0, 0, 0, 1]), ConditionError::Truncated(9));
    assert_eq!(parse(&[0x10, 1, 0, 0, 0, 1]), ConditionError::Text(5));
    assert_eq!(parse(&[0x10, 2, 0, 0, 0, 0, 0xD8]), ConditionError::Text(5));
    assert_eq!(parse(&[0x77]), ConditionError::Token(4, 0x77));
    assert_eq!(parse(&[0, 0, 1]), ConditionError::Token(4, 0));
    assert_eq!(parse(&[0, 0, 0, 0]), ConditionError::Token(4, 0));
    assert_eq!(parse(&[0x04, 0, 0, 0, 0, 0, 0, 0, 0, 4, 2]), ConditionError::Integer(4));
    assert_eq!(parse(&[0x51, 1, 0, 0, 0, 1]), ConditionError::Sid(4));
    assert_eq!(parse(&[0x50, 6, 0, 0, 0, 0x50, 1, 0, 0, 0, 0]), ConditionError::Composite(9));
    assert_eq!(parse(&[0x50, 1, 0, 0, 0, 0x80]), ConditionError::Token(9, 0x80));
    for operator in Operator::ALL {
        let expression = Expression { tokens: vec![Token::Operator(operator)] };
        assert_eq!(Expression::parse(&expression.to_bytes()), Ok(expression));
    }
}

#[test]
fn claims_that_are_malformed_say_why() {
    let claim = Claim { name: "n".into(), flags: 0, values: ClaimValues::Sids(vec![Sid::new(5, &[18])]) };
    let bytes = claim.to_bytes();
    assert_eq!(Claim::parse(&bytes), Ok(claim));
    let broken = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        Claim::parse(&bytes).unwrap_err()
    };
    assert_eq!(broken(0, 200), ClaimError::Truncated(200));
    assert_eq!(broken(4, 9), ClaimError::Type(9));
    assert_eq!(broken(12, 200), ClaimError::Truncated(12));
    assert_eq!(broken(28, 2), ClaimError::Sid(24));
    assert_eq!(broken(24, 200), ClaimError::Truncated(24));
    assert_eq!(broken(21, 0xD8), ClaimError::Text(20));
    assert_eq!(Claim::parse(&bytes[..8]), Err(ClaimError::Truncated(20)));
}
