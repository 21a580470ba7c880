//! Lines typed at a terminal.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::complete;
use crate::connection::News;
use crate::hmp::Commands;
use crate::options::Options;
use crate::schema::Schema;
use crate::screen::Screen;
use crate::session::{event_line, Outcome, Session};

/// Hints need room behind the line.
const HINTS_FROM: usize = 60;

/// What the line editor asks.
struct Typing {
    schema: Rc<Schema>,
    /// In the human monitor, its commands.
    hmp_commands: Option<Rc<Commands>>,
    /// It can tell the names of what there is now.
    session: Rc<RefCell<Session>>,
    hints: bool,
    screen: Arc<Mutex<Screen>>,
}

impl Completer for Typing {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let line = &line[..pos];
        let (begin, found) = match &self.hmp_commands {
            None if self.session.borrow().in_transaction() => {
                complete::action_candidates(line, &self.schema)
            }
            None => complete::candidates(line, &self.schema),
            Some(commands) => {
                // Nothing else uses the session while a line is typed.
                let mut ask = |source| self.session.borrow_mut().names(source);
                commands.candidates(line, &self.schema, &mut ask)
            }
        };
        Ok((begin, finished(found)))
    }
}

/// A blank behind the only candidate, unless it wants to go on.
fn finished(mut found: Vec<String>) -> Vec<String> {
    if let [only] = &mut found[..] {
        if !only.ends_with(['=', '.', '/']) {
            only.push(' ');
        }
    }
    found
}

impl Hinter for Typing {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        let wanted = self.hints && pos == line.len() && self.hmp_commands.is_none();
        wanted.then(|| complete::hint(line, &self.schema)).flatten()
    }
}

impl Highlighter for Typing {
    /// Called after each key: notes what is on the screen.
    fn highlight_char(&self, line: &str, pos: usize, _: CmdKind) -> bool {
        locked(&self.screen).line = Some((line.to_owned(), pos));
        false
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> std::borrow::Cow<'h, str> {
        format!("\x1b[2m{hint}\x1b[m").into()
    }
}

impl Validator for Typing {}
impl Helper for Typing {}

type Prompt = Editor<Typing, FileHistory>;

fn editor() -> rustyline::Result<Prompt> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .auto_add_history(true)
        .build();
    Editor::with_config(config)
}

/// `$XDG_STATE_HOME/qmonitor-shell`, with one history for each kind of monitor.
fn history_file(hmp: bool) -> Option<PathBuf> {
    let dir = match std::env::var_os("XDG_STATE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".local/state"),
    };
    let name = if hmp { "hmp-history" } else { "qmp-history" };
    Some(dir.join("qmonitor-shell").join(name))
}

fn locked(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a person at the terminal.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    let mut prompt = editor().map_err(|e| e.to_string())?;
    let screen = Arc::new(Mutex::new(Screen::default()));
    let json = options.json;
    let shared = screen.clone();
    let ending = Arc::new(AtomicBool::new(false));
    let is_ending = ending.clone();
    let sink = Box::new(move |news: News<'_>| {
        let line = match &news {
            _ if is_ending.load(Ordering::Relaxed) => return,
            News::End(why) => format!("* {why}; ^D ends"),
            News::Event(event) => event_line(event, json),
        };
        locked(&shared).show_above(&line);
    });
    let (mut session, about) = Session::open(options, sink)?;
    session.learn()?;
    println!("{about}; TAB completes, 'help' helps, ^D ends");
    let columns = prompt
        .dimensions()
        .map_or(80, |(columns, _)| columns as usize);
    let (schema, hmp_commands) = (session.schema.clone(), session.hmp_commands.clone());
    let session = Rc::new(RefCell::new(session));
    prompt.set_helper(Some(Typing {
        schema,
        hmp_commands: options.hmp.then_some(hmp_commands),
        session: session.clone(),
        hints: columns >= HINTS_FROM,
        screen: screen.clone(),
    }));
    let history = history_file(options.hmp);
    if let Some(file) = &history {
        let _ = prompt.load_history(file);
    }
    let outcome = serve(&mut prompt, &session, options, &screen);
    if let Some(file) = history {
        let _ = file.parent().map(std::fs::create_dir_all);
        let _ = prompt.save_history(&file);
    }
    drop(prompt);
    ending.store(true, Ordering::Relaxed);
    match Rc::into_inner(session) {
        Some(session) => session.into_inner().end(outcome?),
        None => outcome,
    }
}

fn serve(
    prompt: &mut Prompt,
    session: &RefCell<Session>,
    options: &Options,
    screen: &Mutex<Screen>,
) -> Result<ExitCode, String> {
    loop {
        let text = if options.hmp {
            "(qemu) "
        } else if session.borrow().in_transaction() {
            "TRANS> "
        } else {
            "(QMP) "
        };
        let columns = prompt
            .dimensions()
            .map_or(80, |(columns, _)| columns as usize);
        locked(screen).begin(text, columns);
        let typed = prompt.readline(text);
        locked(screen).line = None;
        let line = match typed {
            Ok(line) => line,
            // As in a shell, ^C gives the line up, or the lines of a transaction.
            Err(ReadlineError::Interrupted) => {
                session.borrow_mut().give_up_transaction();
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(ExitCode::SUCCESS),
            Err(e) => return Err(e.to_string()),
        };
        let outcome = session.borrow_mut().run(&line, columns)?;
        match outcome {
            Outcome::Shown(text) => print!("{text}"),
            Outcome::Failed(text) => println!("{}", text.trim_end()),
            Outcome::Exit => return Ok(ExitCode::SUCCESS),
        }
    }
}
