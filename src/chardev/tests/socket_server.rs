//! Servers with several clients, and connections that end when their front
//! end is done with them.

use std::net::Shutdown;

use super::socket::Server;
use super::*;

use ChrEvent::*;

/// Makes a front end for a client, whose number is that of its place in the
/// list, and attaches it.
fn take_in(app: &mut App, client: ChardevId) {
    app.attach(client);
}

fn attach_server(s: &mut Server, new_client: fn(&mut App, ChardevId)) -> CharFrontend {
    s.app.new_client = new_client;
    let fe = qemu_chr_fe_init_server(&mut s.app, s.chr).unwrap();
    let handlers = CharHandlers {
        new_client: Some(|app: &mut App, _, client| (app.new_client)(app, client)),
        ..CharHandlers::new(|_, _| 0, |_, _, _| {}, |_, _, event| panic!("{event:?}"))
    };
    qemu_chr_fe_set_handlers(&mut s.app, fe, Some(handlers), 0);
    fe
}

fn labels(s: &Server) -> Vec<String> {
    let all = s.app.chardevs.iter();
    all.map(|(_, chr)| chr.label().to_owned()).collect()
}

#[test]
fn each_client_has_a_chardev_of_its_own() {
    let mut s = Server::new(",max-clients=3");
    attach_server(&mut s, take_in);
    let clients = [(); 3].map(|()| s.connect());
    assert_eq!(labels(&s), ["s", "s.0", "s.1", "s.2"]);
    for (n, client) in clients.iter().enumerate() {
        s.app.expect_events(n, &[Opened]);
        send(client, format!("from {n}"));
        s.app.turn();
        s.app.expect_input(n, format!("from {n}"));
        s.app.write(n, format!("to {n}")).unwrap();
        assert_eq!(received(client), format!("to {n}").as_bytes());
    }
    let own = s.app.fronts[1].fe.chardev();
    let path = s.path.display().to_string();
    assert_eq!(s.app.filename(own), format!("unix:{path},server=on"));
    let server = s.app.filename(s.chr);
    assert_eq!(server, format!("disconnected:unix:{path},server=on"));

    let [first, second, third] = clients;
    drop(second);
    s.app.turn();
    s.app.expect_events(1, &[Closed]);
    assert_eq!(labels(&s), ["s", "s.0", "s.2"]);
    // Numbers are not used again, nor one that somebody else has.
    s.app.add("null,id=s.3");
    let _fourth = s.connect();
    assert_eq!(labels(&s), ["s", "s.0", "s.2", "s.3", "s.4"]);
    drop((first, third));
    s.app.turn();
    assert_eq!(labels(&s), ["s", "s.3", "s.4"]);
}

#[test]
fn further_clients_wait_and_are_taken_in_order() {
    let mut s = Server::new(",max-clients=2");
    attach_server(&mut s, take_in);
    let first = s.connect();
    let second = s.connect();
    let third = s.connect();
    let fourth = s.connect();
    send(&third, "third");
    send(&fourth, "fourth");
    s.app.turn();
    assert_eq!(labels(&s), ["s", "s.0", "s.1"]);
    drop(second);
    s.app.turn();
    s.app.expect_input(2, "third");
    drop(first);
    s.app.turn();
    s.app.expect_input(3, "fourth");
    assert_eq!(labels(&s), ["s", "s.2", "s.3"]);
}

#[test]
fn nobody_is_taken_in_while_nobody_is_there_to_do_so() {
    let mut s = Server::new(",max-clients=2");
    let client = s.connect();
    send(&client, "hello");
    assert_eq!(labels(&s), ["s"]);
    let fe = attach_server(&mut s, take_in);
    s.app.turn();
    s.app.expect_input(0, "hello");
    // Those who are there stay when the front end goes.
    qemu_chr_fe_deinit(&mut s.app, fe, false);
    let later = s.connect();
    assert_eq!(labels(&s), ["s", "s.0"]);
    send(&client, "still there");
    s.app.turn();
    s.app.expect_input(0, "still there");
    drop(later);
}

#[test]
fn who_is_not_taken_in_is_turned_away() {
    let mut s = Server::new(",max-clients=2");
    attach_server(&mut s, |_, _| {});
    for _ in 0..3 {
        let mut client = s.connect();
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        assert!(all.is_empty());
    }
    assert_eq!(labels(&s), ["s"]);
    s.app.new_client = take_in;
    let _client = s.connect();
    s.app.expect_events(0, &[Opened]);
}

