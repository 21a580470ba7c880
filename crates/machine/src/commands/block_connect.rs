//! `blockdev-add` of a disk that another server has: a thread finds the server and talks to
//! it first, and the loop goes on meanwhile.

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc::channel;

use super::block::add_node;
use crate::model::block::connect;
use crate::schema::{
    BlockdevOptions, BlockdevOptionsBranch, BlockdevOptionsNbd, BlockdevRef, BlockdevRefOrNull,
};
use crate::Machine;
use qmonitor::main_loop::{Condition, Flow, Host, Watch};
use qmonitor::qapi::{Error, Responder};
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// The address of the server that a node, or a node made for it, has.
fn server_of(options: &BlockdevOptions) -> Option<&BlockdevOptionsNbd> {
    use BlockdevOptionsBranch as Branch;
    let file = match &options.u {
        Branch::Nbd(nbd) => return Some(nbd),
        Branch::Raw(raw) => &raw.file,
        Branch::CopyOnRead(filter) => &filter.file,
        Branch::Throttle(filter) => &filter.file,
        Branch::Compress(filter) => &filter.file,
        Branch::Blkdebug(debug) => &debug.image,
        Branch::Qcow2(image) => {
            let below = match &image.backing {
                Some(BlockdevRefOrNull::Definition(below)) => server_of(below),
                _ => None,
            };
            return in_definition(&image.file).or(below);
        }
        _ => return None,
    };
    in_definition(file)
}

fn in_definition(file: &BlockdevRef) -> Option<&BlockdevOptionsNbd> {
    match file {
        BlockdevRef::Definition(options) => server_of(options),
        BlockdevRef::Reference(_) => None,
    }
}

/// Adds a node when its server has answered, or at once if it has none.
pub(super) fn add_connected(rt: &mut Rt, options: BlockdevOptions, responder: Responder<()>) {
    let server = server_of(&options).filter(|_| rt.state.blocks.has_threads);
    let Some(server) = server.cloned() else {
        return responder.respond(add_node(rt, &options));
    };
    let (answer, connected) = channel();
    let started = UnixStream::pair().and_then(|(ours, theirs)| {
        let name = "connect".to_owned();
        std::thread::Builder::new().name(name).spawn(move || {
            // The machine may be gone.
            let _ = answer.send(connect(&server));
            drop(theirs);
        })?;
        Ok(ours)
    });
    let socket = match started {
        Ok(socket) => Rc::new(socket),
        Err(e) => {
            let error = Error::from_io("Could not start a thread", &e);
            return responder.respond(Err(error));
        }
    };
    let waiting = RefCell::new(Some((options, responder)));
    let watch = Watch::new(
        "nbd_connect",
        socket,
        Condition::IN,
        move |rt: &mut Rt, _| {
            if let Some((options, responder)) = waiting.take() {
                // A thread that died has left no answer, so the node connects itself.
                rt.state.blocks.connected = connected.recv().ok();
                let added = add_node(rt, &options);
                rt.state.blocks.connected = None;
                responder.respond(added);
            }
            Flow::Remove
        },
    );
    rt.main_loop_mut().add_watch(watch);
}
