//! Tests of option lists.

use super::*;
use proptest::prelude::*;

static LIST: QemuOptsList = QemuOptsList {
    name: "test",
    implied_opt_name: Some("kind"),
    desc: &[
        ("kind", QemuOptType::String),
        ("text", QemuOptType::String),
        ("flag", QemuOptType::Bool),
        ("delay", QemuOptType::Bool),
        ("number", QemuOptType::Number),
        ("size", QemuOptType::Size),
    ],
    extensions: &[],
};

fn parse(text: &str) -> Result<QemuOpts, Error> {
    QemuOpts::parse(&LIST, text, &mut Vec::new())
}

#[test]
fn texts() {
    for (params, kind, text) in [
        ("", None, None),
        ("a", Some("a"), None),
        ("a,", Some("a"), None),
        ("a,,b", Some("a,b"), None),
        ("a,,,text=x", Some("a,"), Some("x")),
        ("kind=a,text=b,,c", Some("a"), Some("b,c")),
        ("kind=a,kind=b", Some("b"), None),
        ("text=,kind=k=v", Some("k=v"), Some("")),
    ] {
        let opts = parse(params).unwrap();
        assert_eq!(opts.get("kind"), kind, "{params}");
        assert_eq!(opts.get("text"), text, "{params}");
    }
}

#[test]
fn numbers_and_sizes() {
    for (params, value) in [
        ("number=10", 10),
        ("number=0x10", 16),
        ("number=010", 8),
        ("number= +7", 7),
        ("number=-1", u64::MAX),
        ("number=0", 0),
        ("size=0", 0),
        ("size=0.0", 0),
        ("size=.5k", 512),
        ("size= 1.", 1),
        // Rounded, not cut off.
        ("size=1.0009k", 1025),
        ("size=512", 512),
        ("size=1b", 1),
        ("size=1k", 1024),
        ("size=1.5K", 1536),
        ("size=0x20", 32),
        ("size=15E", 15 << 60),
    ] {
        let opts = parse(params).unwrap();
        let name = params.split('=').next().unwrap();
        assert_eq!(opts.get_number(name), Some(value), "{params}");
    }
}

#[test]
fn errors() {
    for (params, text) in [
        ("x,bogus=1", "Invalid parameter 'bogus'"),
        ("x,bogus", "Invalid parameter 'bogus'"),
        ("x,nobogus", "Invalid parameter 'bogus'"),
        ("x,=1", "Invalid parameter ''"),
        ("flag=maybe", "Parameter 'flag' expects 'on' or 'off'"),
        ("flag=ON", "Parameter 'flag' expects 'on' or 'off'"),
        ("flag=", "Parameter 'flag' expects 'on' or 'off'"),
        ("number=", "Parameter 'number' expects a number"),
        ("number=x", "Parameter 'number' expects a number"),
        ("number=1x", "Parameter 'number' expects a number"),
        (
            "number=99999999999999999999",
            "Value '99999999999999999999' is too large for parameter 'number'",
        ),
        ("size=-0", "Value '-0' is out of range for parameter 'size'"),
        ("size=-1", "Value '-1' is out of range for parameter 'size'"),
        (
            "size=99999999999999999999",
            "Value '99999999999999999999' is out of range for parameter 'size'",
        ),
        (
            "size=16E",
            "Value '16E' is out of range for parameter 'size'",
        ),
        ("id=", "Parameter 'id' expects an identifier"),
        ("id=1a", "Parameter 'id' expects an identifier"),
        ("id=a b,bogus=1", "Parameter 'id' expects an identifier"),
    ] {
        assert_eq!(parse(params).unwrap_err().desc(), text, "{params}");
    }
    for size in ["x", "", "1.5", "1kk", "0x", "0xg", ".", "1.2.3k"] {
        let e = parse(&format!("size={size}")).unwrap_err();
        assert_eq!(
            e.desc(),
            "Parameter 'size' expects a non-negative number below 2^64",
            "{size}"
        );
        assert_eq!(e.hint(), SIZE_HINT);
    }
}

#[test]
fn short_forms_warn_and_no_means_off() {
    let mut warnings = Vec::new();
    let opts = QemuOpts::parse(&LIST, "k,flag,nodelay", &mut warnings).unwrap();
    assert_eq!(opts.get_bool("flag"), Some(true));
    assert_eq!(opts.get_bool("delay"), Some(false));
    assert_eq!(warnings[0].hint(), "Please use flag=on instead\n");
    assert_eq!(
        warnings[1].desc(),
        "short-form boolean option 'nodelay' deprecated"
    );
    assert_eq!(warnings[1].hint(), "Please use nodelay=on instead\n");
}

#[test]
fn help_is_an_item_of_its_own_in_a_string_without_errors() {
    let help = LIST.help_wanted("k,id=a,help").unwrap();
    assert!(help.starts_with("test options:\n  kind=<str>\n  text=<str>\n"));
    assert!(help.ends_with("  number=<num>\n  size=<size>\n"), "{help}");
    for params in [
        "help",
        "k,text=help",
        "k,help=on",
        "k,help,id=1",
        "k,bogus=1,?",
    ] {
        assert_eq!(LIST.help_wanted(params), None, "{params}");
    }
}

#[test]
fn the_first_id_counts_and_the_last_of_others() {
    let opts = parse("k,id=a,id=b,flag=on,flag=off").unwrap();
    assert_eq!(opts.id(), Some("a"));
    assert_eq!(opts.get_bool("flag"), Some(false));
}

#[test]
fn an_id_is_found_behind_a_doubled_comma_of_an_implied_value_only() {
    let opts = parse("k,,id=a").unwrap();
    assert_eq!((opts.id(), opts.get("kind")), (Some("a"), Some("k,id=a")));
    let opts = parse("k,text=b,,id=a").unwrap();
    assert_eq!((opts.id(), opts.get("text")), (None, Some("b,id=a")));
}

proptest! {
    #[test]
    fn any_text_survives_with_doubled_commas(text in any::<String>()) {
        let opts = parse(&format!("k,text={}", text.replace(',', ",,"))).unwrap();
        prop_assert_eq!(opts.get("text"), Some(text.as_str()));
    }

    #[test]
    fn no_input_panics(text in "[a-z=,0-9.xkE +-]{0,40}") {
        let _ = parse(&text);
    }
}
