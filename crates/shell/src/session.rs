//! A session: lines in, outcomes out.

use std::process::ExitCode;
use std::rc::Rc;

use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{QDict, QObject};

use crate::connection::{Connection, Sink};
use crate::help::help;
use crate::hmp::Commands;
use crate::line;
use crate::options::Options;
use crate::schema::Schema;
use crate::transaction::{Step, Transaction, OPENS};

/// The result of a line.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// To be shown; nothing if it is empty.
    Shown(String),
    /// It could not be sent, or the server refused it.
    Failed(String),
    /// The session is over.
    Exit,
}

/// A connection, with what the server has told of itself.
pub struct Session {
    connection: Connection,
    pub schema: Rc<Schema>,
    schema_asked: bool,
    /// The one that is being typed.
    transaction: Option<Transaction>,
    /// Whether lines are for the human monitor, and what it knows of them.
    hmp: bool,
    pub hmp_commands: Rc<Commands>,
    /// The processor that `cpu N` has chosen, for the human monitor.
    cpu: Option<i64>,
    json: bool,
    verbose: bool,
}

impl Session {
    /// Connects and negotiates. Returns a line about the server, too.
    pub fn open(options: &Options, sink: Sink) -> Result<(Session, String), String> {
        let connection = Connection::open(options, sink)?;
        let mut session = Session {
            connection,
            schema: Rc::default(),
            schema_asked: false,
            transaction: None,
            hmp: options.hmp,
            hmp_commands: Rc::default(),
            cpu: None,
            json: options.json,
            verbose: options.verbose,
        };
        let about = if options.no_negotiation {
            "connected".to_owned()
        } else {
            session.negotiate()?
        };
        Ok((session, about))
    }

    fn negotiate(&mut self) -> Result<String, String> {
        let mut greeting = self.connection.reply()?;
        let Some(QObject::Dict(greeting)) = greeting.remove("QMP") else {
            return Err("the server does not greet as a QMP server does".into());
        };
        let offered = greeting.get("capabilities").and_then(QObject::as_list);
        let offers_oob = offered.is_some_and(|all| all.contains(&"oob".into()));
        let enable = if offers_oob {
            "qmp_capabilities enable=[\"oob\"]"
        } else {
            "qmp_capabilities"
        };
        let reply = self.connection.call(line::request(enable, &self.schema)?)?;
        if reply.contains_key("error") {
            return Err(format!("negotiation: {}", refusal(&reply)));
        }
        Ok(about(&greeting))
    }

    /// Asks for the schema, and for the human monitor's commands if they are wanted.
    pub fn learn(&mut self) -> Result<(), String> {
        if self.schema_asked {
            return Ok(());
        }
        self.schema_asked = true;
        let reply = self.execute("query-qmp-schema")?;
        if let Some(schema) = reply.get("return") {
            self.schema = Rc::new(Schema::new(schema));
        }
        if self.hmp {
            let mut text = String::new();
            for line in ["help", "help info"] {
                if let Outcome::Shown(part) = self.human(line)? {
                    text += &part;
                }
            }
            self.hmp_commands = Rc::new(Commands::new(&text));
        }
        Ok(())
    }

    fn execute(&mut self, command: &str) -> Result<QDict, String> {
        let mut request = QDict::new();
        request.insert("execute", command);
        self.connection.call(request)
    }

    /// What a command returns; nothing if it fails.
    pub fn ask(&mut self, command: &str, arguments: &[(&str, QObject)]) -> Option<QObject> {
        let mut request = QDict::new();
        request.insert("execute", command);
        let mut dict = QDict::new();
        for (name, value) in arguments {
            dict.insert(*name, value.clone());
        }
        request.insert("arguments", dict);
        self.connection.call(request).ok()?.remove("return")
    }

    /// Ends the session, and the program that was started for it. Returns its status if
    /// all went well until here.
    pub fn end(self, status: ExitCode) -> Result<ExitCode, String> {
        let ended = self.connection.end()?;
        let failure = ended.filter(|ended| !ended.success());
        Ok(match failure.map(|ended| ended.code()) {
            Some(code) if status == ExitCode::SUCCESS => {
                let code = code.and_then(|code| u8::try_from(code).ok());
                code.map_or(ExitCode::FAILURE, ExitCode::from)
            }
            _ => status,
        })
    }

