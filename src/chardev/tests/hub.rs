//! Hubs.

use super::*;
use crate::chardev::backend::peer::MemoryPeer;

use ChrEvent::*;

#[test]
fn five_are_too_many_for_a_hub() {
    let mut app = App::new();
    let chardevs: Vec<_> = (0..5).map(|i| format!("r{i}")).collect();
    for name in &chardevs {
        app.add(&format!("null,id={name}"));
    }
    let hub = ChardevConfig::new(ChardevBackend::Hub(HubConfig { chardevs }));
    let e = chardev_add(&mut app, "h", hub).unwrap_err();
    assert_eq!(
        e.desc(),
        "hub: too many uses of chardevs 'h' (maximum is 4)"
    );
}

/// A hub on two peers in memory, with a front end.
fn hub() -> (App, [MemoryPeer; 2], usize) {
    let mut app = App::new();
    let peers = ["a", "b"].map(|label| MemoryPeer::new(&mut app, label).unwrap());
    let chr = app.add("hub,id=h,chardevs.0=a,chardevs.1=b");
    let front = app.attach(chr);
    (app, peers, front)
}

#[test]
fn a_hub_opens_with_the_first_part_and_closes_with_the_last() {
    let (mut app, [a, b], front) = hub();
    app.expect_events(front, &[]);
    b.open(&mut app);
    app.expect_events(front, &[Opened]);
    a.open(&mut app);
    b.close(&mut app);
    app.turn();
    app.expect_events(front, &[]);
    a.close(&mut app);
    app.turn();
    app.expect_events(front, &[Closed]);
}

#[test]
fn output_goes_to_all_open_parts_and_input_comes_from_any() {
    let (mut app, [a, b], front) = hub();
    a.open(&mut app);
    app.write(front, "1").unwrap();
    b.open(&mut app);
    app.write(front, "2").unwrap();
    a.expect(&mut app, "12");
    b.expect(&mut app, "2");
    a.send(&mut app, "x");
    app.turn();
    b.send(&mut app, "y");
    app.turn();
    app.expect_input(front, "xy");
}

#[test]
fn a_part_that_is_always_open_does_not_open_the_hub_but_gets_the_output() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "a").unwrap();
    app.add("ringbuf,id=r");
    let chr = app.add("hub,id=h,chardevs.0=a,chardevs.1=r");
    let front = app.attach(chr);
    app.expect_events(front, &[]);
    peer.open(&mut app);
    app.expect_events(front, &[Opened]);
    app.write(front, "x").unwrap();
    assert_eq!(ringbuf_read(&mut app, "r", 9).unwrap(), b"x");
}

#[test]
fn a_slow_part_loses_nothing_and_a_fast_one_gets_nothing_twice() {
    let (mut app, [a, b], front) = hub();
    a.open(&mut app);
    b.open(&mut app);
    a.limit(&mut app, 3);
    b.limit(&mut app, 5);
    let text = b"0123456789abcdef";
    let (mut done, mut got) = (0, [Vec::new(), Vec::new()]);
    while done < text.len() {
        match app.write(front, &text[done..]) {
            Ok(n) => done += n,
            Err(e) => {
                assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock);
                for (peer, got) in [a, b].into_iter().zip(&mut got) {
                    got.extend(peer.output(&mut app));
                }
            }
        }
    }
    got[0].extend(a.output(&mut app));
    got[1].extend(b.output(&mut app));
    assert_eq!(got[0], text);
    assert_eq!(got[1], text);
}
