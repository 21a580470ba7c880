//! The command line.

use std::path::PathBuf;

const HELP: &str = "\
usage: qmonitor-shell [OPTIONS] ADDRESS [COMMAND...]
       qmonitor-shell [OPTIONS] --wrap PROGRAM [ARGUMENT...]

Commands of a QMP server, typed at a prompt or read from a script. ADDRESS is the
path of a unix socket, or HOST:PORT. Each COMMAND is one line; without any, lines
are read from the terminal or from standard input.

  -H, --hmp          human monitor commands, through human-monitor-command
  -f, --file FILE    read lines from FILE
  -j, --json         print each message of the server as it came, one a line
  -k, --keep-going   go on after an error; the status is still 1
  -l, --log FILE     add each message to FILE, behind -> if sent, <- if received
  -v, --verbose      show what is sent
  -n, --no-negotiation  the session is past its negotiation, or never had one
  -w, --wrap         start PROGRAM, a QEMU, with a monitor for this session, and
                     end it with the session
  -h, --help         this text
      --version      the version

A line is `COMMAND NAME=VALUE NAME.NAME=VALUE ...`, or a request in JSON. A line
that begins with `!` is sent out of band. `help` lists the commands, `help COMMAND`
the arguments of one. `transaction(` begins a transaction: an action a line, until
`)`. Lines that begin with # are comments.
";

/// Where the server is.
#[derive(Debug, PartialEq)]
pub enum Target {
    Address(String),
    /// A program to start, with its arguments.
    Program(Vec<String>),
}

impl Default for Target {
    fn default() -> Self {
        Target::Address(String::new())
    }
}

/// What to do and how.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    pub server: Target,
    pub commands: Vec<String>,
    pub script: Option<PathBuf>,
    pub log: Option<PathBuf>,
    pub hmp: bool,
    pub json: bool,
    pub keep_going: bool,
    pub verbose: bool,
    pub no_negotiation: bool,
}

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub enum Wanted {
    Session(Options),
    /// Print this.
    Text(String),
}

impl Options {
    /// Reads the arguments, without the program's name.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Wanted, String> {
        let mut options = Options::default();
        let mut words = Vec::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-h" | "--help" => return Ok(Wanted::Text(HELP.to_owned())),
                "--version" => {
                    let version = env!("CARGO_PKG_VERSION");
                    return Ok(Wanted::Text(format!("qmonitor-shell {version}\n")));
                }
                "-f" | "--file" => {
                    let file = args.next().ok_or_else(|| format!("{arg} needs a file"))?;
                    options.script = Some(file.into());
                }
                "-l" | "--log" => {
                    let file = args.next().ok_or_else(|| format!("{arg} needs a file"))?;
                    options.log = Some(file.into());
                }
                // All that follows is the program's.
                "-w" | "--wrap" => {
                    let program: Vec<String> = args.collect();
                    if program.is_empty() {
                        return Err(format!("{arg} needs a program"));
                    }
                    options.server = Target::Program(program);
                    return Ok(Wanted::Session(options));
                }
                "-H" | "--hmp" => options.hmp = true,
                "-j" | "--json" => options.json = true,
                "-k" | "--keep-going" => options.keep_going = true,
                "-v" | "--verbose" => options.verbose = true,
                "-n" | "--no-negotiation" => options.no_negotiation = true,
                // Behind the address everything is a command.
                _ if arg.starts_with('-') && words.is_empty() => {
                    return Err(format!("unknown option {arg}; see --help"));
                }
                _ => words.push(arg),
            }
        }
        let mut words = words.into_iter();
        let address = words.next().ok_or("no address; see --help")?;
        options.server = Target::Address(address);
        options.commands = words.collect();
        if options.script.is_some() && !options.commands.is_empty() {
            return Err("commands come from a file or from the command line, not both".into());
        }
        Ok(Wanted::Session(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Wanted, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_stand_before_the_address_and_commands_behind() {
        let options = Options {
            server: Target::Address("/tmp/q".into()),
            commands: vec!["stop".into(), "cont".into()],
            json: true,
            ..Options::default()
        };
        assert_eq!(parse("-j /tmp/q stop cont"), Ok(Wanted::Session(options)));
    }

    #[test]
    fn behind_wrap_all_is_the_program_s() {
        let program = ["qemu", "-H", "-S"].map(str::to_owned);
        let options = Options {
            server: Target::Program(program.into()),
            hmp: true,
            log: Some("log".into()),
            ..Options::default()
        };
        let parsed = parse("-H -l log --wrap qemu -H -S");
        assert_eq!(parsed, Ok(Wanted::Session(options)));
    }

    #[test]
    fn what_is_missing_or_unknown_is_said() {
        for (line, problem) in [
            ("", "no address; see --help"),
            ("-x /tmp/q", "unknown option -x; see --help"),
            ("-f", "-f needs a file"),
            ("-H --wrap", "--wrap needs a program"),
            (
                "-f a /tmp/q stop",
                "commands come from a file or from the command line, not both",
            ),
        ] {
            assert_eq!(parse(line), Err(problem.to_owned()), "{line}");
        }
    }
}