    /// Carries out a line. An error ends the session.
    pub fn run(&mut self, line: &str, width: usize) -> Result<Outcome, String> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(Outcome::Shown(String::new()));
        }
        if self.hmp && line != "exit" {
            return self.human(line);
        }
        if self.transaction.is_some() {
            return self.action(line);
        }
        if let Some(action) = line.strip_prefix(OPENS) {
            self.transaction = Some(Transaction::default());
            return self.action(action);
        }
        if line == "exit" {
            return Ok(Outcome::Exit);
        }
        if let Some(("help", command)) = line
            .split_once(' ')
            .or((line == "help").then_some((line, "")))
        {
            self.learn()?;
            let command = Some(command.trim()).filter(|command| !command.is_empty());
            return Ok(match help(command, &self.schema, width) {
                Ok(text) => Outcome::Shown(text),
                Err(problem) => Outcome::Failed(problem),
            });
        }
        if line.contains('=') && !line.starts_with('{') {
            self.learn()?;
        }
        let request = match line::request(line, &self.schema) {
            Ok(request) => request,
            Err(problem) => return Ok(Outcome::Failed(problem)),
        };
        self.send(request)
    }

    /// A line of a transaction.
    fn action(&mut self, line: &str) -> Result<Outcome, String> {
        self.learn()?;
        let Some(transaction) = &mut self.transaction else {
            return Ok(Outcome::Shown(String::new()));
        };
        match transaction.take(line, &self.schema) {
            Step::More => Ok(Outcome::Shown(String::new())),
            Step::Wrong(problem) => Ok(Outcome::Failed(problem)),
            Step::Request(request) => {
                self.transaction = None;
                self.send(request)
            }
            Step::GivenUp(problem) => {
                self.transaction = None;
                Ok(Outcome::Failed(problem))
            }
        }
    }

    /// Whether a transaction is not at its end.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Gives up the transaction that is being typed.
    pub fn give_up_transaction(&mut self) {
        self.transaction = None;
    }

    /// Spoils the transaction that had a wrong line.
    pub fn spoil_transaction(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.spoil();
        }
    }

    fn send(&mut self, request: QDict) -> Result<Outcome, String> {
        if self.verbose {
            eprintln!("{}", qobject_to_json(&request.clone().into(), false));
        }
        let reply = self.connection.call(request)?;
        if self.json {
            let is_error = reply.contains_key("error");
            let text = format!("{}\n", qobject_to_json(&reply.into(), false));
            return Ok(if is_error {
                Outcome::Failed(text)
            } else {
                Outcome::Shown(text)
            });
        }
        Ok(match reply.get("return") {
            Some(QObject::Dict(empty)) if empty.is_empty() => Outcome::Shown(String::new()),
            Some(value) => Outcome::Shown(shown(value)),
            None => Outcome::Failed(refusal(&reply)),
        })
    }

    /// A line for the human monitor. `cpu N` holds for the lines that follow, which
    /// the server would forget.
    fn human(&mut self, line: &str) -> Result<Outcome, String> {
        let mut arguments = QDict::new();
        arguments.insert("command-line", line);
        let chosen = line
            .strip_prefix("cpu ")
            .and_then(|cpu| cpu.trim().parse().ok());
        if let Some(cpu) = chosen.or(self.cpu) {
            arguments.insert("cpu-index", cpu);
        }
        let mut request = QDict::new();
        request.insert("execute", "human-monitor-command");
        request.insert("arguments", arguments);
        let outcome = self.send(request)?;
        if chosen.is_some() && matches!(outcome, Outcome::Shown(_)) {
            self.cpu = chosen;
        }
        Ok(outcome)
    }
}

/// A value for people: a text as it is, the rest as JSON over several lines.
fn shown(value: &QObject) -> String {
    let text = match value {
        QObject::String(text) => text.as_str().replace("\r\n", "\n"),
        _ => qobject_to_json(value, true).replace("\r\n", "\n"),
    };
    if text.is_empty() || text.ends_with('\n') {
        text
    } else {
        text + "\n"
    }
}

fn refusal(reply: &QDict) -> String {
    let error = reply.get("error").and_then(QObject::as_dict);
    let part = |name| error.and_then(|error| error.get_str(name)).unwrap_or("?");
    format!("{}: {}", part("class"), part("desc"))
}

/// An event on one line.
pub fn event_line(event: &QDict, json: bool) -> String {
    if json {
        return qobject_to_json(&event.clone().into(), false);
    }
    let name = event.get_str("event").unwrap_or("?");
    match event.get("data") {
        Some(data) => format!("* {name} {}", qobject_to_json(data, false)),
        None => format!("* {name}"),
    }
}

fn about(greeting: &QDict) -> String {
    let version = greeting.get("version").and_then(QObject::as_dict);
    let number = |name: &str| {
        let qemu = version?.get("qemu")?.as_dict()?;
        Some(qobject_to_json(qemu.get(name)?, false))
    };
    let numbers: Vec<String> = ["major", "minor", "micro"]
        .into_iter()
        .filter_map(number)
        .collect();
    let package = version
        .and_then(|version| version.get_str("package"))
        .unwrap_or("");
    match package {
        "" => format!("QMP {}", numbers.join(".")),
        _ => format!("QMP {}, {package}", numbers.join(".")),
    }
}
