//! Commands about character devices.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::runtime::Runtime;
use super::schema::{
    qmp_marshal_chardev_add, qmp_marshal_chardev_change, CharCommands, ChardevBackend,
    ChardevBackendInfo, ChardevInfo, ChardevReturn, DataFormat, YankCommands, YankInstance,
    YankInstanceChardev,
};
use crate::chardev::backends::{chardev_config, visit_registered};
use crate::chardev::{
    self, chardev_change, chardev_remove, chardev_send_break, fifo_reader, qemu_chr_find,
    ChardevConfig, FifoReader,
};
use crate::main_loop::ClockType;
use crate::qapi::dispatch::{Call, QmpCommandFunc, QmpCommandList};
use crate::qapi::{Error, ErrorClass, RawResponder, Responder};
use crate::util::base64;

impl<S: 'static> CharCommands for S {
    fn qmp_query_chardev(rt: &mut Runtime<Self>) -> Result<Vec<ChardevInfo>, Error> {
        let list = rt.chardevs.listed().map(|chr| ChardevInfo {
            label: chr.label().to_owned(),
            filename: chr.filename(),
            frontend_open: chr.frontend_open(),
        });
        Ok(list.collect())
    }

    fn qmp_query_chardev_backends(
        rt: &mut Runtime<Self>,
    ) -> Result<Vec<ChardevBackendInfo>, Error> {
        let info = |name: &str| ChardevBackendInfo {
            name: name.to_owned(),
        };
        // The other way round than in the lists for people.
        let backends = rt.chardevs.backends().into_iter().rev();
        Ok(backends.map(info).collect())
    }

    fn qmp_ringbuf_write(
        rt: &mut Runtime<Self>,
        device: String,
        data: String,
        format: Option<DataFormat>,
    ) -> Result<(), Error> {
        let bytes = match format.unwrap_or(DataFormat::Utf8) {
            DataFormat::Utf8 => utf8_bytes(data),
            DataFormat::Base64 => match base64::decode(&data) {
                Ok(bytes) => bytes,
                // An error about the device comes first.
                Err(e) => return chardev::ringbuf_write(rt, &device, &[]).and(Err(e)),
            },
        };
        chardev::ringbuf_write(rt, &device, &bytes)
    }

    fn qmp_ringbuf_read(
        rt: &mut Runtime<Self>,
        device: String,
        size: i64,
        format: Option<DataFormat>,
    ) -> Result<String, Error> {
        let bytes = chardev::ringbuf_read(rt, &device, size)?;
        Ok(match format.unwrap_or(DataFormat::Utf8) {
            DataFormat::Utf8 => utf8_text(&bytes),
            DataFormat::Base64 => base64::encode(&bytes),
        })
    }

    fn qmp_chardev_add(
        rt: &mut Runtime<Self>,
        id: String,
        backend: ChardevBackend,
        responder: Responder<ChardevReturn>,
    ) {
        add(rt, id, chardev_config(backend), responder);
    }

    fn qmp_chardev_change(
        rt: &mut Runtime<Self>,
        id: String,
        backend: ChardevBackend,
        responder: Responder<ChardevReturn>,
    ) {
        change(rt, id, chardev_config(backend), responder);
    }

    fn qmp_chardev_remove(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        chardev_remove(rt, &id)
    }

    fn qmp_chardev_send_break(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        chardev_send_break(rt, &id)
    }
}

type ChardevResponder = Responder<ChardevReturn>;

fn add<S>(
    rt: &mut Runtime<S>,
    id: String,
    config: Result<ChardevConfig, Error>,
    responder: ChardevResponder,
) {
    if qemu_chr_find(rt, &id).is_some() {
        let e = Error::new(format!("Chardev with id '{id}' already exists"));
        return responder.respond(Err(e));
    }
    let failed =
        |id: &str, e: Error| Err(e.prepend(format_args!("Failed to add chardev '{id}': ")));
    match config {
        Err(e) => responder.respond(failed(&id, e)),
        Ok(config) => when_openable(rt, config, move |rt, config| {
            let added = chardev::chardev_add(rt, &id, config);
            responder.respond(match added {
                Ok(added) => Ok(ChardevReturn { pty: added.pty }),
                Err(e) => failed(&id, e),
            });
        }),
    }
}

fn change<S>(
    rt: &mut Runtime<S>,
    id: String,
    config: Result<ChardevConfig, Error>,
    responder: ChardevResponder,
) {
    match config {
        Err(e) => responder.respond(Err(e)),
        Ok(config) => when_openable(rt, config, move |rt, config| {
            let changed = chardev_change(rt, &id, config);
            responder.respond(changed.map(|changed| ChardevReturn { pty: changed.pty }));
        }),
    }
}

/// Has `chardev-add` and `chardev-change` look for the kinds of backends that the program
/// has registered, before the schema's are looked at: the schema does not know them.
pub(crate) fn accept_registered_backends<S>(commands: &mut QmpCommandList<Runtime<S>>) {
    let add_func =
        |rt: &mut Runtime<S>, call: &mut Call<'_>, responder: RawResponder| match registered_kind(
            rt, call,
        ) {
            None => qmp_marshal_chardev_add(rt, call, responder),
            Some(kind) => with_registered(rt, call, &kind, responder, add),
        };
    let change_func =
        |rt: &mut Runtime<S>, call: &mut Call<'_>, responder: RawResponder| match registered_kind(
            rt, call,
        ) {
            None => qmp_marshal_chardev_change(rt, call, responder),
            Some(kind) => with_registered(rt, call, &kind, responder, change),
        };
    commands.set_func("chardev-add", QmpCommandFunc::Deferred(add_func));
    commands.set_func("chardev-change", QmpCommandFunc::Deferred(change_func));
}

