//! The control channel: a QMP monitor of its own, on a thread of its own, so that nothing of it
//! is seen by the clients of the mock.

use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::Duration;

use qmonitor::chardev::{char_socket_get_addr, chardev_add, qemu_chr_parse_cli, ChardevHost};
use qmonitor::main_loop::{BhHandle, Host};
use qmonitor::monitor::{MonitorMode, MonitorOptions};
use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{Call, Error, QDict, QNum, QObject};
use qmonitor::{InheritedFds, Runtime};

use crate::address::{found, Address};
use crate::kit::{ClientInfo, Notice};
use crate::node::Node;
use crate::problem::{Problem, Problems};
use crate::scenario::{Reader, Stub, When};
use crate::server::{Remote, Server};

/// The code that the compiler made of `schema/control.json`.
#[allow(missing_docs)]
pub mod schema {
    include!(concat!(env!("OUT_DIR"), "/control.rs"));
}
use schema::{
    ControlCommands, MockClock, MockNearMiss, MockReleased, MockRemark, MockStub, MockVerdict,
};

/// How many tests may control a mock at once.
const CLIENTS: usize = 64;

/// The state of the control channel.
pub struct Control {
    mock: Remote,
}

impl Control {
    fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.mock.call(job);
        done.ok_or_else(|| Error::new("the mock has ended"))
    }
}

