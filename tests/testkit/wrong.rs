//! Wrong scenarios: each is refused before anything listens, with its place and the nearest right
//! name, however large or strange it is.

use qmonitor_testkit::scenario::Scenario;

fn told(text: &str) -> String {
    match Scenario::read("s", text, None) {
        Ok(_) => String::new(),
        Err(problems) => problems[0].to_string(),
    }
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    let deep = 100_000;
    let lists = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    let objects = format!("{}1{}", "{\"a\":".repeat(deep), "}".repeat(deep));
    for text in [
        &lists,
        &objects,
        &"[".repeat(deep),
        &"- ".repeat(deep),
        &format!("stubs: {lists}"),
    ] {
        assert!(!told(text).is_empty());
    }
    let lines: Vec<_> = (0..300).map(|n| " ".repeat(n) + "a:").collect();
    let e = told(&lines.join("\n"));
    assert!(
        e.starts_with("s:201:") && e.ends_with("nested too deeply"),
        "{e}"
    );
    let chain: Vec<_> = (1..300)
        .map(|n| format!("a{n}: &a{n} [*a{}]", n - 1))
        .collect();
    let e = told(&format!("a0: &a0 []\n{}", chain.join("\n")));
    assert!(e.ends_with("nested too deeply"), "{e}");
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..20 {
        let many = vec![format!("*a{}", n - 1); 10].join(", ");
        text += &format!("a{n}: &a{n} [{many}]\n");
    }
    let e = told(&text);
    assert!(e.ends_with("aliases stand for too many values"), "{e}");
}

#[test]
fn numbers_have_their_limits() {
    for (text, expected) in [
        (
            "stubs: [{when: {execute: stop, nth: 0}, pass: true}]",
            "s:1:37: stubs[0].when.nth: expected a number from 1",
        ),
        (
            "stubs: [{when: {execute: stop}, pass: true, times: 0}]",
            "s:1:52: stubs[0].times: expected a number from 1",
        ),
        (
            "faults: {x: {at: reply, nth: 0, do: drop}}",
            "s:1:30: faults.x.nth: expected a number from 1",
        ),
        (
            "faults: {x: {at: reply, do: {exit: 256}}}",
            "s:1:36: faults.x.do.exit: expected at most 255",
        ),
        (
            "faults: {x: {at: reply, do: {pad: 2GiB}}}",
            "s:1:35: faults.x.do.pad: expected at most 1GiB",
        ),
        (
            "faults: {x: {at: reply, do: {duplicate: 1000001}}}",
            "s:1:41: faults.x.do.duplicate: expected at most 1000000",
        ),
        (
            "faults: {x: {at: reply, do: []}}",
            "s:1:29: faults.x.do: nothing is done",
        ),
    ] {
        assert_eq!(told(text), expected);
    }
}

#[test]
fn a_name_that_nothing_binds_is_told() {
    let stub = |reply: &str, then: &str| {
        let when = "{execute: device_del, arguments: {id: $dev}}";
        format!("stubs: [{{when: {when}, reply: {reply}, then: [{then}]}}]")
    };
    let event = |device: &str| {
        format!("{{event: DEVICE_DELETED, data: {{device: {device}, path: /p/$dev}}}}")
    };
    assert_eq!(told(&stub("{return: {}}", &event("$dev"))), "");
    assert_eq!(told(&stub("{return: {}}", &event("$$dev/$1"))), "");
    let e = told(&stub("{return: {}}", &event("$dve")));
    let expected = "stubs[0].then[0].data.device: nothing binds '$dve'; did you mean '$dev'?";
    assert!(e.ends_with(expected), "{e}");
    let e = told(&stub("{error: {desc: no $money}}", ""));
    assert!(
        e.ends_with("nothing binds '$money'; a dollar is written '$$'"),
        "{e}"
    );
}

#[test]
fn the_beginning_of_a_name_is_near() {
    let e = told("start: {secs: 1}");
    assert!(e.ends_with("did you mean 'seconds'?"), "{e}");
    let e = Scenario::read("s", "expect: [{exec: stop}]", None).unwrap_err();
    assert!(e[1].to_string().ends_with("did you mean 'execute'?"));
}
