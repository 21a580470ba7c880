//! A session of crates.io's `qapi`: qapi-session SOCKET. Prints what it was told.
//!
//! The crate reads each reply into the type that its schema declares, so a
//! member of the wrong type would be an error here.

use std::os::unix::net::UnixStream;

use qapi::qmp::{self, ChardevBackend};
use qapi::{Command, Qmp, Stream};

type Session<'a> = Qmp<Stream<std::io::BufReader<&'a UnixStream>, &'a UnixStream>>;

fn tell<C: Command>(session: &mut Session<'_>, command: C)
where
    C::Ok: std::fmt::Debug,
{
    match session.execute(&command) {
        Ok(value) => println!("{}: {value:?}", C::NAME),
        Err(error) => println!("{}: {error}", C::NAME),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).expect("an address");
    for last in [false, true] {
        let stream = UnixStream::connect(&address)?;
        let mut session = Qmp::from_stream(&stream);
        let greeting = session.handshake()?;
        println!("greeting: {:?} {:?}", greeting.version.qemu, greeting.capabilities);
        play(&mut session)?;
        if last {
            tell(&mut session, qmp::quit {});
        }
    }
    Ok(())
}

fn play(session: &mut Session<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let version = session.execute(&qmp::query_version {})?;
    println!("query-version: {:?}", version.qemu);
    let commands = session.execute(&qmp::query_commands {})?;
    let known = commands.iter().any(|command| command.name == "query-version");
    println!("query-commands: {known}");
    let mut chardevs = session.execute(&qmp::query_chardev {})?;
    chardevs.sort_by(|a, b| a.label.cmp(&b.label));
    for chardev in chardevs {
        println!("query-chardev: {} {}", chardev.label, chardev.frontend_open);
    }
    let ringbuf: ChardevBackend = serde_json::from_value(serde_json::json!({
        "type": "ringbuf", "data": { "size": 1024 }
    }))?;
    let add = || qmp::chardev_add {
        id: "ring".into(),
        backend: ringbuf.clone(),
    };
    tell(session, add());
    tell(session, add());
    let write = |data: &str, format| qmp::ringbuf_write {
        device: "ring".into(),
        data: data.into(),
        format,
    };
    let read = |device: &str, format| qmp::ringbuf_read {
        device: device.into(),
        size: 100,
        format,
    };
    tell(session, write("héllo \u{1f600}", None));
    tell(session, read("ring", None));
    tell(session, write("AAEC", Some(qmp::DataFormat::base64)));
    tell(session, read("ring", Some(qmp::DataFormat::base64)));
    tell(session, write("not base64", Some(qmp::DataFormat::base64)));
    tell(session, read("nobody", None));
    tell(session, qmp::chardev_remove { id: "ring".into() });
    tell(session, qmp::chardev_remove { id: "ring".into() });
    tell(session, qmp::query_jobs {});
    tell(session, qmp::object_del { id: "nobody".into() });
    let properties = qmp::qom_list { path: "/objects".into() };
    tell(session, properties);
    Ok(())
}
