//! `chardev-change`, with and without a front end that goes along.

use super::*;
use crate::chardev::backend::peer::MemoryPeer;

use ChrEvent::*;

/// A front end that goes over to any chardev.
fn attach_willing(app: &mut App, chr: ChardevId) -> usize {
    let front = app.attach(chr);
    let fe = app.fronts[front].fe;
    qemu_chr_fe_set_be_change(app, fe, Some(go_over));
    front
}

pub(super) fn go_over(app: &mut App, front: u64, fe: CharFrontend) -> Result<(), Error> {
    app.fronts[front as usize].fe = fe;
    qemu_chr_fe_set_handlers(app, fe, Some(HANDLERS), front);
    qemu_chr_fe_set_be_change(app, fe, Some(go_over));
    Ok(())
}

fn change(app: &mut App, label: &str, opts: &str) -> Result<ChardevAdded, Error> {
    let (_, config) = qemu_chr_parse_cli(&format!("{opts},id=x"), &mut Vec::new())?;
    chardev_change(app, label, config)
}

#[test]
fn a_front_end_goes_over_with_what_it_has() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "c").unwrap();
    let front = attach_willing(&mut app, peer.chardev());
    peer.open(&mut app);
    peer.send(&mut app, "half a li");
    app.turn();
    app.expect_events(front, &[Opened]);

    // To one that is open: it is told so, as with any it attaches to.
    let added = change(&mut app, "c", "ringbuf").unwrap();
    app.expect_events(front, &[Opened]);
    assert_eq!(qemu_chr_find(&app, "c"), Some(added.id));
    assert_eq!(app.chardevs().len(), 1);
    app.write(front, "out").unwrap();
    assert_eq!(ringbuf_read(&mut app, "c", 9).unwrap(), b"out");

    // To one that is closed, and back to the first kind.
    let null = change(&mut app, "c", "null").unwrap();
    app.expect_events(front, &[Closed]);
    assert!(frontend_open(&app, null.id));
    // Nothing of the old ones is left, and the front end is the same.
    app.expect_input(front, "half a li");
    assert_eq!(app.main_loop().watch_count(), 0);
}

#[test]
fn the_path_of_a_socket_may_be_that_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let opts = format!("socket,path={},server=on,wait=off", path.display());
    let mut app = App::new();
    let chr = app.add(&format!("{opts},id=c"));
    let front = attach_willing(&mut app, chr);
    let before = UnixStream::connect(&path).unwrap();
    app.until(|app| !app.fronts[front].events.is_empty());
    app.expect_events(front, &[Opened]);
    change(&mut app, "c", &opts).unwrap();
    app.expect_events(front, &[Closed]);
    assert!(is_at_end(&before));
    let after = UnixStream::connect(&path).unwrap();
    send(&after, "typed");
    app.until(|app| !app.fronts[front].got.is_empty());
    app.expect_input(front, "typed");
    chardev_change(&mut app, "c", ChardevBackend::Null.into()).unwrap();
    assert!(!path.exists());
}

#[test]
fn if_the_new_one_cannot_be_made_nothing_has_happened() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "c").unwrap();
    let front = attach_willing(&mut app, peer.chardev());
    peer.open(&mut app);
    let e = change(&mut app, "c", "ringbuf,size=3").unwrap_err();
    assert_eq!(e.desc(), "size of ringbuf chardev must be power of two");
    app.expect_events(front, &[Opened]);
    peer.send(&mut app, "goes on");
    app.turn();
    app.expect_input(front, "goes on");
    assert_eq!(qemu_chr_find(&app, "c"), Some(peer.chardev()));
}

#[test]
fn if_the_front_end_will_not_it_has_the_old_one_back() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "c").unwrap();
    let front = app.attach(peer.chardev());
    let fe = app.fronts[front].fe;
    qemu_chr_fe_set_be_change(&mut app, fe, Some(|_, _, _| Err(Error::new("no"))));
    peer.open(&mut app);
    let e = change(&mut app, "c", "null").unwrap_err();
    assert_eq!(e.desc(), "Chardev 'c' change failed");
    app.expect_events(front, &[Opened, Closed, Opened]);
    peer.send(&mut app, "goes on");
    app.turn();
    app.expect_input(front, "goes on");
    assert_eq!(qemu_chr_find(&app, "c"), Some(peer.chardev()));
    assert_eq!(app.chardevs().len(), 1);
}

#[test]
fn what_cannot_be_changed() {
    let mut app = App::new();
    app.add("null,id=free");
    let used = app.add("null,id=used");
    app.attach(used);
    app.add("null,id=m,mux=on");
    for (label, opts, text) in [
        ("x", "null", "Chardev 'x' does not exist"),
        (
            "used",
            "null",
            "Chardev user does not support chardev hotswap",
        ),
        (
            "m",
            "null",
            "For mux or hub device hotswap is not supported yet",
        ),
        (
            "m-base",
            "null",
            "Chardev user does not support chardev hotswap",
        ),
    ] {
        let e = change(&mut app, label, opts).unwrap_err();
        assert_eq!(e.desc(), text, "{label}");
    }
    // Nobody uses it: it is gone by the time that its successor fails.
    let e = change(&mut app, "free", "ringbuf,size=3").unwrap_err();
    let text = "Failed to add chardev 'free': size of ringbuf chardev must be power of two";
    assert_eq!(e.desc(), text);
    assert_eq!(qemu_chr_find(&app, "free"), None);
}

#[test]
fn a_front_end_may_let_go_when_it_hears_of_the_change() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "c").unwrap();
    let front = attach_willing(&mut app, peer.chardev());
    peer.open(&mut app);
    app.fronts[front].on_event = |app, front, event| {
        if event == Closed {
            let fe = app.fronts[front].fe;
            qemu_chr_fe_deinit(app, fe, false);
        }
    };
    let added = change(&mut app, "c", "null").unwrap();
    assert!(!app.chardevs().get(added.id).unwrap().is_busy());
    assert_eq!(app.chardevs().len(), 1);
}