/// The registered kind that the arguments ask for, if it is one.
fn registered_kind<S>(rt: &Runtime<S>, call: &Call<'_>) -> Option<String> {
    let args = call.args();
    let backend = args.get("backend")?;
    let kind = backend.as_dict()?.get_str("type")?;
    rt.chardevs.is_registered(kind).then(|| kind.to_owned())
}

/// Reads the arguments of a registered kind and goes on with `then`.
fn with_registered<S>(
    rt: &mut Runtime<S>,
    call: &mut Call<'_>,
    kind: &str,
    responder: RawResponder,
    then: fn(&mut Runtime<S>, String, Result<ChardevConfig, Error>, ChardevResponder),
) {
    let policy = call.policy();
    match registered_arguments(rt, call, kind) {
        Ok((id, config)) => then(rt, id, config, Responder::new(responder, policy)),
        Err(e) => responder.respond(Err(e)),
    }
}

/// What generated code does for the other kinds. The outer error is one of the arguments'
/// form, the inner one of what they ask for.
fn registered_arguments<S>(
    rt: &Runtime<S>,
    call: &mut Call<'_>,
    kind: &str,
) -> Result<(String, Result<ChardevConfig, Error>), Error> {
    let mut v = call.start_args()?;
    let id = v.member("id")?;
    v.start_struct("backend")?;
    let _: String = v.member("type")?;
    let config = visit_registered(rt, kind, &mut v)?;
    v.end_struct()?;
    v.end_struct()?;
    Ok((id, config))
}

/// How often a FIFO is asked whether it has a reader.
const FIFO_INTERVAL: Duration = Duration::from_millis(10);

/// Calls `then` as soon as the backend's output can be opened. That is at once
/// unless it is a FIFO without a reader: QEMU blocks in open(2) then, here the
/// command is answered later while the loop goes on.
fn when_openable<S>(
    rt: &mut Runtime<S>,
    config: ChardevConfig,
    then: impl FnOnce(&mut Runtime<S>, ChardevConfig) + 'static,
) {
    let Some(path) = config.backend.waits_for_reader().map(str::to_owned) else {
        return then(rt, config);
    };
    match fifo_reader(&path) {
        FifoReader::Missing => {}
        _held => return then(rt, config),
    }
    let timer = Rc::new(Cell::new(None));
    let own = timer.clone();
    let mut waiting = Some((config, then));
    let ask_again = move |rt: &mut Runtime<S>| {
        let Some(timer) = own.get() else { return };
        match fifo_reader(&path) {
            FifoReader::Missing => {
                rt.main_loop.timer_mod_in(timer, FIFO_INTERVAL);
            }
            _held => {
                rt.main_loop.timer_free(timer);
                if let Some((config, then)) = waiting.take() {
                    then(rt, config);
                }
            }
        }
    };
    let id = rt
        .main_loop
        .timer_new(ClockType::Realtime, "chardev_fifo", ask_again);
    timer.set(Some(id));
    rt.main_loop.timer_mod_in(id, FIFO_INTERVAL);
}

impl<S: 'static> YankCommands for S {
    fn qmp_yank(rt: &mut Runtime<Self>, instances: Vec<YankInstance>) -> Result<(), Error> {
        let missing = || Error::with_class(ErrorClass::DeviceNotFound, "Instance not found");
        let mut chardevs = Vec::new();
        for instance in instances {
            match instance {
                YankInstance::Chardev(YankInstanceChardev { id }) => {
                    let chr = qemu_chr_find(rt, &id).ok_or_else(missing)?;
                    if !chardev::can_yank(rt, chr) {
                        return Err(missing());
                    }
                    chardevs.push(chr);
                }
                _ => return Err(missing()),
            }
        }
        for chr in chardevs {
            chardev::char_socket_yank(rt, chr);
        }
        Ok(())
    }

    fn qmp_query_yank(rt: &mut Runtime<Self>) -> Result<Vec<YankInstance>, Error> {
        let ids: Vec<_> = rt.chardevs.iter().map(|(id, _)| id).collect();
        let mut list = Vec::new();
        for chr in ids {
            if chardev::can_yank(rt, chr) {
                if let Some(c) = rt.chardevs.get(chr) {
                    let id = c.label().to_owned();
                    list.push(YankInstance::Chardev(YankInstanceChardev { id }));
                }
            }
        }
        Ok(list)
    }
}

/// Encodes a string as QEMU holds it: U+0000 is C0 80, so that a zero byte can
/// end the string.
fn utf8_bytes(text: String) -> Vec<u8> {
    // All bytes are looked at, which takes less time than to stop at the first.
    if !text.bytes().fold(false, |any, b| any | (b == 0)) {
        return text.into_bytes();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            0 => bytes.extend_from_slice(&[0xc0, 0x80]),
            b => bytes.push(b),
        }
    }
    bytes
}

/// Bytes as text: ends at a zero byte; C0 80 is U+0000 again; each invalid
/// sequence becomes one U+FFFD.
fn utf8_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    crate::qapi::json::mod_utf8_lossy(&bytes[..end]).into_owned()
}