#[test]
fn removing_the_server_ends_its_clients() {
    let mut s = Server::new(",max-clients=8");
    let fe = attach_server(&mut s, take_in);
    let mut clients = [(); 3].map(|()| s.connect());
    qemu_chr_fe_deinit(&mut s.app, fe, false);
    chardev_remove(&mut s.app, "s").unwrap();
    assert_eq!(labels(&s), [""; 0]);
    for (n, client) in clients.iter_mut().enumerate() {
        s.app.expect_events(n, &[Opened, Closed]);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    assert!(!s.path.exists());
}

#[test]
fn a_front_end_may_remove_anything_when_its_client_leaves() {
    for what in ["s.0", "s", "s.1"] {
        let mut s = Server::new(",max-clients=3");
        let fe = attach_server(&mut s, take_in);
        let clients = [(); 2].map(|()| s.connect());
        qemu_chr_fe_deinit(&mut s.app, fe, false);
        s.app.removes = what;
        s.app.fronts[0].on_event = |app, _, event| {
            if event == Closed {
                let victim = qemu_chr_find(app, app.removes);
                for n in 0..2 {
                    let fe = app.fronts[n].fe;
                    if victim == Some(fe.chardev()) {
                        qemu_chr_fe_deinit(app, fe, true);
                    }
                }
                let _ = chardev_remove(app, app.removes);
            }
        };
        let [first, second] = clients;
        drop(first);
        s.app.turn();
        let left: &[&str] = match what {
            "s.0" => &["s", "s.1"],
            "s" => &[],
            _ => &["s"],
        };
        assert_eq!(labels(&s), left, "removing {what}");
        drop(second);
        s.app.turn();
    }
}

#[test]
fn only_a_front_end_that_can_have_several_clients_gets_them() {
    let mut s = Server::new(",max-clients=2");
    let refused = "chardev 's' serves several clients ('max-clients'), only a monitor can use it";
    let e = qemu_chr_fe_init(&mut s.app, s.chr).unwrap_err();
    assert_eq!(e.desc(), refused);
    for user in ["mux,id=m,chardev=s", "hub,id=h,chardevs.0=s"] {
        let e = s.app.try_add(user).unwrap_err();
        assert!(e.desc().ends_with(refused), "{user}: {e}");
    }
    for (opts, desc) in [
        (
            "server=on,wait=off,max-clients=0",
            "Parameter 'max-clients' expects a number from 1 to 1048576",
        ),
        (
            "server=on,wait=off,max-clients=1048577",
            "Parameter 'max-clients' expects a number from 1 to 1048576",
        ),
        (
            "max-clients=2",
            "'max-clients' option is incompatible with socket in client connect mode",
        ),
    ] {
        let opts = format!("socket,id=t,path=/nonexistent/s,{opts}");
        assert_eq!(s.app.try_add(&opts).unwrap_err().desc(), desc, "{opts}");
    }
    // One is the default, and like it in everything.
    let mut s = Server::new(",max-clients=1");
    let front = s.app.attach(s.chr);
    let _client = s.connect();
    s.app.expect_events(front, &[Opened]);
}

#[cfg(feature = "websocket")]
#[test]
fn a_websocket_that_fails_leaves_its_place_to_others() {
    let mut s = Server::new(",websocket=on,max-clients=2");
    attach_server(&mut s, take_in);
    let bad = s.connect();
    let silent = s.connect();
    send(&bad, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    s.app.turn();
    s.app.expect_events(0, &[Closed]);
    drop(silent);
    s.app.turn();
    s.app.expect_events(1, &[Closed]);
    assert_eq!(labels(&s), ["s"]);
}

/// A front end that is not done before it is told so.
const SLOW: CharHandlers<App> = CharHandlers {
    drained: Some(|app, n, end| match end {
        PeerEnd::HalfClosed => app.fronts[n as usize].room > 0,
        PeerEnd::Gone => app.fronts[n as usize].room > 1,
    }),
    ..HANDLERS
};

fn slow_front(s: &mut Server) -> usize {
    let front = s.app.attach(s.chr);
    let fe = s.app.fronts[front].fe;
    qemu_chr_fe_set_handlers(&mut s.app, fe, Some(SLOW), front as u64);
    front
}

#[test]
fn a_half_closed_connection_ends_when_the_front_end_is_done() {
    let mut s = Server::new("");
    let front = slow_front(&mut s);
    let client = s.connect();
    send(&client, "last words");
    client.shutdown(Shutdown::Write).unwrap();
    s.app.fronts[front].on_read = |app, n, _| app.fronts[n].room = 0;
    s.app.turn();
    s.app.expect_input(front, "last words");
    s.app.advance(1000);
    s.app.expect_events(front, &[Opened]);
    s.app.write(front, "answer").unwrap();
    s.app.fronts[front].room = 1;
    s.app.turn();
    s.app.expect_events(front, &[Closed]);
    assert_eq!(received(&client), b"answer");
}

#[test]
fn a_client_that_goes_after_all_is_told_from_one_that_listens() {
    let mut s = Server::new("");
    let front = slow_front(&mut s);
    let client = s.connect();
    client.shutdown(Shutdown::Write).unwrap();
    s.app.fronts[front].room = 0;
    s.app.turn();
    drop(client);
    s.app.fronts[front].room = 1;
    s.app.turn();
    // That would do for one who listens.
    s.app.expect_events(front, &[Opened, Closed]);

    let client = s.connect();
    s.app.fronts[front].room = 0;
    send(&client, "unread");
    drop(client);
    for (room, input) in [(0, ""), (1, "unread")] {
        s.app.fronts[front].room = room;
        s.app.advance(1000);
        s.app.expect_input(front, input);
    }
    s.app.expect_events(front, &[Opened]);
    s.app.fronts[front].room = 100;
    s.app.turn();
    s.app.expect_events(front, &[Closed]);
}