/// A control channel that runs. It goes with the process.
pub struct Running {
    /// Where it listens.
    pub address: Address,
    events: Sender<(&'static str, QDict)>,
    wake: BhHandle,
}

/// Starts a control channel for a mock.
///
/// # Errors
///
/// It cannot listen there.
pub fn start(address: Address, mock: Remote, inherited: InheritedFds) -> Result<Running, String> {
    let (ready, started) = channel();
    let (events, queue) = channel();
    let run = move || {
        let mut rt = match make(&address, mock, inherited, queue) {
            Ok(rt) => rt,
            Err(e) => return drop(ready.send(Err(e))),
        };
        let chr = rt.chardevs().find("control");
        let own = chr.and_then(|chr| found(char_socket_get_addr(&rt, chr)?));
        let wake = rt.main_loop_mut().bh_new("mock_events", send_events);
        let wake = rt.main_loop_mut().bh_handle(wake);
        let address = own.unwrap_or(address);
        if ready.send(Ok((address, wake))).is_ok() {
            let _ = rt.run();
            // After `quit` was answered.
            let _ = rt
                .state
                .control
                .call(|server| server.parts().0.request_exit(0));
        }
    };
    let thread = std::thread::Builder::new().name("control".to_owned());
    thread.spawn(run).map_err(|e| format!("--control: {e}"))?;
    let (address, wake) = started.recv().map_err(|e| e.to_string())??;
    Ok(Running {
        address,
        events,
        wake,
    })
}

/// The state of the thread: the channel's, and the events that are to be sent.
struct Thread {
    control: Control,
    events: Receiver<(&'static str, QDict)>,
}

fn make(
    address: &Address,
    mock: Remote,
    inherited: InheritedFds,
    events: Receiver<(&'static str, QDict)>,
) -> Result<Runtime<Thread>, String> {
    let state = Thread {
        control: Control { mock },
        events,
    };
    let failed = |e: Error| format!("--control {address}: {e}");
    let mut chardev = address.to_chardev("control", &inherited);
    if chardev.contains("server=on") {
        chardev += &format!(",max-clients={CLIENTS}");
    }
    let mut rt = Runtime::new(state).map_err(|e| format!("--control: {e}"))?;
    rt.chardevs_mut().set_inherited_fds(inherited);
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    let parsed = qemu_chr_parse_cli(&chardev, &mut Vec::new());
    let (id, config) = parsed.map_err(failed)?;
    chardev_add(&mut rt, &id, config).map_err(failed)?;
    let options = MonitorOptions {
        mode: Some(MonitorMode::Control),
        ..MonitorOptions::new(&id)
    };
    rt.monitor_init(&options).map_err(failed)?;
    Ok(rt)
}

fn send_events(rt: &mut Runtime<Thread>) {
    while let Ok((name, data)) = rt.state.events.try_recv() {
        rt.send_event(None, name, &data);
    }
}

impl Running {
    /// Tells the channel's clients of what happens in the mock.
    pub fn follow(self, server: &Server) {
        let client = |info: &ClientInfo| {
            let mut data = QDict::new();
            data.insert("monitor", info.monitor.as_str());
            data.insert("connection", QNum::from_u64(info.connection));
            data.insert("peer", info.peer.as_str());
            data
        };
        server.kit().set_notify(move |notice| {
            let event = match notice {
                Notice::Request(entry) => ("MOCK_REQUEST", entry.to_dict()),
                Notice::Connected(info) => ("MOCK_CONNECTED", client(info)),
                Notice::Disconnected(info) => ("MOCK_DISCONNECTED", client(info)),
                Notice::Idle => ("MOCK_IDLE", QDict::new()),
            };
            // The thread may have ended.
            if self.events.send(event).is_ok() {
                self.wake.schedule();
            }
        });
    }
}

fn problems_to_error(list: &[Problem]) -> Error {
    let list: Vec<_> = list.iter().map(Problem::to_string).collect();
    Error::new(list.join("; "))
}

/// Reads something in the grammar of scenarios.
fn read<T>(
    server: &Server,
    unchecked: bool,
    read: impl FnOnce(&Reader<'_>) -> T,
) -> Result<T, Error> {
    let problems = Problems::new("");
    let schema = server.kit().schema();
    let value = read(&Reader {
        schema: &schema,
        problems: &problems,
        unchecked,
    });
    let list = problems.into_list();
    if list.is_empty() {
        Ok(value)
    } else {
        Err(problems_to_error(&list))
    }
}

impl ControlCommands for Thread {
    fn qmp_mock_stub_add(rt: &mut Runtime<Self>, call: &mut Call<'_>) -> Result<(), Error> {
        let node = Node::from(QObject::Dict(call.take_args()));
        let id = rt.state.control.call(move |server| {
            let stub = read(server, false, |reader| Stub::read(reader, &node, ""))?;
            let stub = stub.ok_or_else(|| Error::new("this is no stub"))?;
            Ok::<_, Error>(server.kit().add_stub_first(stub))
        })??;
        call.ret(&MockStub { id });
        Ok(())
    }

    fn qmp_mock_stub_del(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        rt.state.control.call(move |server| {
            if server.kit().remove_stub(&id) {
                return Ok(());
            }
            Err(Error::new(format!("there is no stub '{id}'")))
        })?
    }

    fn qmp_mock_fault_set(
        rt: &mut Runtime<Self>,
        name: String,
        enabled: bool,
    ) -> Result<(), Error> {
        rt.state.control.call(move |server| {
            let set = server.kit().set_fault(&name, enabled);
            set.map_err(Error::new)
        })?
    }

    fn qmp_mock_emit(
        rt: &mut Runtime<Self>,
        event: String,
        data: Option<QObject>,
        to: Option<String>,
        unchecked: Option<bool>,
        throttle: Option<bool>,
    ) -> Result<(), Error> {
        rt.state.control.call(move |server| {
            let name = Node::from(QObject::from(event));
            let data = data.map(Node::from);
            let event = read(server, unchecked == Some(true), |reader| {
                reader.event_of(&name, data.as_ref(), "")
            })?;
            let (event, data) = event.unwrap_or_default();
            let (rt, kit) = server.parts();
            if throttle == Some(true) {
                rt.send_limited_event(&event, data);
            } else if !kit.emit(rt, &event, &data, to.as_deref()) {
                let to = to.unwrap_or_default();
                return Err(Error::new(format!("there is no monitor '{to}'")));
            }
            kit.touch();
            server.settle().map_err(|e| Error::new(e.to_string()))
        })?
    }

    fn qmp_mock_hold(rt: &mut Runtime<Self>, point: String) -> Result<(), Error> {
        let hold = move |server: &mut Server| server.kit().hold_again(&point);
        rt.state.control.call(hold)
    }

    fn qmp_mock_release(rt: &mut Runtime<Self>, point: String) -> Result<MockReleased, Error> {
        rt.state.control.call(move |server| {
            let (rt, kit) = server.parts();
            let released = kit.clone().release(rt, &point);
            let settled = server.settle();
            settled.map_err(|e| Error::new(e.to_string()))?;
            Ok(MockReleased {
                released: released as i64,
            })
        })?
    }

    fn qmp_clock_step(rt: &mut Runtime<Self>, ns: Option<i64>) -> Result<MockClock, Error> {
        let time = match ns.map(u64::try_from) {
            Some(Err(_)) => return Err(Error::new("time does not go back")),
            Some(Ok(ns)) => Some(Duration::from_nanos(ns)),
            None => None,
        };
        let step = move |server: &mut Server| server.step(time);
        let (now, fired) = rt.state.control.call(step)?.map_err(Error::new)?;
        let fired = i64::try_from(fired).unwrap_or(i64::MAX);
        Ok(MockClock { now, fired })
    }

    fn qmp_query_mock_requests(rt: &mut Runtime<Self>, call: &mut Call<'_>) -> Result<(), Error> {
        let args = call.take_args();
        for (name, _) in args.iter() {
            if name != "match" && name != "since" {
                return Err(Error::new(format!("Parameter '{name}' is unexpected")));
            }
        }
        let since = match args.get("since") {
            None => 0,
            Some(QObject::Num(QNum::I64(n))) => u64::try_from(*n).unwrap_or(0),
            Some(_) => {
                return Err(Error::new(
                    "Invalid parameter type for 'since', expected: integer",
                ));
            }
        };
        let list = rt.state.control.call(move |server| {
            let when = match args.get("match") {
                Some(node) => {
                    let node = Node::from(node.clone());
                    Some(read(server, true, |reader| {
                        When::read(reader, &node, "match")
                    })?)
                }
                None => None,
            };
            let list = server.kit().with_journal(|journal| {
                let entries = journal.iter().filter(|entry| entry.n > since);
                let meant = entries.filter(|entry| match &when {
                    Some(when) => crate::kit::fits(when, entry),
                    None => true,
                });
                meant.map(|entry| entry.to_dict().into()).collect()
            });
            Ok::<_, Error>(QObject::List(list))
        })??;
        call.ret_raw(qobject_to_json(&list, false).as_bytes());
        Ok(())
    }

    fn qmp_query_mock_near_misses(rt: &mut Runtime<Self>) -> Result<Vec<MockNearMiss>, Error> {
        rt.state.control.call(|server| {
            let misses = server.kit().near_misses().into_iter();
            let told = misses.map(|miss| MockNearMiss {
                expected: miss.expected,
                came: miss.came,
            });
            told.collect()
        })
    }

    fn qmp_query_mock_argv(rt: &mut Runtime<Self>) -> Result<Vec<String>, Error> {
        rt.state.control.call(|server| server.argv.clone())
    }

    fn qmp_mock_verify(rt: &mut Runtime<Self>) -> Result<MockVerdict, Error> {
        rt.state.control.call(|server| {
            let failures = server.kit().failures();
            MockVerdict {
                ok: failures.is_empty(),
                failures,
            }
        })
    }

    fn qmp_mock_lint(rt: &mut Runtime<Self>) -> Result<Vec<MockRemark>, Error> {
        rt.state.control.call(|server| {
            let remarks = server.kit().lint().into_iter();
            let told = remarks.map(|remark| MockRemark {
                n: remark.n as i64,
                connection: remark.connection as i64,
                kind: remark.kind.to_owned(),
                text: remark.text,
            });
            told.collect()
        })
    }

    fn qmp_mock_save(rt: &mut Runtime<Self>, file: String) -> Result<(), Error> {
        let text = rt.state.control.call(|server| server.scenario())?;
        std::fs::write(&file, text).map_err(|e| Error::new(format!("{file}: {e}")))
    }

    fn qmp_mock_reset(rt: &mut Runtime<Self>, keep_stubs: Option<bool>) -> Result<(), Error> {
        let keep_stubs = keep_stubs.unwrap_or(false);
        let reset = move |server: &mut Server| server.kit().reset(keep_stubs);
        rt.state.control.call(reset)
    }
}
