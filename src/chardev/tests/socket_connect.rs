//! Sockets that connect, and servers that wait.

use std::os::unix::net::UnixListener;

use super::*;

use ChrEvent::*;

#[test]
fn a_client_without_reconnect_does_not_come_back() {
    let _fds = FdGuard::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut app = App::new();
    let chr = app.add(&format!("socket,id=s,path={}", path.display()));
    let front = app.attach(chr);
    app.expect_events(front, &[Opened]);
    assert_eq!(app.filename(chr), format!("unix:{}", path.display()));
    drop(listener.accept().unwrap());
    app.turn();
    app.expect_events(front, &[Closed]);
    assert_eq!(
        app.filename(chr),
        format!("disconnected:unix:{}", path.display())
    );
    listener.set_nonblocking(true).unwrap();
    app.advance(10_000);
    assert!(listener.accept().is_err());
}

#[test]
fn reconnecting_reports_once_and_keeps_its_interval() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut app = App::new();
    let chr = app.add(&format!(
        "socket,id=s,path={},reconnect-ms=300",
        path.display()
    ));
    let front = app.attach(chr);
    app.advance(1000);
    let report = format!(
        "Unable to connect character device s: Failed to connect to '{}': No such file or directory",
        path.display()
    );
    assert_eq!(app.reports, std::slice::from_ref(&report));
    let listener = UnixListener::bind(&path).unwrap();
    app.advance(300);
    app.expect_events(front, &[Opened]);
    drop(listener.accept().unwrap());
    app.turn();
    app.expect_events(front, &[Closed]);
    app.advance(299);
    app.expect_events(front, &[]);
    app.advance(1);
    app.expect_events(front, &[Opened]);
    // After a success the next failure is news again.
    drop(listener);
    app.turn();
    std::fs::remove_file(&path).unwrap();
    app.advance(600);
    assert_eq!(app.reports, [report.clone(), report]);
    let fe = app.fronts[front].fe;
    qemu_chr_fe_deinit(&mut app, fe, true);
    app.advance(1000);
    assert_eq!(app.reports.len(), 2);
}

#[test]
fn reconnecting_over_tcp_goes_on_in_the_background() {
    let _fds = FdGuard::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut app = App::new();
    let chr = app.add(&format!(
        "socket,id=s,host=127.0.0.1,port={port},reconnect=1"
    ));
    let front = app.attach(chr);
    app.until(|app| app.fronts[front].events == [Opened]);
    let (client, peer) = listener.accept().unwrap();
    assert_eq!(
        app.filename(chr),
        format!("tcp:127.0.0.1:{} <-> 127.0.0.1:{port}", peer.port())
    );
    drop((client, listener));
    app.until(|app| app.fronts[front].events == [Opened, Closed]);
    app.advance(1000);
    app.until(|app| !app.reports.is_empty());
    assert_eq!(
        app.reports[0],
        format!(
            "Unable to connect character device s: \
             Failed to connect to '127.0.0.1:{port}': Connection refused"
        )
    );
}

#[test]
fn waiting_for_a_client_blocks_until_it_is_there() {
    let _fds = FdGuard::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let client = std::thread::spawn({
        let path = path.clone();
        move || loop {
            match UnixStream::connect(&path) {
                Ok(client) => return client,
                Err(_) => std::thread::yield_now(),
            }
        }
    });
    let mut app = App::new();
    let chr = app.add(&format!("socket,id=s,path={},server=on", path.display()));
    assert_eq!(
        app.reports,
        [format!(
            "QEMU waiting for connection on: disconnected:unix:{},server=on",
            path.display()
        )]
    );
    let _client = client.join().unwrap();
    let front = app.attach(chr);
    app.expect_events(front, &[Opened]);
}
