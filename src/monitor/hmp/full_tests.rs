use super::super::testing::{type_at, Screen};
use super::super::{Readline, ReadlineEvent};

fn full_readline() -> Readline {
    let mut rl = Readline::new("");
    rl.set_full(true);
    rl
}

/// Types and returns the line with `|` at the cursor, having checked that the
/// terminal shows the same (letters of one column only).
#[track_caller]
fn edited(keys: &str) -> String {
    let mut rl = full_readline();
    let mut out = Vec::new();
    type_at(&mut rl, keys.as_bytes(), &mut out);
    let screen = Screen::replay_utf8(&out);
    let text = String::from_utf8(rl.line().text().to_vec()).expect("UTF-8 stays UTF-8");
    assert_eq!(screen.last_line(), text);
    let mut text = text;
    text.insert(rl.line().cursor(), '|');
    text
}

#[test]
fn keys() {
    for (keys, line) in [
        ("hello world\x1b[D\x1b[D\x0b", "hello wor|"),
        ("abc\x02x\x06y", "abxcy|"),
        ("one two\x1bb\x1bbX", "X|one two"),
        ("one two\x01\x1bf.", "one.| two"),
        ("one two\x01\x1bd", "| two"),
        ("one two-three\x1b[1;5D\x1b[1;5D_", "one _|two-three"),
        ("one two\x01\x1b[1;5C\x1b[1;5C!", "one two!|"),
        ("bc\x1b[Ha\x1b[Fd", "abcd|"),
        ("bc\x1b[7~a\x1b[8~d", "abcd|"),
        ("ab\x1b[200~\x1b[>1;2uc", "abc|"),
        ("ab\x1b\x1b[Dc", "ac|b"),
    ] {
        assert_eq!(edited(keys), line, "for {keys:?}");
    }
}

#[test]
fn utf8_letters_are_whole() {
    for (keys, line) in [
        ("äöü\x7f", "äö|"),
        ("äöü\x1b[D\x1b[Dx", "äx|öü"),
        ("ěx", "ěx|"),
        ("äb\x01\x04", "|b"),
        ("e\u{301}x\x1b[D\x7f", "|x"),
    ] {
        let mut rl = full_readline();
        type_at(&mut rl, keys.as_bytes(), &mut Vec::new());
        let mut text = String::from_utf8_lossy(rl.line().text()).into_owned();
        text.insert(rl.line().cursor(), '|');
        assert_eq!(text, line, "for {keys:?}");
    }
}

#[test]
fn malformed_utf8_is_dropped() {
    let mut rl = full_readline();
    type_at(
        &mut rl,
        b"a\xc3b\xff\x9b\xe2\x82c\xed\xa0\x80d",
        &mut Vec::new(),
    );
    assert_eq!(rl.line().text(), b"abcd");
}

#[test]
fn wide_letters_take_two_columns() {
    let mut rl = full_readline();
    let mut out = Vec::new();
    type_at(&mut rl, "日本".as_bytes(), &mut out);
    out.clear();
    type_at(&mut rl, b"\x1b[D", &mut out);
    assert_eq!(out, b"\x1b[D\x1b[D");
}

#[test]
fn search() {
    let mut rl = full_readline();
    type_at(&mut rl, b"info status\nstop\ninfo name\n", &mut Vec::new());
    let mut out = Vec::new();
    type_at(&mut rl, b"typed\x12st", &mut out);
    assert_eq!(
        Screen::replay_utf8(&out).last_line(),
        "(reverse-i-search)`st': stop"
    );
    type_at(&mut rl, b"\x12", &mut out);
    assert_eq!(
        Screen::replay_utf8(&out).last_line(),
        "(reverse-i-search)`st': info status"
    );
    type_at(&mut rl, b"zz", &mut out);
    assert_eq!(
        Screen::replay_utf8(&out).last_line(),
        "(failed reverse-i-search)`stzz': info status"
    );
    type_at(&mut rl, b"\x7f\x7f\x7f", &mut out);
    assert_eq!(
        Screen::replay_utf8(&out).last_line(),
        "(reverse-i-search)`s': stop"
    );
    type_at(&mut rl, b"\x07", &mut out);
    assert_eq!(Screen::replay_utf8(&out).last_line(), "typed");
    type_at(&mut rl, b"\x12name\x1b[D!", &mut out);
    assert_eq!(Screen::replay_utf8(&out).last_line(), "info nam!e");
}

#[test]
fn enter_runs_the_hit() {
    let mut rl = full_readline();
    type_at(&mut rl, b"info status\nstop\n", &mut Vec::new());
    let mut out = Vec::new();
    type_at(&mut rl, b"\x12sta", &mut out);
    assert_eq!(
        rl.handle_byte(b'\r', &mut out),
        ReadlineEvent::Line(b"info status".to_vec())
    );
    assert_eq!(Screen::replay_utf8(&out).lines(), ["info status"]);
}
